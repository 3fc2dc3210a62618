"""Trains all members of a config on a dataset and judges them in its environment.

    python -m launch.train --config=launch/configs/iql.py:sepsis
"""

import time
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from algorithms import ALGORITHMS
from data import sampling, sequences
from data.loading import Dataset
from launch import cli, learners, members, problem, rollout, run_directory, schedule
from launch.cli import UserError
from launch.learners import Learners
from launch.members import Member
from launch.problem import Problem
from launch.run_directory import Checkpoints, MetricsLog

# Bytes of batches that host sampling puts on the devices at a time.
_FEED_BYTES = 64 * 2**20


def main(config: ConfigDict) -> None:
    """Trains and prints the table."""
    cli.use_all_cores()
    train(config)


def train(config: ConfigDict) -> Path:
    """Runs a config from wherever it stands to its summary; returns the run directory.

    Raises:
        UserError, DatasetError: the config, dataset, environment or run directory cannot be used.
    """
    validate(config)
    run = members.members(config)
    path = Path(config.run_dir or run_directory.default_path(config, config.dataset))
    dataset = problem.load_dataset(config)
    validate_actions(config.algorithm, dataset)
    task = problem.from_dataset(dataset, config)
    run_directory.prepare(path, config)
    problem.save(task, path / 'problem.json')

    checkpoints = Checkpoints(path)
    step = checkpoints.latest() or 0
    if step < config.num_updates:
        _learn(path, config, dataset, task, run, checkpoints, step)
    schedule.finish(path, config, task, members.judged(config, run))
    return path


def _learn(
    path: Path,
    config: ConfigDict,
    dataset: Dataset,
    task: Problem,
    run: list[Member],
    checkpoints: Checkpoints,
    step: int,
) -> None:
    """Trains from the last checkpoint, after `step` updates, to the last update."""
    learner = learners.build(
        ALGORITHMS[config.algorithm], config, task.spec, run, task.preprocessing
    )
    judge = schedule.Judge(config, task, run, learner)
    states, diverged = learner.init(), np.zeros(len(run), bool)
    if step:
        states, diverged = checkpoints.restore(states=states, diverged=diverged).values()
        print(f'Resuming {path} after {step:,} of {config.num_updates:,} updates.')
    log = MetricsLog(path, config, step)
    most_episodes = max(config.eval_episodes, config.final_eval_episodes)
    with rollout.Environments(task, len(judge.members), most_episodes) as envs:
        train_chunk = _feeder(config, dataset, learner, len(run))
        progress = tqdm(
            desc=f'{config.algorithm} x{len(run)}', total=config.num_updates, initial=step,
            unit='update', dynamic_ncols=True,
        )  # fmt: skip
        while step < config.num_updates:
            began = time.perf_counter()
            states = jax.block_until_ready(train_chunk(states, step))
            step += config.log_interval
            progress.update(config.log_interval)
            rate = config.log_interval / (time.perf_counter() - began)
            diverged = schedule.watch(diverged, states, run, step, progress)
            rates = np.full(len(run), rate)
            log.write(schedule.training_rows(states, run, step, updates_per_second=rates))
            if step % config.eval_interval == 0 or step == config.num_updates:
                final = step == config.num_updates
                count = config.final_eval_episodes if final else config.eval_episodes
                score = judge.evaluate(log, envs, states, ~diverged, step, count)
                checkpoints.save(step, states=states, diverged=diverged)
                progress.set_postfix(score=f'{score:.1f}')
        progress.close()
    log.close()


def validate(config: ConfigDict) -> None:
    """Raises UserError for values that no run can have."""
    if 'dataset' not in config:
        raise UserError('this config has no dataset: it is for launch.train_online.')
    if config.algorithm not in ALGORITHMS:
        valid = ', '.join(ALGORITHMS)
        raise UserError(f'config.algorithm: unknown algorithm {config.algorithm!r}; valid: {valid}.')
    if config.dataset_on not in ('device', 'host'):
        raise UserError(f"config.dataset_on is {config.dataset_on!r}; valid: 'device', 'host'.")
    if learners.reads_sequences(ALGORITHMS[config.algorithm]):
        for key, only in (('normalize_rewards', False), ('reward_scale', 1.0), ('reward_shift', 0.0)):
            if config[key] != only:
                raise UserError(
                    f'config.{key} is {config[key]}; algorithm {config.algorithm} is asked for '
                    f'returns in the units of the environment: only {only} is valid.'
                )
        _validate_sequences(config)
    schedule.validate(config)


def _validate_sequences(config: ConfigDict) -> None:
    targets, network = config.target_returns, config.network
    numbers = all(isinstance(target, int | float) for target in targets)
    if not targets or not numbers or len(set(targets)) < len(targets):
        raise UserError(
            f'config.target_returns is {targets}; one or more different numbers are needed.'
        )
    for key in ('context', 'num_layers', 'num_heads', 'max_timestep'):
        if network[key] < 1:
            raise UserError(f'config.network.{key} is {network[key]}; at least 1 is needed.')
    if network.embedding_size % network.num_heads or network.embedding_size < 1:
        raise UserError(
            f'config.network.embedding_size is {network.embedding_size}; a multiple of '
            f'config.network.num_heads, {network.num_heads}, is needed.'
        )


def validate_actions(algorithm: str, dataset: Dataset) -> None:
    """Raises UserError if an algorithm cannot take a dataset's kind of actions."""
    kind = 'discrete' if dataset.spec.discrete else 'continuous'
    if kind not in ALGORITHMS[algorithm].ACTIONS:
        able = ', '.join(name for name, module in ALGORITHMS.items() if kind in module.ACTIONS)
        raise UserError(
            f'algorithm {algorithm} takes {" or ".join(ALGORITHMS[algorithm].ACTIONS)} actions; '
            f'dataset {dataset.id} has {kind} ones: use one of {able}.'
        )


def _feeder(config: ConfigDict, dataset: Dataset, learner: Learners, num_members: int):
    """(states, step) -> states after config.log_interval more updates, by either kind of sampling."""
    algorithm = ALGORITHMS[config.algorithm]
    data, steps_per_row = dataset.transitions, 1
    if learners.reads_sequences(algorithm):
        data, steps_per_row = sequences.steps(dataset), config.network.context
    if config.dataset_on == 'device':
        placed = learners.place(data, num_members)
        return lambda states, step: learner.train_on_device(states, placed, config.log_interval)
    row_bytes = steps_per_row * sum(array[0].nbytes for array in data)
    affordable = _FEED_BYTES // (row_bytes * config.batch_size * len(learner.seeds))
    feed = max(n for n in range(1, config.log_interval + 1)
               if config.log_interval % n == 0 and n <= max(affordable, 1))  # fmt: skip

    def train_chunk(states, step):
        batches = sampling.host_batches(
            data, learner.seeds, config.batch_size, step, step + config.log_interval, feed,
            learners.gatherer(algorithm, config),
        )  # fmt: skip
        for batch in batches:
            states = learner.train_on_batches(states, batch)
        return states

    return train_chunk


if __name__ == '__main__':
    cli.run_with_config(main, 'launch/configs/iql.py:sepsis')

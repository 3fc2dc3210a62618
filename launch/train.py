"""Trains all members of a config on a dataset and judges them in its environment.

    python -m launch.train --config=launch/configs/iql.py:sepsis
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from algorithms import ALGORITHMS
from data import loading, sampling, transforms
from data.loading import Dataset
from data.reference_scores import normalized_score
from launch import cli, learners, members, problem, report, rollout, run_directory
from launch.cli import UserError
from launch.learners import Learners
from launch.members import Member
from launch.problem import Problem
from launch.run_directory import Checkpoints, MetricsLog

CONFIG = cli.define_config('launch/configs/iql.py:sepsis')
# Bytes of batches that host sampling puts on the devices at a time.
_FEED_BYTES = 64 * 2**20


def main(argv: list[str]) -> None:
    """Trains and prints the table."""
    del argv
    cli.use_all_cores()
    train(CONFIG.value)


def train(config: ConfigDict) -> Path:
    """Runs a config from wherever it stands to its summary; returns the run directory.

    Raises:
        UserError, DatasetError: the config, dataset, environment or run directory cannot be used.
    """
    validate(config)
    run = members.members(config)
    path = Path(config.run_dir) if config.run_dir else run_directory.default_path(config)
    dataset = transforms.top_episodes(loading.load(config.dataset), config.top_fraction)
    validate_actions(config.algorithm, dataset)
    task = problem.from_dataset(dataset, config)
    run_directory.prepare(path, config)
    problem.save(task, path / 'problem.json')

    learner = learners.build(
        ALGORITHMS[config.algorithm], config, task.spec, run, task.preprocessing
    )
    states = learner.init()
    checkpoints = Checkpoints(path)
    step = checkpoints.latest() or 0
    if step:
        states = checkpoints.restore(states)
        print(f'Resuming {path} after {step:,} of {config.num_updates:,} updates.')
    log = MetricsLog(path, config, step)
    most_episodes = max(config.eval_episodes, config.final_eval_episodes)
    with rollout.Environments(task, len(run), most_episodes) as envs:
        train_chunk = _feeder(config, dataset, learner, len(run))
        progress = tqdm(
            desc=f'{config.algorithm} x{len(run)}', total=config.num_updates, initial=step,
            unit='update', dynamic_ncols=True,
        )  # fmt: skip
        diverged = np.zeros(len(run), bool)
        while step < config.num_updates:
            began = time.perf_counter()
            states = jax.block_until_ready(train_chunk(states, step))
            step += config.log_interval
            progress.update(config.log_interval)
            rate = config.log_interval / (time.perf_counter() - began)
            finite = np.asarray(learners.all_finite(states))[: len(run)]
            for index in np.flatnonzero(~finite & ~diverged):
                progress.write(f'DIVERGED after {step:,} updates: {describe(run[index])}')
            diverged |= ~finite
            log.write(_training_rows(states, run, step, rate))
            if step % config.eval_interval == 0 or step == config.num_updates:
                final = step == config.num_updates
                count = config.final_eval_episodes if final else config.eval_episodes
                episodes = rollout.evaluate(
                    learner, states, envs, task, members.seeds(run), ~diverged, count
                )
                claimed = rollout.claimed_values(learner, states, episodes, ~diverged)
                measures = report.measures(episodes, claimed, task)
                log.write([_row('evaluation', i, member, step, each)
                           for i, (member, each) in enumerate(zip(run, measures))])  # fmt: skip
                checkpoints.save(step, states)
                score = normalized_score(np.mean(episodes.returns[~diverged]), task.scores)
                progress.set_postfix(score=f'{score:.1f}')
        progress.close()
    log.close()
    _finish(path, config, task, run)
    return path


def validate(config: ConfigDict) -> None:
    """Raises UserError for values that no run can have."""
    if config.algorithm not in ALGORITHMS:
        valid = ', '.join(ALGORITHMS)
        raise UserError(f'config.algorithm: unknown algorithm {config.algorithm!r}; valid: {valid}.')
    if config.dataset_on not in ('device', 'host'):
        raise UserError(f"config.dataset_on is {config.dataset_on!r}; valid: 'device', 'host'.")
    for key in ('num_updates', 'batch_size', 'log_interval', 'eval_interval', 'eval_episodes',
                'final_eval_episodes'):  # fmt: skip
        if config[key] < 1:
            raise UserError(f'config.{key} is {config[key]}; at least 1 is needed.')
    for key in ('num_updates', 'eval_interval'):
        if config[key] % config.log_interval:
            raise UserError(
                f'config.{key} is {config[key]}, no multiple of config.log_interval, '
                f'{config.log_interval}.'
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


def describe(member: Member) -> str:
    """A member in a sentence."""
    return f'seed {member.seed}' + (f' with {member.label}' if member.label else '')


def _feeder(config: ConfigDict, dataset: Dataset, learner: Learners, num_members: int):
    """(states, step) -> states after config.log_interval more updates, by either kind of sampling."""
    if config.dataset_on == 'device':
        transitions = learners.place(dataset.transitions, num_members)
        return lambda states, step: learner.train_on_device(
            states, transitions, config.log_interval
        )
    row_bytes = sum(array[0].nbytes for array in dataset.transitions)
    affordable = _FEED_BYTES // (row_bytes * config.batch_size * len(learner.seeds))
    feed = max(n for n in range(1, config.log_interval + 1)
               if config.log_interval % n == 0 and n <= max(affordable, 1))  # fmt: skip

    def train_chunk(states, step):
        batches = sampling.host_batches(
            dataset.transitions, learner.seeds, config.batch_size,
            step, step + config.log_interval, feed,
        )  # fmt: skip
        for batch in batches:
            states = learner.train_on_batches(states, batch)
        return states

    return train_chunk


def _row(event: str, index: int, member: Member, step: int, measures: dict) -> dict[str, Any]:
    return {
        'step': step,
        'event': event,
        'member': index,
        'seed': member.seed,
        'setting': member.setting,
        'measures': {name: float(value) for name, value in measures.items()},
    }


def _training_rows(states: Any, run: list[Member], step: int, rate: float) -> list[dict]:
    metrics = jax.device_get(states.metrics)
    return [
        _row('training', i, member, step,
             {name: values[i] for name, values in metrics.items()} | {'updates_per_second': rate})
        for i, member in enumerate(run)
    ]  # fmt: skip


def _finish(path: Path, config: ConfigDict, task: Problem, run: list[Member]) -> None:
    """Writes the summary and the figure from the metrics, and prints the table."""
    rows = run_directory.read_metrics(path)
    final = [row for row in rows
             if row['event'] == 'evaluation' and row['step'] == config.num_updates]  # fmt: skip
    measures = [row['measures'] for row in final]
    summary = report.summarize(task, run, measures, config.num_updates)
    (path / 'summary.json').write_text(json.dumps(summary, indent=2))
    title = config.algorithm.upper()
    report.draw_learning_curves(rows, task, run, title, path / 'learning_curves.png')
    print(f'\n{title} on {config.dataset}, {config.num_updates:,} updates\n')
    print(report.table({title: summary}))
    print(f'\nRun directory: {path}\nFigure: {path / "learning_curves.png"}')
    gone = [describe(member) for member, each in zip(run, measures)
            if not np.isfinite(each['return'])]  # fmt: skip
    if gone:
        print(f'Diverged (NaN or infinite), left out of the means: {"; ".join(gone)}.')


if __name__ == '__main__':
    cli.run(main)

"""Trains all members of a config on a dataset and judges them in its environment.

    python -m launch.train --config=launch/configs/iql.py:sepsis
"""

import dataclasses
from pathlib import Path

from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from data import loading, problem, sequences, transforms
from data.loading import Dataset
from data.problem import Problem
from launch import cli
from launch.cli import UserError
from launch.report import finished
from launch.run import directory, feeds, learners, loop
from launch.run.directory import Checkpoints
from launch.run.members import make_members, with_target


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
    algorithm = ALGORITHMS[config.algorithm]
    targets = tuple(config.get('target_returns', ()))
    hparams = config.hparams.to_dict()
    members = make_members(hparams, config.sweep, config.seed, config.num_seeds)
    title = directory.title(config.algorithm, config.top_fraction)
    path = Path(config.run_dir or directory.default_path(config, config.dataset))
    if directory.holds(path, config, config.resume) and finished.is_finished(path):
        finished.show(path, title)
        return path

    dataset = load_dataset(config)
    task = dataset.problem
    validate_actions(config.algorithm, task)
    problem.check_judge(task)
    directory.create(path, config)
    problem.save(task, path / 'problem.json')
    checkpoints = Checkpoints(path)
    if (checkpoints.latest() or 0) < config.num_updates:
        learner = learners.build(
            algorithm, task.spec, task.preprocessing, members, with_target(hparams, targets),
            config.network, config.batch_size,
        )  # fmt: skip
        context = learners.context_of(algorithm, config.network)
        data = dataset.transitions if context is None else sequences.steps(dataset)
        if config.dataset_on == 'device':
            advance = feeds.on_device(learner, data)
        else:
            advance = feeds.from_host(learner, data, config.batch_size, context)
        wandb = directory.identity(config) if config.wandb else None
        with loop.recording(
            path, checkpoints, learner, task, config.eval_interval, config.eval_episodes,
            config.final_eval_episodes, targets, wandb,
        ) as record:  # fmt: skip
            loop.train(
                {'states': learner.init()}, advance, members, config.num_updates,
                config.log_interval, config.algorithm, record,
            )  # fmt: skip
    finished.finish(path, title, task, config.num_updates)
    return path


def load_dataset(config: ConfigDict) -> Dataset:
    """The data that a config learns from, its preprocessing measured.

    Raises:
        DatasetError: there is no such dataset, or it is not what the config takes it for.
    """
    dataset = loading.load(config.dataset)
    if config.cut_at_goal:
        dataset = transforms.cut_at_goal(dataset)
    dataset = transforms.top_episodes(dataset, config.top_fraction)
    if config.delayed_rewards:
        dataset = transforms.delay_rewards(dataset)
    return transforms.preprocess(
        dataset,
        config.standardize_observations,
        config.normalize_rewards,
        config.reward_scale,
        config.reward_shift,
    )


def validate(config: ConfigDict) -> None:
    """Raises UserError for values that no run can have."""
    if 'dataset' not in config:
        raise UserError('this config has no dataset: it is for launch.train_online.')
    if config.algorithm not in ALGORITHMS:
        valid = ', '.join(ALGORITHMS)
        raise UserError(f'config.algorithm: unknown algorithm {config.algorithm!r}; valid: {valid}.')
    if config.dataset_on not in ('device', 'host'):
        raise UserError(f"config.dataset_on is {config.dataset_on!r}; valid: 'device', 'host'.")
    if learners.context_of(ALGORITHMS[config.algorithm], config.network) is not None:
        for key, only in (('normalize_rewards', False), ('reward_scale', 1.0), ('reward_shift', 0.0)):
            if config[key] != only:
                raise UserError(
                    f'config.{key} is {config[key]}; algorithm {config.algorithm} is asked for '
                    f'returns in the units of the environment: only {only} is valid.'
                )
        _validate_sequences(config)
    validate_schedule(config)
    validate_hparams(config)


def validate_hparams(config: ConfigDict) -> None:
    """Raises UserError if a config lacks a hyperparameter of its algorithm."""
    fields = dataclasses.fields(ALGORITHMS[config.algorithm].Hyperparameters)
    # What a return-conditioned policy is asked for is in config.target_returns.
    missing = {field.name for field in fields} - {*config.hparams, 'target_return'}
    if missing:
        raise UserError(
            f'config.hparams lacks {", ".join(sorted(missing))}, which {config.algorithm} needs.'
        )


def validate_schedule(config: ConfigDict) -> None:
    """Raises UserError for counts and intervals that no run can have."""
    cli.check_counts(
        config,
        ('num_updates', 'batch_size', 'log_interval', 'eval_interval', 'eval_episodes',
         'final_eval_episodes'),
        ('num_updates', 'eval_interval'),
    )  # fmt: skip


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


def validate_actions(algorithm: str, task: Problem) -> None:
    """Raises UserError if an algorithm cannot take a problem's kind of actions."""
    kind = 'discrete' if task.spec.discrete else 'continuous'
    if kind not in ALGORITHMS[algorithm].ACTIONS:
        able = ', '.join(name for name, module in ALGORITHMS.items() if kind in module.ACTIONS)
        raise UserError(
            f'algorithm {algorithm} takes {" or ".join(ALGORITHMS[algorithm].ACTIONS)} actions; '
            f'dataset {task.name} has {kind} ones: use one of {able}.'
        )


if __name__ == '__main__':
    cli.start_with_config(main, 'iql.py:sepsis')

"""Values of a config that no run can have, whichever program it is for."""

import dataclasses

from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from data.problem import Problem
from launch import cli
from launch.cli import UserError


def hparams(config: ConfigDict) -> None:
    """Raises UserError if a config lacks a hyperparameter of its algorithm."""
    fields = dataclasses.fields(ALGORITHMS[config.algorithm].Hyperparameters)
    # What a return-conditioned policy is asked for is in config.target_returns.
    missing = {field.name for field in fields} - {*config.hparams, 'target_return'}
    if missing:
        raise UserError(
            f'config.hparams lacks {", ".join(sorted(missing))}, which {config.algorithm} needs.'
        )


def schedule(config: ConfigDict) -> None:
    """Raises UserError for counts and intervals that no run can have."""
    cli.check_counts(
        config,
        ('num_updates', 'batch_size', 'log_interval', 'eval_interval', 'eval_episodes',
         'final_eval_episodes'),
        ('num_updates', 'eval_interval'),
    )  # fmt: skip


def time_limit(config: ConfigDict) -> None:
    """Raises UserError for a time limit that no environment can have."""
    if config.max_episode_steps < 0:
        raise UserError(
            f'config.max_episode_steps is {config.max_episode_steps}; a number of steps is needed, or 0 '
            "for the environment's own."
        )


def sequences(config: ConfigDict) -> None:
    """Raises UserError for what no learner of windows of steps can have."""
    targets, network = config.target_returns, config.network
    numbers = all(isinstance(target, int | float) for target in targets)
    if not numbers or len(set(targets)) < len(targets):
        raise UserError(f'config.target_returns is {targets}; different numbers are needed.')
    for key in ('context', 'num_layers', 'num_heads', 'max_timestep'):
        if network[key] < 1:
            raise UserError(f'config.network.{key} is {network[key]}; at least 1 is needed.')
    if network.embedding_size % network.num_heads or network.embedding_size < 1:
        raise UserError(
            f'config.network.embedding_size is {network.embedding_size}; a multiple of '
            f'config.network.num_heads, {network.num_heads}, is needed.'
        )


def actions(algorithm: str, task: Problem) -> None:
    """Raises UserError if an algorithm cannot take a problem's kind of actions."""
    kind = 'discrete' if task.spec.discrete else 'continuous'
    if kind not in ALGORITHMS[algorithm].ACTIONS:
        able = ', '.join(name for name, module in ALGORITHMS.items() if kind in module.ACTIONS)
        raise UserError(
            f'algorithm {algorithm} takes {" or ".join(ALGORITHMS[algorithm].ACTIONS)} actions; '
            f'dataset {task.name} has {kind} ones: use one of {able}.'
        )

"""The members of a run: every (hyperparameter setting, seed) pair."""

import dataclasses
import itertools
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from launch.cli import UserError


class Member(NamedTuple):
    """One learner of a run.

    Attributes:
        setting: the swept hyperparameters' values, {} if nothing is swept.
        seed: of its initialisation, batches and evaluation.
    """

    setting: dict[str, float]
    seed: int

    @property
    def label(self) -> str:
        """The setting for humans, such as 'expectile=0.9', '' if nothing is swept."""
        return ', '.join(f'{name}={value:g}' for name, value in self.setting.items())


def members(config: ConfigDict) -> list[Member]:
    """All members, seeds of one setting next to each other.

    Raises:
        UserError: a sweep over no hyperparameter, over no number or over one value twice; no seeds.
    """
    valid = list(config.hparams)
    swept = {}
    for name, values in config.sweep.items():
        if name not in valid:
            raise UserError(f'config.sweep: no hyperparameter {name!r}; valid: {", ".join(valid)}.')
        if len(set(values)) < len(values) or not all(isinstance(v, int | float) for v in values):
            raise UserError(f'config.sweep.{name}: {values} are not different numbers.')
        if values:
            swept[name] = [float(value) for value in values]
    if config.num_seeds < 1:
        raise UserError(f'config.num_seeds is {config.num_seeds}; at least 1 is needed.')
    if not 0 <= config.seed <= 2**32 - config.num_seeds:
        raise UserError(f'config.seed is {config.seed}; valid: from 0 to below 2**32.')
    settings = [dict(zip(swept, values)) for values in itertools.product(*swept.values())]
    seeds = range(config.seed, config.seed + config.num_seeds)
    return [Member(setting, seed) for setting in settings for seed in seeds]


def judged(config: ConfigDict, members: list[Member]) -> list[Member]:
    """The members as they are evaluated: all of them for each of config.target_returns, if any.

    Number i of the result is member i % len(members).
    """
    targets = config.get('target_returns')
    if targets is None:
        return members
    return [
        Member(member.setting | {'target_return': float(target)}, member.seed)
        for target in targets
        for member in members
    ]


def stack_hparams(algorithm: ModuleType, config: ConfigDict, members: list[Member]) -> Any:
    """The algorithm's Hyperparameters with float32 leaves (members,).

    What neither a member's setting nor the config gives is the field's default.
    """
    given = {
        field.name: config.hparams.get(field.name, field.default)
        for field in dataclasses.fields(algorithm.Hyperparameters)
    }
    values = {
        name: [member.setting.get(name, value) for member in members]
        for name, value in given.items()
    }
    return algorithm.Hyperparameters(
        **{name: jnp.asarray(value, jnp.float32) for name, value in values.items()}
    )


def seeds(members: list[Member]) -> np.ndarray:
    """Seeds as uint32 (members,)."""
    return np.array([member.seed for member in members], np.uint32)

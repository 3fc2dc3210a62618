"""The members of a run: every (hyperparameter setting, seed) pair."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp

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

    @property
    def description(self) -> str:
        """The member in a sentence."""
        return f'seed {self.seed}' + (f' with {self.label}' if self.label else '')


def make_members(
    hparams: Mapping[str, float], sweep: Mapping[str, Sequence[float]], seed: int, num_seeds: int
) -> list[Member]:
    """All members, seeds of one setting next to each other.

    Args:
        hparams: the hyperparameters' values; what may be swept.
        sweep: other values by name; a name with none is not swept.
        seed, num_seeds: of every setting, seeds seed, ..., seed + num_seeds - 1.

    Raises:
        UserError: a sweep over no hyperparameter, over no number or over one value twice; no seeds.
    """
    swept = {}
    for name, values in sweep.items():
        if name not in hparams:
            valid = ', '.join(hparams)
            raise UserError(f'config.sweep: no hyperparameter {name!r}; valid: {valid}.')
        if len(set(values)) < len(values) or not all(isinstance(v, int | float) for v in values):
            raise UserError(f'config.sweep.{name}: {values} are not different numbers.')
        if values:
            swept[name] = [float(value) for value in values]
    if num_seeds < 1:
        raise UserError(f'config.num_seeds is {num_seeds}; at least 1 is needed.')
    if not 0 <= seed <= 2**32 - num_seeds:
        raise UserError(f'config.seed is {seed}; valid: from 0 to below 2**32.')
    settings = [dict(zip(swept, values)) for values in itertools.product(*swept.values())]
    seeds = range(seed, seed + num_seeds)
    return [Member(setting, each) for setting in settings for each in seeds]


def by_setting(members: list[Member]) -> dict[str, list[int]]:
    """Indices of the members of each setting, by its label."""
    groups: dict[str, list[int]] = {}
    for index, member in enumerate(members):
        groups.setdefault(member.label, []).append(index)
    return groups


def with_target(hparams: dict[str, float], target_returns: tuple[float, ...]) -> dict[str, float]:
    """Hyperparameters of a return-conditioned policy, asked for the first of its targets."""
    return hparams | {'target_return': target_returns[0]} if target_returns else hparams


def stack_hparams(
    algorithm: ModuleType, hparams: dict[str, float], members: list[Member]
) -> Any:
    """The algorithm's Hyperparameters with float32 leaves (members,)."""
    return algorithm.Hyperparameters(**{
        field.name: jnp.asarray(
            [(hparams | member.setting)[field.name] for member in members], jnp.float32
        )
        for field in dataclasses.fields(algorithm.Hyperparameters)
    })  # fmt: skip

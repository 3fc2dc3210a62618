"""The one map between an environment's actions and an algorithm's."""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from data.types import DatasetError

# Recorded float32 actions may exceed float64 bounds by rounding, and by no more.
_TOLERANCE = 1e-4


class ActionMap(NamedTuple):
    """An environment's bounded box is [-1, 1]^n to an algorithm, its range of integers begins at 0.

    Attributes:
        shape: of one action of the environment.
        low, high: bounds (action_size,) in the number type of the environment; None if discrete.
        start: the environment's index of action 0; None if continuous.
        size: dimensions of a continuous action, or number of discrete actions.
    """

    shape: tuple[int, ...]
    low: np.ndarray | None
    high: np.ndarray | None
    start: int | None
    size: int

    def __str__(self) -> str:
        if self.discrete:
            return f'{self.size} discrete ones from {self.start}'
        low, high = (','.join(f'{bound:g}' for bound in bounds) for bounds in (self.low, self.high))
        return f'of shape {self.shape} from ({low}) to ({high})'

    @property
    def discrete(self) -> bool:
        """Whether actions are indices."""
        return self.start is not None

    def outside(self, actions: np.ndarray) -> np.ndarray:
        """Which of the environment's actions (n, ...) are out of its bounds, bool (n,)."""
        mapped = self._mapped(actions)
        if self.discrete:
            return (mapped < 0) | (mapped >= self.size)
        return np.any(np.abs(mapped) > 1 + _TOLERANCE, axis=1)

    def to_algorithm(self, actions: np.ndarray) -> np.ndarray:
        """The environment's actions (n, ...) as (n, size) in [-1, 1], or as (n,) if discrete."""
        mapped = self._mapped(actions)
        return mapped if self.discrete else np.clip(mapped, -1, 1)

    def to_environment(self, actions: np.ndarray) -> np.ndarray | int:
        """Actions of an algorithm, (..., size) or (...) if discrete, as the environment takes them.

        These are (..., *shape); a single index is an int. Traced arrays of jax are mapped as well.
        """
        if self.discrete:
            indices = actions + self.start
            return indices if indices.ndim else int(indices)
        share = (actions.clip(-1, 1) + 1) / 2
        scaled = self.low + share * (self.high - self.low)
        return scaled.reshape(*scaled.shape[:-1], *self.shape)

    def _mapped(self, actions: np.ndarray) -> np.ndarray:
        if self.discrete:
            return np.asarray(actions).reshape(len(actions)).astype(np.int64) - self.start
        actions = np.asarray(actions).reshape(len(actions), -1)
        return 2 * (actions - self.low) / (self.high - self.low) - 1

    def to_json(self) -> dict[str, Any]:
        """Plain data, of which `from_json` makes this map again."""
        bounds = {'low': None, 'high': None, 'dtype': None}
        if not self.discrete:
            bounds = {'low': self.low.tolist(), 'high': self.high.tolist(),
                      'dtype': str(self.low.dtype)}  # fmt: skip
        return {'shape': list(self.shape), **bounds, 'start': self.start, 'size': self.size}


def from_json(fields: dict[str, Any]) -> ActionMap:
    """What `to_json` made plain data of."""
    low, high = (None if fields[name] is None else np.array(fields[name], fields['dtype'])
                 for name in ('low', 'high'))  # fmt: skip
    return ActionMap(tuple(fields['shape']), low, high, fields['start'], fields['size'])


def from_space(space: gym.Space, owner: str) -> ActionMap:
    """The map of an action space.

    Args:
        space: Discrete, or a bounded Box.
        owner: of the space, for the message.

    Raises:
        DatasetError: it is another space, or its bounds are not finite or not apart.
    """
    if isinstance(space, gym.spaces.Discrete):
        return ActionMap((), None, None, int(space.start), int(space.n))
    if not isinstance(space, gym.spaces.Box):
        raise DatasetError(f'{owner}: action space {space} is not supported; Box and Discrete are.')
    if not space.is_bounded() or not np.all(space.low < space.high):
        raise DatasetError(
            f'{owner}: action space {space} needs finite bounds with low < high.'
        )
    return ActionMap(
        space.shape, space.low.reshape(-1), space.high.reshape(-1), None, int(np.prod(space.shape))
    )

"""The one map between an environment's actions and an algorithm's.

It is computed in float64, whatever the number type of the space: whole numbers neither wrap around nor
lose their last digits on the way, and -1 and 1 are exactly the bounds.
"""

import contextlib
from typing import Any, NamedTuple

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np

from data.types import Array, DatasetError

# Recorded float32 actions may exceed float64 bounds by rounding, and by no more.
_TOLERANCE = 1e-4
# A bound this many times beyond all that the log holds says 'none': mapped by it, what was recorded
# would fill less than a thousandth of [-1, 1], in which no policy learns to tell actions apart. Nobody
# says 'none' by a bound that is small in itself: an actuator that is never used keeps its -1 and 1.
FAR = 1e3
# Without a log, a bound beyond the whole numbers of float64.
_FARTHEST = 2.0**53


class ActionMap(NamedTuple):
    """An environment's bounded box is [-1, 1]^n to an algorithm, its range of integers begins at 0.

    Attributes:
        shape: of one action of the environment.
        low, high: bounds (action_size,) in the number type of the environment; None if discrete.
        start: the environment's index of action 0; None if continuous.
        size: dimensions of a continuous action, or number of discrete actions.
        measured: dimensions whose bounds are the range of the log, since the space has none.
    """

    shape: tuple[int, ...]
    low: np.ndarray | None
    high: np.ndarray | None
    start: int | None
    size: int
    measured: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.discrete:
            return f'{self.size} discrete ones from {self.start}'
        low, high = (','.join(f'{bound:g}' for bound in bounds) for bounds in (self.low, self.high))
        return f'of shape {self.shape} from ({low}) to ({high})'

    @property
    def discrete(self) -> bool:
        """Whether actions are indices."""
        return self.start is not None

    @property
    def dtype(self) -> np.dtype | None:
        """Of the environment's actions; None if they are indices."""
        return None if self.discrete else self.low.dtype

    def outside(self, actions: np.ndarray) -> np.ndarray:
        """Which of the environment's actions (n, ...) are not of its space, bool (n,)."""
        mapped = self._mapped(actions)
        if self.discrete:
            return (mapped < 0) | (mapped >= self.size) | (mapped != np.floor(mapped))
        actions = np.asarray(actions)
        if actions.dtype.kind in 'iub' and self.dtype.kind in 'iub':
            # Nothing was rounded here.
            actions = actions.reshape(mapped.shape)
            return np.any((actions < self.low) | (actions > self.high), axis=1)
        return np.any(np.abs(mapped) > 1 + _TOLERANCE, axis=1)

    def to_unit(self, actions: np.ndarray) -> np.ndarray:
        """The environment's actions (n, ...) as float64 (n, size) in [-1, 1], or (n,) if discrete."""
        mapped = self._mapped(actions)
        return mapped if self.discrete else np.clip(mapped, -1, 1)

    def to_algorithm(self, actions: np.ndarray) -> np.ndarray:
        """The same as algorithms have them, float32, or int32 if discrete."""
        return self.to_unit(actions).astype(np.int32 if self.discrete else np.float32)

    def to_environment(self, actions: Array) -> Array | int:
        """Actions of an algorithm, (..., size) or (...) if discrete, as the environment takes them.

        These are (..., *shape) in the number type of the space, which contains them: -1 and 1 are its
        bounds, between them a space of integers has whole numbers. A single index is an int. Traced
        arrays of jax are mapped as well.
        """
        traced = isinstance(actions, jax.core.Tracer)
        if self.discrete:
            indices = (actions if traced else actions.astype(np.int64)) + self.start
            return indices if indices.ndim else int(indices)
        xp = jnp if traced else np
        with jax.enable_x64(True) if traced else contextlib.nullcontext():
            share = (xp.clip(actions.astype(np.float64), -1, 1) + 1) / 2
            low, high = self.low.astype(np.float64), self.high.astype(np.float64)
            between = low * (1 - share) + high * share
            if self.dtype.kind in 'iub':
                between = xp.rint(between)
            kept = xp.clip(between, *self.inner()).astype(self.dtype)
            if self.wide:
                kept = xp.where(share == 0, self.low, xp.where(share == 1, self.high, kept))
            return kept.reshape(*kept.shape[:-1], *self.shape)

    @property
    def wide(self) -> bool:
        """Whether the space's integers may be wider than float64's."""
        return self.dtype.kind in 'iu' and self.dtype.itemsize == 8

    def inner(self) -> tuple[np.ndarray, np.ndarray]:
        """The outermost float64 between the bounds, which wide integers may round to from inside."""
        inner = []
        for bounds, inwards in ((self.low, np.inf), (self.high, -np.inf)):
            rounded = bounds.astype(np.float64)
            if self.wide:
                over = [int(each) - int(bound) for each, bound in zip(rounded, bounds)]
                out = np.array([(each > 0) == (inwards < 0) and each != 0 for each in over])
                rounded = np.where(out, np.nextafter(rounded, inwards), rounded)
            inner.append(rounded)
        return tuple(inner)

    def _mapped(self, actions: np.ndarray) -> np.ndarray:
        actions = np.asarray(actions, np.float64)
        if self.discrete:
            return actions.reshape(len(actions)) - self.start
        # Halves, as the width of a box may be beyond float64.
        low, high = self.low.astype(np.float64) / 2, self.high.astype(np.float64) / 2
        return (actions.reshape(len(actions), -1) - (low + high)) / (high - low)

    def to_json(self) -> dict[str, Any]:
        """Plain data, of which `from_json` makes this map again."""
        bounds = {'low': None, 'high': None, 'dtype': None}
        if not self.discrete:
            bounds = {'low': self.low.tolist(), 'high': self.high.tolist(),
                      'dtype': str(self.dtype)}  # fmt: skip
        return {'shape': list(self.shape), **bounds, 'start': self.start, 'size': self.size,
                'measured': list(self.measured)}  # fmt: skip


def from_json(fields: dict[str, Any]) -> ActionMap:
    """What `to_json` made plain data of."""
    low, high = (None if fields[name] is None else np.array(fields[name], fields['dtype'])
                 for name in ('low', 'high'))  # fmt: skip
    # Runs of before measured no bounds.
    measured = tuple(fields.get('measured', ()))
    return ActionMap(tuple(fields['shape']), low, high, fields['start'], fields['size'], measured)


def needs_range(space: gym.Space) -> bool:
    """Whether a log must say if the bounds of a space mean what they say."""
    if not isinstance(space, gym.spaces.Box):
        return False
    bounds = np.stack([space.low, space.high]).astype(np.float64)
    return not bool(np.all(np.abs(bounds) < FAR))


def from_space(
    space: gym.Space, owner: str, log_range: tuple[np.ndarray, np.ndarray] | None = None
) -> ActionMap:
    """The map of an action space.

    Args:
        space: Discrete, or a Box.
        owner: of the space, for the message.
        log_range: of the recorded actions, least and most of each dimension (size,), which stand for
            bounds that are infinite or so far beyond it that they only say that there are none; None
            where there is no log.

    Raises:
        DatasetError: it is another space, or its bounds are not finite or not apart.
    """
    if isinstance(space, gym.spaces.Discrete):
        return ActionMap((), None, None, int(space.start), int(space.n))
    if not isinstance(space, gym.spaces.Box) or space.dtype.kind not in 'iubf':
        raise DatasetError(f'{owner}: action space {space} is not supported; Box and Discrete are.')
    size = int(np.prod(space.shape))
    low, high = space.low.reshape(-1).copy(), space.high.reshape(-1).copy()
    reach, measured = np.full(size, _FARTHEST), np.zeros(size, bool)
    if log_range is not None:
        reach = FAR * np.maximum(np.max(np.abs(log_range), axis=0), 1)
    for bounds, found in zip((low, high), log_range or (low, high)):
        # NaN counts as none.
        none = ~(np.abs(bounds.astype(np.float64)) < reach)
        if log_range is None and none.any():
            raise DatasetError(
                f'{owner}: action space {space} needs finite bounds: {bounds[none][0]:g} in dimension '
                f'{none.argmax()} says that there is none, and no log says how far actions reach.'
            )
        bounds[none] = np.asarray(found)[none].astype(bounds.dtype)
        measured |= none
    if not size or not np.all(low < high):
        same = np.flatnonzero(~(low < high) & measured)
        raise DatasetError(
            f'{owner}: action space {space} has no bounds in dimension {same[0]}, and the log does not '
            f'show any: there it is {low[same[0]]:g} in every step.' if len(same) else
            f'{owner}: action space {space} needs dimensions, and finite bounds with low < high.'
        )  # fmt: skip
    return ActionMap(space.shape, low, high, None, size, tuple(np.flatnonzero(measured).tolist()))

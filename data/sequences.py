"""Windows of consecutive steps, for policies that read the past.

As in the released code of Decision Transformer (kzl/decision-transformer, gym/experiment.py,
get_batch), a window begins at a step drawn uniformly from all of the dataset's and holds the K steps
from there on, or as many as the episode still has.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data import blocks, disk, returns, sampling
from data.loading import Dataset
from data.types import Array, Sequence


class Steps(NamedTuple):
    """A dataset's N steps with what a window needs to know of their episodes.

    Attributes:
        observation: float32 (N, observation_size).
        action: float32 (N, action_size), or int32 (N,) if discrete.
        return_to_go: float32 (N,).
        timestep: int32 (N,); number in the episode, from 0.
        remaining: int32 (N,); steps from this one, itself included, to the episode's end.
    """

    observation: Array
    action: Array
    return_to_go: Array
    timestep: Array
    remaining: Array


def steps(dataset: Dataset) -> Steps:
    """Measures every step's place in its episode."""
    offsets, lengths = dataset.episode_offsets, dataset.episode_lengths
    reward = dataset.transitions.reward
    made = Steps(
        observation=dataset.transitions.observation,
        action=dataset.transitions.action,
        return_to_go=disk.scratch(np.float32, reward.shape),
        timestep=disk.scratch(np.int32, reward.shape),
        remaining=disk.scratch(np.int32, reward.shape),
    )
    for episodes, rows in blocks.of_episodes(offsets):
        numbers = np.arange(rows.start, rows.stop)
        begins, ends = (
            np.repeat(each[episodes], lengths[episodes]) for each in (offsets[:-1], offsets[1:])
        )
        made.timestep[rows] = numbers - begins
        made.remaining[rows] = ends - numbers
        made.return_to_go[rows] = returns.summed(reward[rows], ends - numbers > 1)
    return made


def windows(
    data: Steps, starts: Array, context: int, rows: Callable[[Any, Array], Any] = sampling.rows
) -> Sequence:
    """The windows that begin at steps `starts` (...), as NumPy or JAX arrays like these.

    Args:
        data: of which they are.
        starts: int32.
        context: steps of a window.
        rows: (arrays, indices) -> their rows, as sampling.rows.
    """
    xp = jnp if isinstance(starts, jax.Array) else np
    length = xp.minimum(context, rows(data.remaining, starts))[..., None]
    place = xp.arange(context) - (context - length)
    mask = place >= 0
    steps = starts[..., None] + xp.maximum(place, 0)

    def hide(values):
        hidden = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
        return xp.where(hidden, values, xp.zeros((), values.dtype))

    shown = data.observation, data.action, data.return_to_go, data.timestep
    return Sequence(*map(hide, rows(shown, steps)), mask)

"""Windows of consecutive steps, for policies that read the past.

As in the released code of Decision Transformer (kzl/decision-transformer, gym/experiment.py,
get_batch), a window begins at a step drawn uniformly from all of the dataset's and holds the K steps
from there on, or as many as the episode still has.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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
    numbers = np.arange(offsets[-1])
    so_far = np.concatenate([[0.0], np.cumsum(dataset.transitions.reward, dtype=np.float64)])
    return Steps(
        observation=dataset.transitions.observation,
        action=dataset.transitions.action,
        return_to_go=(np.repeat(so_far[offsets[1:]], lengths) - so_far[:-1]).astype(np.float32),
        timestep=(numbers - np.repeat(offsets[:-1], lengths)).astype(np.int32),
        remaining=(np.repeat(offsets[1:], lengths) - numbers).astype(np.int32),
    )


def windows(data: Steps, starts: Array, context: int) -> Sequence:
    """The windows that begin at steps `starts` (...), as NumPy or JAX arrays like the data."""
    xp = jnp if isinstance(data.timestep, jax.Array) else np
    length = xp.minimum(context, data.remaining[starts])[..., None]
    place = xp.arange(context) - (context - length)
    mask = place >= 0
    rows = starts[..., None] + xp.maximum(place, 0)

    def gather(array):
        values = array[rows]
        hidden = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
        return xp.where(hidden, values, xp.zeros((), values.dtype))

    return Sequence(
        observation=gather(data.observation),
        action=gather(data.action),
        return_to_go=gather(data.return_to_go),
        timestep=gather(data.timestep),
        mask=mask,
    )

"""What follows a decision, of one step or of several: targets over n steps, and actions in chunks.

From step i on, a decision's action are the h actions a_i, ..., a_{i+h-1} of a chunk, which a policy
executes without looking. A target spans the m <= n whole decisions that the episode still has there,

    sum_{k < mh} w_k r_{i+k} + w_{mh} V(s_{i+mh}),   w_k = prod_{j < k} gamma d_{i+j}

with the steps' own discounts d, 0 at a termination: an episode that was cut is bootstrapped from where
it was. With n = 1 that is the target of Q-chunking, with h = 1 that of its baselines of n steps (Li,
Zhou & Levine 2025, https://arxiv.org/abs/2507.07969; released code, ColinQiyangLi/qc, utils/datasets.py,
sample_sequence). That code draws all steps, and gives targets of which the episode has not all nh steps
no weight, so that less is learned from a batch (its model of behaviour still clones what is left of a
chunk). Here steps with fewer than h left are not drawn, and targets are shorter at an episode's end.
Nothing corrects targets for what a policy would have done otherwise in between.

Nothing is made of all steps that is larger than they are: windows are gathered batch by batch, and
folded into transitions where the gamma of a learner is at hand.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from data import blocks, disk, sampling
from data.loading import Dataset
from data.types import Array, DatasetError, Transition


class Decisions(struct.PyTreeNode):
    """A dataset's N steps, and where in them a decision may begin.

    Attributes:
        steps: the transitions.
        last: bool (N,), whether a step is its episode's last.
        starts: int32 (N,), of which the first `count` are the steps at which a decision may begin, in
            order; None if it may at every step.
        return_to_go: float32 (N,), as in data.types.ReturnTransition; None if nobody needs it.
        count: how many steps a decision may begin at.
    """

    steps: Transition
    last: Array
    starts: Array | None
    return_to_go: Array | None
    count: int = struct.field(pytree_node=False)


class Window(NamedTuple):
    """The steps that a target spans, or any batch of them along leading axes.

    Attributes:
        observation: of the first step, float32 (..., observation_size).
        action: of the decision, float32 (..., h * action_size), or int32 (...) if discrete.
        reward, discount: of K steps in a row, float32 (..., K).
        length: how many of them the target spans, int32 (...).
        next_observation: after the last that it spans, float32 (..., observation_size).
        return_to_go: from the first step on, float32 (...); None if nobody needs it.
        next_action: what the data did in next_observation, as `action`; zeros where the episode had no
            whole decision left; None if nobody needs it.
        next_action_known: float32 (...); 1 where the episode had one; None likewise.
    """

    observation: Array
    action: Array
    reward: Array
    discount: Array
    length: Array
    next_observation: Array
    return_to_go: Array | None = None
    next_action: Array | None = None
    next_action_known: Array | None = None


def check(dataset: Dataset, chunk: int, which: str = '') -> list[str]:
    """What nothing is learned from if decisions have so many steps, in a sentence if there is any.

    Args:
        dataset: the episodes.
        chunk: steps of a decision.
        which: of the dataset's episodes these are, in words; all if it is empty.

    Raises:
        DatasetError: no episode has room for a decision.
    """
    name, lengths = dataset.problem.name, dataset.episode_lengths
    short = lengths < chunk
    if short.all():
        raise DatasetError(
            f'dataset {name}: a chunk of {chunk} actions fits in no episode{which}; the longest has '
            f'{lengths.max()} steps.'
        )
    if not short.any():
        return []
    return [
        f'dataset {name}: {short.sum():,} of {len(lengths):,} episodes, {lengths[short].sum():,} steps, '
        f'are not learned from: they are shorter than a chunk of {chunk} actions'
    ]


def of(dataset: Dataset, chunk: int, return_to_go: np.ndarray | None) -> Decisions:
    """Decisions of so many steps each."""
    offsets, lengths = dataset.episode_offsets, dataset.episode_lengths
    steps = len(dataset.transitions.reward)
    last, starts, count = disk.scratch(np.bool_, (steps,)), None, steps
    for rows in blocks.of_steps(steps):
        last[rows] = False
    last[offsets[1:] - 1] = True
    if chunk > 1:
        starts, count = disk.scratch(np.int32, (steps,)), 0
        for episodes, rows in blocks.of_episodes(offsets):
            ends = np.repeat(offsets[1:][episodes], lengths[episodes])
            numbers = np.arange(rows.start, rows.stop)
            found = numbers[ends - numbers >= chunk]
            starts[count : count + len(found)] = found
            count += len(found)
        starts[count:] = 0
    return Decisions(dataset.transitions, last, starts, return_to_go, count)


def windows(
    data: Decisions,
    indices: Array,
    n_step: int,
    chunk: int,
    next_action: bool,
    rows: Callable[[Any, Array], Any] = sampling.rows,
) -> Window:
    """The windows of the decisions of these numbers (...), as NumPy or JAX arrays like these.

    Args:
        data: of which they are.
        indices: int32, below data.count.
        n_step: decisions of a window.
        chunk: steps of a decision.
        next_action: whether that is needed.
        rows: (arrays, indices) -> their rows, as sampling.rows.
    """
    xp = jnp if isinstance(indices, jax.Array) else np
    steps = data.steps
    first = indices if data.starts is None else rows(data.starts, indices)
    # What is beyond the episode, or the dataset, is never looked at.
    reward, discount, last = rows(
        (steps.reward, steps.discount, data.last), first[..., None] + xp.arange(n_step * chunk)
    )
    over = xp.cumsum(last, axis=-1) - last > 0
    length = xp.sum(~over, axis=-1, dtype=np.int32) // chunk * chunk
    end = first + length - 1
    window = Window(
        observation=rows(steps.observation, first),
        action=_chunk(rows, steps.action, first, chunk),
        reward=reward,
        discount=discount,
        length=length,
        next_observation=rows(steps.next_observation, end),
        return_to_go=None if data.return_to_go is None else rows(data.return_to_go, first),
    )
    if not next_action:
        return window
    known = ~rows(data.last, end[..., None] + xp.arange(chunk)).any(axis=-1)
    following = _chunk(rows, steps.action, end + 1, chunk)
    return window._replace(
        next_action=xp.where(known[..., None], following, np.float32(0)),
        next_action_known=known.astype(np.float32),
    )


def _chunk(rows: Callable[[Any, Array], Any], action: Array, first: Array, chunk: int) -> Array:
    if chunk == 1:
        return rows(action, first)
    taken = rows(action, first[..., None] + np.arange(chunk))
    return taken.reshape(*first.shape, -1)


def fold(window: Window, gamma: Array | float) -> Transition:
    """The transition whose reward and discount make the target of a window's steps.

    Args:
        window: with rewards as the learner sees them.
        gamma: the learner's.
    """
    place = jnp.arange(window.reward.shape[-1])
    carried = gamma * window.discount
    # Of a step: what those before it carry.
    weight = jnp.cumprod(jnp.ones_like(carried).at[..., 1:].set(carried[..., :-1]), axis=-1)
    length = window.length[..., None]
    return Transition(
        observation=window.observation,
        action=window.action,
        reward=jnp.sum(jnp.where(place < length, weight * window.reward, 0), axis=-1),
        discount=jnp.sum(jnp.where(place == length - 1, weight * window.discount, 0), axis=-1),
        next_observation=window.next_observation,
    )

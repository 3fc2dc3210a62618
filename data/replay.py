"""Experience as it comes in: the arrays of a dataset, filled while a policy acts.

Batches are of the same forms as a dataset's (data/batches.py). Those that look ahead see what is there
in the order in which it was lived, up to the newest step, and never from one episode into the next.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from data import batches, sampling
from data.batches import Form
from data.decisions import Decisions
from data.types import ReturnTransition, Spec, Transition

_PLAIN = Form()


class Starts(NamedTuple):
    """The steps from which on an episode has a whole chunk.

    Attributes:
        steps: int32 (capacity,), their numbers, counted from the first ever appended; the n-th is in
            row n % capacity.
        dropped: int32, how many of them are of steps that are no more there.
        count: int32, how many there ever were.
        length: int32, steps of the newest episode.
    """

    steps: jax.Array
    dropped: jax.Array
    count: jax.Array
    length: jax.Array


class Replay(NamedTuple):
    """The last steps, up to a capacity; the n-th ever appended is in row n % capacity.

    Attributes:
        transitions: arrays (capacity, ...) on the device; rows not written yet are zero.
        count: int32, transitions ever appended.
        last: bool (capacity,), whether a step is its episode's last, or last so far; None if batches
            do not look ahead.
        return_to_go: float32 (capacity,), as in data.types.ReturnTransition, -inf while an episode
            goes on; None if nobody needs it.
        starts: None if decisions are of one step.
    """

    transitions: Transition
    count: jax.Array
    last: jax.Array | None = None
    return_to_go: jax.Array | None = None
    starts: Starts | None = None

    @property
    def decisions(self) -> jax.Array:
        """How many decisions there are to learn from."""
        return self.count if self.starts is None else self.starts.count - self.starts.dropped


def empty(spec: Spec, capacity: int, form: Form = _PLAIN) -> Replay:
    """A replay buffer without experience, for batches of a form; capacity is form.chunk at least."""
    action = jnp.zeros(capacity, jnp.int32)
    if not spec.discrete:
        action = jnp.zeros((capacity, spec.action_size))
    none = jnp.zeros((), jnp.int32)
    return Replay(
        Transition(
            observation=jnp.zeros((capacity, spec.observation_size)),
            action=action,
            reward=jnp.zeros(capacity),
            discount=jnp.zeros(capacity),
            next_observation=jnp.zeros((capacity, spec.observation_size)),
        ),
        none,
        last=jnp.zeros(capacity, bool) if form.looks_ahead else None,
        return_to_go=jnp.zeros(capacity) if form.kind is ReturnTransition else None,
        starts=Starts(jnp.zeros(capacity, jnp.int32), none, none, none) if form.chunk > 1 else None,
    )


def append(replay: Replay, transition: Transition, begins: jax.Array, chunk: int = 1) -> Replay:
    """Adds one transition, in the place of the oldest if the buffer is full.

    Args:
        replay: to add it to.
        transition: of one step.
        begins: bool, whether an episode begins with it.
        chunk: steps of a decision.
    """
    capacity = replay.transitions.reward.shape[0]
    row, (last, to_go) = replay.count % capacity, (replay.last, replay.return_to_go)
    if last is not None:
        last = last.at[(replay.count - 1) % capacity].set(begins).at[row].set(True)
    return Replay(
        jax.tree.map(lambda rows, new: rows.at[row].set(new), replay.transitions, transition),
        replay.count + 1,
        last,
        None if to_go is None else to_go.at[row].set(-jnp.inf),
        None if replay.starts is None else _started(replay, begins, chunk),
    )


def _started(replay: Replay, begins: jax.Array, chunk: int) -> Starts:
    starts, capacity = replay.starts, replay.transitions.reward.shape[0]
    oldest = starts.steps[starts.dropped % capacity]
    gone = (starts.dropped < starts.count) & (oldest <= replay.count - capacity)
    length = jnp.where(begins, 1, starts.length + 1)
    whole, row = length >= chunk, starts.count % capacity
    step = jnp.where(whole, replay.count + 1 - chunk, starts.steps[row])
    return Starts(starts.steps.at[row].set(step), starts.dropped + gone, starts.count + whole, length)


def fill(replay: Replay, return_to_go: jax.Array, length: jax.Array) -> Replay:
    """Says what the newest episode earned, now that it is over.

    Args:
        replay: that has it, or the end of it.
        return_to_go: from each of its steps on, float32 (most steps of an episode,).
        length: how many steps it has, the first of `return_to_go`; with 0 nothing is said.
    """
    capacity, place = replay.return_to_go.shape[0], jnp.arange(return_to_go.shape[0])
    there = (place < length) & (place >= length - capacity)
    rows = jnp.where(there, (replay.count - length + place) % capacity, capacity)
    filled = replay.return_to_go.at[rows].set(return_to_go, mode='drop')
    return replay._replace(return_to_go=filled)


def sample(replay: Replay, key: jax.Array, batch_size: int, form: Form = _PLAIN) -> Any:
    """What `batches.finished` makes a uniform batch of; inside jit, with a decision at least."""
    capacity = replay.transitions.reward.shape[0]
    filled, oldest = jnp.minimum(replay.count, capacity), jnp.maximum(replay.count - capacity, 0)
    if not form.looks_ahead:
        data = replay.transitions
        if replay.return_to_go is not None:
            data = ReturnTransition(*data, replay.return_to_go)
        return sampling.sample(data, key, batch_size, filled)
    if replay.starts is None:
        first = sampling.sample_indices(key, filled, batch_size)
    else:
        chosen = sampling.sample_indices(key, replay.decisions, batch_size) + replay.starts.dropped
        first = replay.starts.steps[chosen % capacity] - oldest

    def rows(arrays, indices):
        return sampling.rows(arrays, (oldest + indices) % capacity)

    data = Decisions(replay.transitions, replay.last, None, replay.return_to_go, 0)
    return batches.gatherer(form, rows)(data, first)

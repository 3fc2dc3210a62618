"""Experience as it comes in: the arrays of a dataset, filled while a policy acts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from data import sampling
from data.types import Spec, Transition


class Replay(NamedTuple):
    """The last transitions, up to a capacity.

    Attributes:
        transitions: arrays (capacity, ...) on the device; rows not written yet are zero.
        count: int32, transitions ever appended.
    """

    transitions: Transition
    count: jax.Array


def empty(spec: Spec, capacity: int) -> Replay:
    """A replay buffer without experience."""
    action = jnp.zeros(capacity, jnp.int32)
    if not spec.discrete:
        action = jnp.zeros((capacity, spec.action_size))
    return Replay(
        Transition(
            observation=jnp.zeros((capacity, spec.observation_size)),
            action=action,
            reward=jnp.zeros(capacity),
            discount=jnp.zeros(capacity),
            next_observation=jnp.zeros((capacity, spec.observation_size)),
        ),
        jnp.zeros((), jnp.int32),
    )


def append(replay: Replay, transition: Transition) -> Replay:
    """Adds one transition, in the place of the oldest if the buffer is full."""
    row = replay.count % replay.transitions.reward.shape[0]
    return Replay(
        jax.tree.map(lambda rows, new: rows.at[row].set(new), replay.transitions, transition),
        replay.count + 1,
    )


def sample(replay: Replay, key: jax.Array, batch_size: int) -> Transition:
    """A uniform batch of what is there; to be called inside jit, after the first append."""
    filled = jnp.minimum(replay.count, replay.transitions.reward.shape[0])
    return sampling.sample(replay.transitions, key, batch_size, filled)

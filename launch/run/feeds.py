"""Where a chunk of updates gets its batches from: the device, or the host's memory map."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data import sampling
from launch.run import learners, mapping
from launch.run.learners import Learners
from launch.run.loop import Advance

# Bytes of batches that the host puts on the devices at a time.
_FEED_BYTES = 64 * 2**20
# Of a piece of an accelerator's.
_QUEUED_UPDATES = 20
# (states, updates that are left, seconds allowed, alive) -> states, and how many updates were made.
_Piece = Callable[[Any, int, float, np.ndarray], tuple[Any, int]]


def on_device(learner: Learners, data: Any) -> Advance:
    """Batches are drawn where the learners are, from a copy of the data on every device."""
    placed = learners.place(data, learner.mesh)
    piece = (_timed if mapping.on_cpu(learner.mesh) else _queued)(learner, placed)

    def advance(carry, step, num_updates, alive, tick):
        del step
        states, allowed = carry['states'], tick(0)
        while num_updates:
            states, updates = piece(states, num_updates, allowed, alive)
            num_updates -= updates
            allowed = tick(updates)
        return {'states': states}, {}

    return advance


def _timed(learner: Learners, placed: Any) -> _Piece:
    """Pieces of a CPU, of as many updates as the time allows by what the last ones took."""
    seconds = np.inf

    def piece(states, left, allowed, alive):
        nonlocal seconds
        updates, began = min(left, max(int(allowed / seconds), 1)), time.perf_counter()
        states = jax.block_until_ready(learner.train_on_device(states, placed, updates, alive))
        seconds = (time.perf_counter() - began) / updates
        return states, updates

    return piece


def _queued(learner: Learners, placed: Any) -> _Piece:
    """Pieces of an accelerator, which compiles each length anew: of one length.

    One waits for it while it works on another, so that it never waits for the host.
    """
    before = None

    def piece(states, left, allowed, alive):
        nonlocal before
        del allowed
        updates = min(left, _QUEUED_UPDATES)
        states = learner.train_on_device(states, placed, updates, alive)
        jax.block_until_ready(before)
        # Of the states themselves nothing stays: the next piece is made in their place.
        before = jnp.copy(states.step)
        return states, updates

    return piece


def from_host(learner: Learners, data: Any, batch_size: int, context: int | None) -> Advance:
    """The same batches, gathered from the host's arrays or memory maps a few updates ahead.

    Of `batch_size` rows, or of windows of `context` steps (learners.gatherer).
    """
    row_bytes = (context or 1) * sum(array[0].nbytes for array in data)
    affordable = max(_FEED_BYTES // (row_bytes * batch_size * len(learner.rows)), 1)
    gather = learners.gatherer(context)

    def advance(carry, step, num_updates, alive, tick):
        states = carry['states']
        feed = max(n for n in range(1, num_updates + 1) if num_updates % n == 0 and n <= affordable)
        for batches in sampling.host_batches(
            data, learner.seeds[learner.rows], batch_size, step, step + num_updates, feed, gather
        ):
            states = learner.train_on_batches(states, batches, alive)
            tick(feed)
        return {'states': states}, {}

    return advance

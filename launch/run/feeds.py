"""Where a chunk of updates gets its batches from: the devices, or the host's memory map."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from data import batches, disk, sampling, splitting
from launch.run import learners, mapping, spread
from launch.run.learners import Learners
from launch.run.loop import Advance

# Bytes of batches that the host sends to each device at a time.
_FEED_BYTES = 16 * 2**20
# Of a piece of an accelerator's; and about how long one of a CPU's takes.
_QUEUED_UPDATES, _TIMED_SECONDS = 20, 0.5
# (states, updates) -> states after so many, whose metrics are not measured.
_Train = Callable[[Any, int], Any]
# (train, states, updates that are left) -> states, and how many updates were made.
_Piece = Callable[[_Train, Any, int], tuple[Any, int]]


def of(where: str, learner: Learners, data: Any, batch_size: int) -> Advance:
    """Batches of data that lie where a config says, the same wherever that is.

    Args:
        where: as config.dataset_on.
        learner: whose they are.
        data: as data.batches.sampled_from has them for learner.form.
        batch_size: items of a batch.
    """
    match where:
        case 'device':
            return on_device(learner, data)
        case 'split':
            split = splitting.split(data, _over_members(learner))
            # Whose devices ask each other for data make the same pieces, however fast they are.
            return _drawn(learner, split, _queued() if jax.process_count() > 1 else None)
        case 'host':
            return _from_host(learner, data, batch_size)


def on_device(learner: Learners, data: Any) -> Advance:
    """Batches are drawn where the learners are, from a copy of the data on every device."""
    return _drawn(learner, learners.place(data, learner.mesh))


def _over_members(learner: Learners) -> NamedSharding:
    return NamedSharding(learner.mesh, spread.MEMBERS)


def _drawn(learner: Learners, placed: Any, piece: _Piece | None = None) -> Advance:
    piece = piece or _pieces(learner.mesh)

    def advance(carry, step, num_updates, alive, tick):
        del step

        def train(states, updates, measured=False):
            return learner.train_on_device(states, placed, updates, alive, measured)

        states = carry['states']
        while num_updates > 1:
            states, updates = piece(train, states, num_updates - 1)
            num_updates -= updates
            tick(updates)
        states = train(states, 1, measured=True)
        tick(1)
        return {'states': states}, {}

    return advance


def _pieces(mesh: Mesh) -> _Piece:
    return _timed() if mapping.on_cpu(mesh) else _queued()


def _timed() -> _Piece:
    """Pieces of a CPU, of as many updates as the time allows by what the last ones took."""
    seconds = np.inf

    def piece(train, states, left):
        nonlocal seconds
        updates, began = min(left, max(int(_TIMED_SECONDS / seconds), 1)), time.perf_counter()
        states = jax.block_until_ready(train(states, updates))
        seconds = (time.perf_counter() - began) / updates
        return states, updates

    return piece


def _queued() -> _Piece:
    """Pieces of an accelerator, which compiles each length anew: of one length.

    One waits for it while it works on another, so that it never waits for the host.
    """
    before = None

    def piece(train, states, left):
        nonlocal before
        updates = min(left, _QUEUED_UPDATES)
        states = train(states, updates)
        jax.block_until_ready(before)
        # Of the states themselves nothing stays: the next piece is made in their place.
        before = jnp.copy(states.step)
        return states, updates

    return piece


def _from_host(learner: Learners, data: Any, batch_size: int) -> Advance:
    """Batches are gathered from the host's arrays or memory maps, and sent ahead to the devices."""
    disk.expect_random_reads(jax.tree.leaves(data))
    seeds, gather = learner.seeds[learner.rows], batches.gatherer(learner.form)
    draw, num_steps = batches.drawer(learner.form), batches.count(data)
    put = partial(spread.joint, num_rows=len(learner.seeds), sharding=_over_members(learner))
    one = jax.tree.map(np.asarray, draw(jax.random.key(0), num_steps, 1))
    item = jax.tree.leaves(gather(data, one))
    update_bytes = batch_size * sum(array.nbytes for array in item)
    affordable = max(_FEED_BYTES * learner.mesh.size // (update_bytes * len(learner.seeds)), 1)
    piece, feeds, expected = _pieces(learner.mesh), iter(()), None

    def begin(step: int, num_updates: int) -> Iterator[tuple[Any, int]]:
        """Batches, and how many of them are used, chunk after chunk of num_updates from a step on."""
        # All of one length, which is compiled once, even where a chunk is at its end before them.
        size = -(-num_updates // -(-num_updates // affordable))
        firsts = range(0, num_updates, size)
        steps = (chunk + first for chunk in count(step, num_updates) for first in firsts)
        made = sampling.host_batches(
            data, seeds, batch_size, steps, size, gather, put, num_steps=num_steps, draw=draw
        )
        return zip(made, cycle(min(size, num_updates - first) for first in firsts))

    def advance(carry, step, num_updates, alive, tick):
        nonlocal feeds, expected
        if expected != (step, num_updates):
            feeds = begin(step, num_updates)
        expected = step + num_updates, num_updates

        def train(states, updates, measured=False):
            return learner.train_on_batches(states, made, first, updates, alive, measured)

        states = carry['states']
        while num_updates:
            (made, used), first = next(feeds), 0
            num_updates -= used
            end = used if num_updates else used - 1
            while first < end:
                states, updates = piece(train, states, end - first)
                first += updates
                tick(updates)
        states = train(states, 1, measured=True)
        tick(1)
        return {'states': states}, {}

    return advance

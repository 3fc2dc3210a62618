"""Where a chunk of updates gets its batches from: the device, or the host's memory map."""

from typing import Any

from data import sampling
from launch.run import learners
from launch.run.learners import Learners
from launch.run.loop import Advance

# Bytes of batches that the host puts on the devices at a time.
_FEED_BYTES = 64 * 2**20


def on_device(learner: Learners, data: Any) -> Advance:
    """Batches are drawn where the learners are, from a copy of the data on every device."""
    placed = learners.place(data, learner.mesh)

    def advance(carry, step, num_updates):
        del step
        return {'states': learner.train_on_device(carry['states'], placed, num_updates)}, {}

    return advance


def from_host(learner: Learners, data: Any, batch_size: int, context: int | None) -> Advance:
    """The same batches, gathered from the host's arrays or memory maps a few updates ahead.

    Of `batch_size` rows, or of windows of `context` steps (learners.gatherer).
    """
    row_bytes = (context or 1) * sum(array[0].nbytes for array in data)
    affordable = max(_FEED_BYTES // (row_bytes * batch_size * len(learner.rows)), 1)
    gather = learners.gatherer(context)

    def advance(carry, step, num_updates):
        states = carry['states']
        feed = max(n for n in range(1, num_updates + 1) if num_updates % n == 0 and n <= affordable)
        for batches in sampling.host_batches(
            data, learner.seeds[learner.rows], batch_size, step, step + num_updates, feed, gather
        ):
            states = learner.train_on_batches(states, batches)
        return {'states': states}, {}

    return advance

"""A log in blocks: what may be larger than memory is measured and copied a bounded part at a time."""

from collections.abc import Iterator

import numpy as np

# Of a block; 20 numbers of each in float64 are 10 MB.
_STEPS = 1 << 16


def of_steps(count: int) -> Iterator[slice]:
    """Consecutive blocks of `count` steps."""
    for begin in range(0, count, _STEPS):
        yield slice(begin, min(begin + _STEPS, count))


def of_episodes(offsets: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Consecutive blocks of whole episodes, of one at least: its episodes, and its steps.

    Args:
        offsets: int (E + 1,); episode e is steps [offsets[e], offsets[e + 1]).
    """
    first, episodes = 0, len(offsets) - 1
    while first < episodes:
        last = int(np.searchsorted(offsets, offsets[first] + _STEPS, side='right')) - 1
        last = max(last, first + 1)
        yield slice(first, last), slice(int(offsets[first]), int(offsets[last]))
        first = last

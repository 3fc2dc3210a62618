"""Episodes collected by several processes, to the numbers that one would have collected.

Episodes come in blocks; what is in a block, its index determines. Processes work on several blocks at
once, and which of them is ready first changes nothing.
"""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context

import jax
from minari.data_collector import EpisodeBuffer

from data import workers
from data.recipes.recipe import part

# index -> the episodes of a block.
Block = Callable[[int], list[EpisodeBuffer]]


@contextmanager
def processes(worth_it: bool) -> Iterator[ProcessPoolExecutor | None]:
    """A process for each core, which take seconds to start; None, for this one, if not worth it."""
    if not worth_it:
        yield None
        return
    with ProcessPoolExecutor(workers.num_cores(), get_context('spawn'), _begin_worker) as pool:
        with workers.undisturbed():
            # Its processes start when it first has something to do.
            pool.submit(int)
        yield pool


def _begin_worker() -> None:
    jax.config.update('jax_platforms', 'cpu')
    workers.end_with_parent()


def first_steps(
    pool: ProcessPoolExecutor | None, collect: Block, num_steps: int
) -> Iterator[EpisodeBuffer]:
    """The first steps of blocks 0, 1, 2, ...; the last episode is truncated there.

    Args:
        pool: of `processes`; `collect` must then be such that it can be sent to them.
        collect: makes a block.
        num_steps: how many.
    """
    with closing(_blocks(pool, collect)) as blocks:
        collected = itertools.chain.from_iterable(blocks)
        while num_steps > 0:
            episode = next(collected)
            cut = len(episode) > num_steps
            yield part(episode, 0, num_steps, terminated=False) if cut else episode
            num_steps -= len(episode)


def _blocks(pool: ProcessPoolExecutor | None, collect: Block) -> Iterator[list[EpisodeBuffer]]:
    """Blocks 0, 1, 2, ..., without end; in a pool, a few are begun ahead of need."""
    if pool is None:
        yield from map(collect, itertools.count())
        return
    submit = functools.partial(pool.submit, collect)
    ahead = deque(map(submit, range(2 * workers.num_cores())))
    try:
        for index in itertools.count(len(ahead)):
            yield ahead.popleft().result()
            ahead.append(submit(index))
    finally:
        for future in ahead:
            future.cancel()

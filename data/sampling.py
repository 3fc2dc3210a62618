"""Uniform minibatches, a pure function of seed and step.

Batch i of a seed is the same whether it is gathered on the device inside jit or on the host from the
memory map, and whether or not the run was interrupted before it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data.types import Array


def batch_key(seed: jax.Array, step: jax.Array) -> jax.Array:
    """The key of the batch that the member with this seed sees at this step."""
    # Apart from the stream of keys that the learner of the same seed draws from.
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0xDA7A), step)


def sample_indices(key: jax.Array, num_steps: int, batch_size: int) -> jax.Array:
    """Uniform indices with replacement, int32 (batch_size,)."""
    return jax.random.randint(key, (batch_size,), 0, num_steps)


def rows(data: Any, indices: Array) -> Any:
    """The rows at these indices (...) of every array, such as the transitions there."""

    def of(array: Array) -> Array:
        if isinstance(array, np.ndarray):
            # Threefold as fast as by brackets, since NumPy need not look whether they are within bounds.
            return np.asarray(array).take(indices, axis=0, mode='clip')
        return array[indices]

    return jax.tree.map(of, data)


def sample(
    data: Any,
    key: jax.Array,
    batch_size: int,
    num_steps: jax.Array | int | None = None,
    gather: Callable[[Any, Any], Any] = rows,
    draw: Callable[[jax.Array, jax.Array | int, int], Any] = sample_indices,
) -> Any:
    """A uniform batch from arrays on the device; to be called inside jit.

    Args:
        data: arrays of N steps.
        key: of the batch.
        batch_size: items in it.
        num_steps: how many of the first steps to sample from, if not from all.
        gather: (data, drawn) -> a batch.
        draw: (key, num_steps, batch_size) -> what is drawn of a batch, its indices and no more if not
            said otherwise.
    """
    if num_steps is None:
        num_steps = data.action.shape[0]
    return gather(data, draw(key, num_steps, batch_size))


@partial(jax.jit, static_argnames=('num_batches', 'num_steps', 'batch_size', 'draw'))
def _indices(seeds, first_step, num_batches, num_steps, batch_size, draw):
    def indices(seed, step):
        return draw(batch_key(seed, step), num_steps, batch_size)

    steps = first_step + jnp.arange(num_batches)
    return jax.vmap(jax.vmap(indices, (None, 0)), (0, None))(seeds, steps)


def _beside() -> jax.Device | None:
    """The host, where indices wait for no training on an accelerator; None if JAX is kept from it."""
    platforms = jax.config.jax_platforms
    return None if platforms and 'cpu' not in platforms else jax.local_devices(backend='cpu')[0]


def host_batches(
    data: Any,
    seeds: np.ndarray,
    batch_size: int,
    first_steps: Iterable[int],
    num_batches: int,
    gather: Callable[[Any, Any], Any] = rows,
    put: Callable[[Any], Any] = lambda batches: batches,
    ahead: int = 8,
    num_steps: int | None = None,
    draw: Callable[[jax.Array, jax.Array | int, int], Any] = sample_indices,
) -> Iterator[Any]:
    """Yields the batches of num_batches steps from each of first_steps on, gathered from host arrays.

    As many threads as there are items ahead gather them, so that learning overlaps with reading the
    disk, and that many places of the disk are read at once.

    Args:
        data: arrays or memory maps of N steps.
        seeds: one seed per member, (members,).
        batch_size: transitions per batch.
        first_steps: of the items, which may go on for ever.
        num_batches: steps per yielded item.
        gather, draw: as in `sample`.
        put: what else a thread does to an item, such as to send it to the devices.
        ahead: items that are made before they are asked for.
        num_steps: how many of the first steps to sample from, if not from all.

    Yields:
        Batches with leading axes (members, num_batches, batch_size).
    """
    if num_steps is None:
        num_steps = len(data.action)

    def make(step: int) -> Any:
        with jax.default_device(_beside()):
            drawn = _indices(seeds, step, num_batches, num_steps, batch_size, draw)
        return put(gather(data, jax.tree.map(np.asarray, drawn)))

    steps = iter(first_steps)
    with ThreadPoolExecutor(ahead) as pool:
        pending = deque(pool.submit(make, step) for step in islice(steps, ahead))
        while pending:
            batches = pending.popleft().result()
            pending.extend(pool.submit(make, step) for step in islice(steps, 1))
            yield batches

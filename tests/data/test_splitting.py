"""Rows of a dataset that lies on two devices are, bit for bit, those of the whole."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data import sampling, sequences, splitting
from data.sequences import Steps
from data.types import Transition

# Both devices have the step in the middle.
SIZE = 101
SPLIT = PartitionSpec('member')


def transitions() -> Transition:
    rng = np.random.default_rng(0)
    reward = rng.standard_normal(SIZE).astype(np.float32)
    # What sums with zeros, or comparisons, would change or miss.
    reward[:4] = -0.0, np.nan, np.inf, np.float32(1e-45)
    return Transition(
        observation=rng.standard_normal((SIZE, 3)).astype(np.float32),
        action=rng.integers(-5, 5, SIZE).astype(np.int32),
        reward=reward,
        discount=np.ones(SIZE, np.float32),
        next_observation=rng.standard_normal((SIZE, 3)).astype(np.float32),
    )


def steps() -> Steps:
    made, place = transitions(), np.arange(SIZE, dtype=np.int32) % 10
    remaining = 10 - place
    remaining[-1] = 1
    return Steps(made.observation, made.action, made.reward, place, remaining)


def bits(array) -> np.ndarray:
    return np.asarray(array).view(np.uint8)


@pytest.mark.parametrize('over', [jax.lax.map, lambda one, each: jax.vmap(one)(each)])
@pytest.mark.parametrize('windows', [False, True])
def test_rows_are_those_of_the_whole(over, windows):
    data = steps() if windows else transitions()
    gather = partial(sequences.windows, context=4) if windows else sampling.rows
    mesh = Mesh(np.array(jax.local_devices()[:2]), ('member',))
    laid = splitting.split(data, NamedSharding(mesh, SPLIT))
    assert laid.num_steps == SIZE
    for array in jax.tree.leaves(laid.parts):
        assert array.shape[0] == 102
        assert {shard.data.shape[0] for shard in array.addressable_shards} == {51}
    across = partial(splitting.rows, num_steps=SIZE, axis='member')
    take = partial(gather, rows=across) if windows else across

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(SPLIT, SPLIT), out_specs=SPLIT, check_vma=False)
    def taken(parts, indices):
        return over(partial(take, parts), indices)

    # Three members on each device, with indices of their own, at the ends of the parts among them.
    indices = np.random.default_rng(1).integers(SIZE, size=(6, 32)).astype(np.int32)
    indices[:, :6] = 0, 50, 51, 100, 1, 2
    found, expected = taken(laid.parts, indices), gather(jax.tree.map(jnp.asarray, data), indices)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(bits(one), bits(other))

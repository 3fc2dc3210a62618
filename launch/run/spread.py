"""Arrays of a row per member, over the devices of all processes that train a run."""

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from launch.cli import UserError
from launch.run import processes

# Of arrays with a row for each of a mesh's members, and of those that all of its devices have.
MEMBERS, SHARED = PartitionSpec('member'), PartitionSpec()


def mesh(num_members: int) -> Mesh:
    """A mesh for members: of as many devices as they occupy, some of each process, in their order.

    Raises:
        UserError: there are fewer members than processes.
    """
    number = jax.process_count()
    if num_members < number:
        raise UserError(
            f'a run of {num_members} members is trained by at most as many processes, not by {number}.'
        )
    share = -(-num_members // number)
    devices = [jax.local_devices(process)[:share] for process in range(number)]
    return Mesh(np.concatenate(devices), ('member',))


def out(tree: Any, sharding: Sharding) -> Any:
    """Arrays that every process has, as ones over the devices of all."""

    def over_devices(array):
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(over_devices, tree)


def joint(tree: Any, num_rows: int, sharding: Sharding) -> Any:
    """Arrays of which every process has the rows for its own devices, as ones over those of all."""
    return jax.tree.map(
        lambda rows: jax.make_array_from_process_local_data(sharding, rows, (num_rows, *rows.shape[1:])),
        tree,
    )


def whole(tree: Any) -> Any:
    """NumPy's copies of arrays whose rows are spread over the devices of all processes."""
    leaves, structure = jax.tree.flatten(tree)
    if all(leaf.is_fully_addressable for leaf in leaves):
        return jax.device_get(tree)
    own = [np.concatenate([np.asarray(each) for each in _shards(leaf)]) for leaf in leaves]
    sizes = [leaf.dtype.itemsize * math.prod(leaf.shape[1:]) for leaf in leaves]
    found = [[] for _ in leaves]
    for part in processes.exchange(b''.join(rows.tobytes() for rows in own)):
        count, begin = len(part) // sum(sizes), 0
        for pieces, leaf, size in zip(found, leaves, sizes):
            rows = np.frombuffer(part[begin : begin + count * size], leaf.dtype)
            pieces.append(rows.reshape(count, *leaf.shape[1:]))
            begin += count * size
    return jax.tree.unflatten(structure, map(np.concatenate, found))


def own(tree: Any, mesh: Mesh) -> Any:
    """The rows of arrays, spread over a mesh, that are on this process's devices, without a copy."""
    sharding = NamedSharding(mesh.local_mesh, MEMBERS)

    def rows(leaf):
        shards = _shards(leaf)
        shape = (sum(map(len, shards)), *leaf.shape[1:])
        return jax.make_array_from_single_device_arrays(shape, sharding, shards)

    return jax.tree.map(lambda leaf: leaf if leaf.is_fully_addressable else rows(leaf), tree)


def _shards(array: jax.Array) -> list[jax.Array]:
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return [shard.data for shard in shards]

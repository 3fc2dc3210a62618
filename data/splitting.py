"""A dataset that is too large for one device, laid over several of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import NamedSharding

from data import sampling


class Split(struct.PyTreeNode):
    """N steps, each on one of the devices along an axis of a mesh.

    Attributes:
        parts: the arrays. Every device has as many consecutive steps, the last device the last ones,
            of which the devices before may have some too: (devices * steps of a device, ...) as a
            whole, (steps of a device, ...) inside shard_map.
        num_steps: N.
    """

    parts: Any
    num_steps: int = struct.field(pytree_node=False)


def split(data: Any, sharding: NamedSharding) -> Split:
    """Lays arrays or memory maps of N steps over devices; each process reads what its devices get.

    Args:
        data: their numbers are of 32 bits, or bool.
        sharding: of the axis of steps.
    """
    devices = sharding.mesh.size
    num_steps = len(jax.tree.leaves(data)[0])
    steps = -(-num_steps // devices)

    def place(array: np.ndarray) -> jax.Array:
        def part(index: tuple[slice, ...]) -> np.ndarray:
            first = min(index[0].start or 0, num_steps - steps)
            return np.asarray(array[first : first + steps])

        return jax.make_array_from_callback((devices * steps, *array.shape[1:]), sharding, part)

    return Split(jax.tree.map(place, data), num_steps)


def rows(parts: Any, indices: jax.Array, num_steps: int, axis: str) -> Any:
    """The rows at these indices (...) of a Split's parts; to be called inside shard_map.

    Every device asks all of them for the rows that it needs, so that all have to call this equally
    often, for as many rows each.

    Args:
        parts: of a device.
        indices: of steps of the whole.
        num_steps: of the whole.
        axis: of the mesh.
    """
    steps, device = len(jax.tree.leaves(parts)[0]), jax.lax.axis_index(axis)
    asked = jax.lax.all_gather(indices, axis)
    has = asked // steps == device
    place = asked - jnp.minimum(device * steps, num_steps - steps)
    found, structure = jax.tree.flatten(sampling.rows(parts, jnp.clip(place, 0, steps - 1)))
    # All arrays at once, since a collective takes its time however little it moves; as whole numbers, to
    # which the zeros of the devices that lack a row add nothing, not even to -0.0.
    bits = [_bits(array, jnp.int32).reshape(*asked.shape, -1) for array in found]
    widths = np.cumsum([array.shape[-1] for array in bits])
    packed = jnp.where(has[..., None], jnp.concatenate(bits, axis=-1), 0)
    mine = jnp.split(jax.lax.psum_scatter(packed, axis), widths[:-1], axis=-1)
    return jax.tree.unflatten(structure, [
        _bits(part.reshape(*indices.shape, *array.shape[asked.ndim :]), array.dtype)
        for part, array in zip(mine, found)
    ])  # fmt: skip


def _bits(array: jax.Array, dtype: Any) -> jax.Array:
    if bool in (array.dtype, dtype):
        return array.astype(dtype)
    return jax.lax.bitcast_convert_type(array, dtype)

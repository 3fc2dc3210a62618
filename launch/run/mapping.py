"""How a device trains its members: those that have diverged stay as they are, and cost nothing."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh


def on_cpu(mesh: Mesh) -> bool:
    """Whether the devices of a mesh are cores."""
    return mesh.devices.flat[0].platform == 'cpu'


def each(one: Callable, mesh: Mesh) -> Callable:
    """jax.vmap's results: on a core, batched matrix products are slower than single ones."""
    if on_cpu(mesh):
        return lambda *members: jax.lax.map(lambda member: one(*member), members)
    return jax.vmap(one)


def living(train: Callable, mesh: Mesh, width: int, together: bool = False) -> Callable:
    """(alive, states, ...) -> states, trained if alive.

    Args:
        train: (state, ...) -> state, of one member.
        mesh: of whose devices this is one.
        width: of `width`, that an accelerator trains.
        together: whether devices ask each other for data, and so have to train as many, alive or not.
    """

    def train_or_not(alive, state, *rest):
        return jax.lax.cond(alive, train, lambda state, *rest: state, state, *rest)

    def train_and_choose(alive, state, *rest):
        trained = train(state, *rest)
        return jax.tree.map(lambda new, old: jnp.where(alive, new, old), trained, state)

    def train_first(alive, *members):
        first = jnp.argsort(~alive, stable=True)[:width]
        chosen = jax.tree.map(lambda rows: rows[first], (alive, *members))
        trained = jax.vmap(train_and_choose)(*chosen)
        return jax.tree.map(lambda rows, new: rows.at[first].set(new), members[0], trained)

    if not on_cpu(mesh):
        return train_first
    return each(train_and_choose if together else train_or_not, mesh)


def width(alive: np.ndarray, mesh: Mesh) -> int:
    """How many of its members each device trains at once, given who is alive, bool (mesh_members,).

    Every width is compiled anew: it is halved when half of them have diverged, on whichever device most
    are alive. Cores take their members one after another, and compile once.
    """
    found = len(alive) // mesh.size
    most = alive.reshape(mesh.size, found).sum(axis=1).max()
    while found and 2 * most <= found and not on_cpu(mesh):
        found //= 2
    return found

"""How a device trains its members: those that have diverged stay as they are, and cost nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh


def on_cpu(mesh: Mesh) -> bool:
    """Whether the devices of a mesh are cores."""
    return mesh.devices.flat[0].platform == 'cpu'


def one_after_another(train: Callable, width: int) -> Callable:
    """(alive, states, ...) -> states: on a core, batched matrix products are slower than single ones."""
    del width

    def train_if_alive(member):
        alive, state, *rest = member
        return jax.lax.cond(alive, train, lambda state, *rest: state, state, *rest)

    return lambda *members: jax.lax.map(train_if_alive, members)


def in_step(train: Callable, width: int) -> Callable:
    """As one_after_another, for devices that ask each other for data, and so have to train as many."""
    del width
    return lambda *members: jax.lax.map(lambda member: _trained_if_alive(train, *member), members)


def side_by_side(train: Callable, width: int) -> Callable:
    """(alive, states, ...) -> states: vmapped over `width` of them, all that are alive among these."""

    def train_first(alive, *members):
        first = jnp.argsort(~alive, stable=True)[:width]
        chosen = jax.tree.map(lambda rows: rows[first], (alive, *members))
        trained = jax.vmap(partial(_trained_if_alive, train))(*chosen)
        return jax.tree.map(lambda rows, new: rows.at[first].set(new), members[0], trained)

    return train_first


def _trained_if_alive(train: Callable, alive: jax.Array, state: Any, *rest: Any) -> Any:
    trained = train(state, *rest)
    return jax.tree.map(lambda new, old: jnp.where(alive, new, old), trained, state)


def repeated(update: Callable[[Any, Any], Any], state: Any, num_updates: Any) -> Any:
    """The state after so many updates (index, state) -> state."""

    def body(index, state):
        # Metrics are read after the last update: of all others XLA leaves out what only they need.
        return update(index, state).replace(metrics=state.metrics)

    last = num_updates - 1
    return update(last, jax.lax.fori_loop(0, last, body, state))


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

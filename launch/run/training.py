"""Many updates of all members as one compiled computation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from data import sampling
from data.splitting import Split
from launch.run import mapping
from launch.run.spread import MEMBERS, SHARED

# An algorithm's (state, batch) -> state.
_Update = Callable[[Any, Any], Any]


def on_drawn(update: _Update, draw: Callable[[Any, jax.Array], Any], mesh: Mesh) -> Callable:
    """(states, seeds, data, num_updates, alive, width, measured) -> states.

    Args:
        update: of one member.
        draw: (data on the device, key) -> a batch.
        mesh: that the members are laid over.
    """

    @_compiled(mesh)
    def train_all(states, seeds, data, num_updates, alive, width, measured):
        in_parts = isinstance(data, Split)

        def train(states, seeds, alive, data, num_updates):
            def train_one(state, seed):
                def step(_, state):
                    return update(state, draw(data, sampling.batch_key(seed, state.step)))

                return _repeated(step, state, num_updates, measured)

            return mapping.living(train_one, mesh, width, together=in_parts)(alive, states, seeds)

        specs = MEMBERS, MEMBERS, MEMBERS, MEMBERS if in_parts else SHARED, SHARED
        return _over(mesh, train, specs)(states, seeds, alive, data, num_updates)

    return train_all


def on_given(update: _Update, mesh: Mesh) -> Callable:
    """(states, batches, first, num_updates, alive, width, measured) -> states.

    Args:
        update: of one member.
        mesh: that the members are laid over.
    """

    @_compiled(mesh)
    def train_all(states, batches, first, num_updates, alive, width, measured):
        def train(states, batches, alive, first, num_updates):
            def train_one(state, batches):
                def step(number, state):
                    return update(state, jax.tree.map(lambda each: each[first + number], batches))

                return _repeated(step, state, num_updates, measured)

            return mapping.living(train_one, mesh, width)(alive, states, batches)

        specs = MEMBERS, MEMBERS, MEMBERS, SHARED, SHARED
        return _over(mesh, train, specs)(states, batches, alive, first, num_updates)

    return train_all


def _compiled(mesh: Mesh) -> Callable:
    # A loop of unknown length costs an accelerator a word with the host in every round.
    lengths = () if mapping.on_cpu(mesh) else ('num_updates',)
    static = 'width', 'measured', *lengths
    return partial(jax.jit, donate_argnames='states', static_argnames=static)


def _over(mesh: Mesh, train: Callable, specs: tuple[PartitionSpec, ...]) -> Callable:
    return jax.shard_map(train, mesh=mesh, in_specs=specs, out_specs=MEMBERS, check_vma=False)


def _repeated(step: Callable[[Any, Any], Any], state: Any, num_updates: Any, measured: bool) -> Any:
    """The state after so many steps (number, state) -> state, or after one that is measured.

    Of updates whose metrics nobody reads XLA leaves out what only metrics need. It may round the others
    differently, so that which are measured must not depend on how long pieces take.
    """
    if measured:
        return step(0, state)
    return jax.lax.fori_loop(
        0, num_updates, lambda number, state: step(number, state).replace(metrics=state.metrics), state
    )

"""All members of a run as one compiled computation.

States carry a leading member axis, which is sharded over the local devices: members never talk to
each other, so each device runs its own, vmapped (a CPU core: one after another), for a whole chunk
of updates at a time. If the members do not divide evenly, the last one is repeated to fill the mesh:
states, and what an algorithm remembers while it acts, have mesh_members rows, all else has members.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from data import sampling, sequences
from data.problem import Preprocessing
from data.types import Array, Sequence, Spec, Transition
from launch.run import mapping
from launch.run.members import Member, stack_hparams

_MEMBERS = PartitionSpec('member')
_SHARED = PartitionSpec()


class Learners(NamedTuple):
    """The compiled functions of a run's members.

    Attributes:
        members: whose they are.
        mesh: of the devices that they are laid over.
        seeds: uint32 (mesh_members,), the fill included.
        gammas: float32 (members,); 1 for an algorithm that discounts nothing.
        init: () -> states.
        train_on_device: (states, data, num_updates, alive) -> states; data on the device: transitions,
            or data.sequences.Steps; of members that are not alive, bool (members,), the states stay.
        train_on_batches: (states, batches, alive) -> states; batches (mesh_members, updates, batch,
            ...).
        metrics_on: (states, data, num_batches) -> the algorithm's metrics, each (members,), of updates
            that are not made: means over as many batches of data on the device, the same for all.
        act: (states, memory, observations, rewards, keys, step) -> (actions, memory); observations
            (members, environments, ...) as the environment gives them, keys of `keys`, which the step
            sets apart.
        init_memory: (states, num_envs) -> memory; () unless the policies remember.
        explore: (states, observations, keys, step) -> actions (members, ...) to collect data with;
            None if the algorithm does not say how.
        claimed_value: (states, observations, keys) -> what the critics claim for the policies'
            actions, (members, batch); observations (members, batch, ...) as for act. None if the
            algorithm has no critic.
    """

    members: list[Member]
    mesh: Mesh
    seeds: np.ndarray
    gammas: np.ndarray
    init: Callable[[], Any]
    train_on_device: Callable[[Any, Any, int, np.ndarray], Any]
    train_on_batches: Callable[[Any, Any, np.ndarray], Any]
    metrics_on: Callable[[Any, Any, int], dict[str, np.ndarray]]
    act: Callable
    init_memory: Callable[[Any, int], Any]
    explore: Callable | None
    claimed_value: Callable | None

    def keys(self, stream: int | None = None) -> jax.Array:
        """The members' keys, (mesh_members,); a stream sets them apart from those of others."""
        keys = jax.vmap(jax.random.key)(self.seeds)
        return keys if stream is None else jax.vmap(jax.random.fold_in, (0, None))(keys, stream)

    def fill(self, array: np.ndarray) -> np.ndarray:
        """(members, ...) -> (mesh_members, ...): the last row repeated."""
        missing = len(self.seeds) - len(array)
        return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1), 'edge')


def make_mesh(num_members: int) -> Mesh:
    """As many local devices as there are members to occupy them."""
    devices = jax.local_devices()
    return Mesh(np.array(devices[: min(num_members, len(devices))]), ('member',))


def build(
    algorithm: ModuleType,
    spec: Spec,
    preprocessing: Preprocessing,
    members: list[Member],
    hparams: dict[str, float],
    network: ConfigDict,
    batch_size: int,
) -> Learners:
    """Compiles nothing yet: each function is compiled when first called.

    Args:
        algorithm: a module of algorithms/.
        spec, preprocessing: of the problem.
        members: of the run.
        hparams: the algorithm's, where a member's setting has no other value.
        network: the config that the algorithm's init reads.
        batch_size: rows, or windows, of a batch.
    """
    mesh = make_mesh(len(members))
    filled = members + [members[-1]] * (-len(members) % mesh.size)
    shard = partial(jax.shard_map, mesh=mesh, check_vma=False)
    seeds = np.array([member.seed for member in filled], np.uint32)
    stacked = stack_hparams(algorithm, hparams, filled)
    preprocessing = jax.tree.map(jnp.asarray, preprocessing)
    over_members = mapping.one_after_another if mapping.on_cpu(mesh) else mapping.side_by_side

    def init_one(seed, hparams):
        return algorithm.init(jax.random.key(seed), spec, hparams, network)

    init_all = jax.jit(
        shard(jax.vmap(init_one), in_specs=(_MEMBERS, _MEMBERS), out_specs=_MEMBERS)
    )

    context = context_of(algorithm, network)
    gather = gatherer(context)
    prepared = preprocessing.transition if context is None else preprocessing.sequence

    def train_one(state, seed, data, num_updates):
        def update(_, state):
            key = sampling.batch_key(seed, state.step)
            batch = sampling.sample(data, key, batch_size, gather=gather)
            return algorithm.update(state, prepared(batch))

        return _repeated(update, state, num_updates)

    # A loop of unknown length costs an accelerator a word with the host in every round.
    lengths = () if mapping.on_cpu(mesh) else ('num_updates',)

    @partial(jax.jit, donate_argnames='states', static_argnames=('width', *lengths))
    def train_all(states, seeds, data, num_updates, alive, width):
        def train(states, seeds, alive, data, num_updates):
            one = partial(train_one, data=data, num_updates=num_updates)
            return over_members(one, width)(alive, states, seeds)

        specs = _MEMBERS, _MEMBERS, _MEMBERS, _SHARED, _SHARED
        return shard(train, in_specs=specs, out_specs=_MEMBERS)(
            states, seeds, alive, data, num_updates
        )

    def train_one_on_batches(state, batches):
        def update(index, state):
            batch = jax.tree.map(lambda array: array[index], batches)
            return algorithm.update(state, prepared(batch))

        return _repeated(update, state, len(batches.action))

    @partial(jax.jit, donate_argnames='states', static_argnames='width')
    def train_all_on_batches(states, batches, alive, width):
        def train(states, batches, alive):
            return over_members(train_one_on_batches, width)(alive, states, batches)

        specs = _MEMBERS, _MEMBERS, _MEMBERS
        return shard(train, in_specs=specs, out_specs=_MEMBERS)(states, batches, alive)

    @partial(jax.jit, static_argnums=2)
    def measure_all(states, data, num_batches):
        def measure_one(state, data):
            def metrics(number):
                key = sampling.batch_key(0, number)
                batch = sampling.sample(data, key, batch_size, gather=gather)
                return algorithm.update(state, prepared(batch)).metrics

            each = jax.lax.map(metrics, jnp.arange(num_batches))
            return jax.tree.map(partial(jnp.mean, axis=0), each)

        def measure(states, data):
            one = partial(measure_one, data=data)
            return jax.lax.map(one, states) if mapping.on_cpu(mesh) else jax.vmap(one)(states)

        return shard(measure, in_specs=(_MEMBERS, _SHARED), out_specs=_MEMBERS)(states, data)

    def act_one(state, memory, observation, reward, key, step):
        observation, key = preprocessing.observation(observation), jax.random.fold_in(key, step)
        return algorithm.act(state, memory, observation, reward, key)

    def explore_one(state, observation, key, step):
        key = jax.random.fold_in(key, step)
        return algorithm.explore(state, preprocessing.observation(observation), key)

    def claim_one(state, observation, key):
        return algorithm.claimed_value(state, preprocessing.observation(observation), key)

    def compiled(one, *axes):
        in_specs = tuple(_SHARED if axis is None else _MEMBERS for axis in axes)
        return jax.jit(shard(jax.vmap(one, axes), in_specs=in_specs, out_specs=_MEMBERS))

    act_all = compiled(act_one, 0, 0, 0, 0, 0, None)
    explore_all, claim_all = compiled(explore_one, 0, 0, 0, None), compiled(claim_one, 0, 0, 0)

    def init_memory(states, num_envs):
        if not hasattr(algorithm, 'init_memory'):
            return ()
        create = jax.vmap(partial(algorithm.init_memory, num_envs=num_envs))
        return jax.jit(shard(create, in_specs=_MEMBERS, out_specs=_MEMBERS))(states)

    def train_on_device(states, data, num_updates, alive):
        alive = learner.fill(alive)
        return train_all(states, seeds, data, num_updates, alive, mapping.width(alive, mesh))

    def train_on_batches(states, batches, alive):
        alive = learner.fill(alive)
        return train_all_on_batches(states, batches, alive, mapping.width(alive, mesh))

    def own(array):
        return np.asarray(array)[: len(members)]

    def metrics_on(states, data, num_batches):
        return jax.tree.map(own, measure_all(states, data, num_batches))

    def act(states, memory, observations, rewards, keys, step):
        observations, rewards = learner.fill(observations), learner.fill(np.float32(rewards))
        actions, memory = act_all(states, memory, observations, rewards, keys, step)
        return own(actions), memory

    def explore(states, observations, keys, step):
        return own(explore_all(states, learner.fill(observations), keys, step))

    def claimed_value(states, observations, keys):
        return own(claim_all(states, learner.fill(observations), keys))

    learner = Learners(
        members=members,
        mesh=mesh,
        seeds=seeds,
        gammas=own(getattr(stacked, 'gamma', np.ones(len(filled), np.float32))),
        init=lambda: init_all(seeds, stacked),
        train_on_device=train_on_device,
        train_on_batches=train_on_batches,
        metrics_on=metrics_on,
        act=act,
        init_memory=init_memory,
        explore=explore if hasattr(algorithm, 'explore') else None,
        claimed_value=claimed_value if hasattr(algorithm, 'claimed_value') else None,
    )
    return learner


def _repeated(update: Callable[[Any, Any], Any], state: Any, num_updates: Any) -> Any:
    """The state after so many updates (index, state) -> state."""

    def body(index, state):
        # Metrics are read after the last update: of all others XLA leaves out what only they need.
        return update(index, state).replace(metrics=state.metrics)

    last = num_updates - 1
    return update(last, jax.lax.fori_loop(0, last, body, state))


def context_of(algorithm: ModuleType, network: ConfigDict) -> int | None:
    """Steps of the windows that an algorithm learns from; None if it learns from transitions."""
    return network.context if getattr(algorithm, 'BATCH', Transition) is Sequence else None


def gatherer(context: int | None) -> Callable[[Any, Array], Any]:
    """(data, indices) -> a batch: the rows at these indices, or the windows that begin there."""
    return sampling.rows if context is None else partial(sequences.windows, context=context)


def place(data: Any, mesh: Mesh) -> Any:
    """Copies a dataset to every device of a mesh."""
    sharding = NamedSharding(mesh, _SHARED)
    return jax.tree.map(lambda array: jax.device_put(np.asarray(array), sharding), data)


def all_finite(states: Any, num_members: int) -> np.ndarray:
    """Whether every parameter and metric of each member is finite, bool (members,).

    Not its hyperparameters: an infinite one may be meant, such as a decay that never ends.
    """
    return np.asarray(_all_finite(states.replace(hparams=None)))[:num_members]


@jax.jit
def _all_finite(states: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(states) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    finite = [jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=1) for leaf in leaves]
    return jnp.all(jnp.stack(finite), 0)

"""All members of a run as one compiled computation.

States carry a leading member axis, which is sharded over the local devices: members never talk to
each other, so each device runs its own, vmapped (a CPU core: one after another), for a whole chunk
of updates at a time. If the members do not divide evenly, the last one is repeated to fill the mesh
and the copies are dropped from everything that leaves here.
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
from data.sequences import Steps
from data.transforms import Preprocessing
from data.types import Array, Sequence, Spec, Transition
from launch import members as membership
from launch.members import Member

_MEMBERS = PartitionSpec('member')
_SHARED = PartitionSpec()


class Learners(NamedTuple):
    """The compiled functions of a run; `states` have a leading axis of `mesh_members`.

    Attributes:
        seeds: uint32 (mesh_members,), the fill included.
        discounts: float32 (mesh_members,); 1 for an algorithm that discounts nothing.
        init: () -> states.
        adopt: (states of other members, indices) -> theirs at these indices, one for each of ours,
            with our hyperparameters.
        train_on_device: (states, data, num_updates) -> states; data on the device: transitions, or
            data.sequences.Steps.
        train_on_batches: (states, batches) -> states; batches (members, updates, batch, ...).
        act: (states, memory, observation, reward, keys) -> (action, memory), observations
            (members, environments, ...) as the environment gives them.
        init_memory: (states, num_envs) -> memory.
        explore: (states, observations, keys, step) -> actions to collect data with, drawn by the
            keys and the step; None if the algorithm does not say how.
        claimed_value: (states, observations, keys) -> what the critics claim for the policies'
            actions, (members, batch); observations (members, batch, ...) as for act. None if the
            algorithm has no critic.
    """

    seeds: np.ndarray
    discounts: np.ndarray
    init: Callable[[], Any]
    adopt: Callable[[Any, np.ndarray], Any]
    train_on_device: Callable[[Any, Transition | Steps, int], Any]
    train_on_batches: Callable[[Any, Transition | Sequence], Any]
    act: Callable
    init_memory: Callable[[Any, int], Any]
    explore: Callable | None
    claimed_value: Callable | None


def make_mesh(num_members: int) -> Mesh:
    """As many local devices as there are members to occupy them."""
    devices = jax.local_devices()
    return Mesh(np.array(devices[: min(num_members, len(devices))]), ('member',))


def fill(members: list[Member], mesh: Mesh) -> list[Member]:
    """The members, the last one repeated until they divide evenly over the mesh."""
    return members + [members[-1]] * (-len(members) % mesh.size)


def build(
    algorithm: ModuleType,
    config: ConfigDict,
    spec: Spec,
    members: list[Member],
    preprocessing: Preprocessing,
) -> Learners:
    """Compiles nothing yet: each function is compiled when first called."""
    mesh = make_mesh(len(members))
    members = fill(members, mesh)
    shard = partial(jax.shard_map, mesh=mesh, check_vma=False)
    seeds = membership.seeds(members)
    over_members = _one_after_another if mesh.devices.flat[0].platform == 'cpu' else jax.vmap

    def init_one(seed, hparams):
        return algorithm.init(jax.random.key(seed), spec, hparams, config.network)

    init_all = jax.jit(
        shard(jax.vmap(init_one), in_specs=(_MEMBERS, _MEMBERS), out_specs=_MEMBERS)
    )

    gather = gatherer(algorithm, config)
    sequential = reads_sequences(algorithm)
    prepared = preprocessing.sequence if sequential else preprocessing.transition

    def train_one(state, seed, data, num_updates):
        def body(state, _):
            key = sampling.batch_key(seed, state.step)
            batch = sampling.sample(data, key, config.batch_size, gather=gather)
            return algorithm.update(state, prepared(batch)), None

        return jax.lax.scan(body, state, None, length=num_updates)[0]

    @partial(jax.jit, donate_argnums=0, static_argnums=3)
    def train_all(states, seeds, data, num_updates):
        def train(states, seeds, data):
            one = partial(train_one, data=data, num_updates=num_updates)
            return over_members(one)(states, seeds)

        return shard(train, in_specs=(_MEMBERS, _MEMBERS, _SHARED), out_specs=_MEMBERS)(
            states, seeds, data
        )

    def train_one_on_batches(state, batches):
        def body(state, batch):
            return algorithm.update(state, prepared(batch)), None

        return jax.lax.scan(body, state, batches)[0]

    train_on_batches = jax.jit(
        shard(over_members(train_one_on_batches), in_specs=(_MEMBERS, _MEMBERS), out_specs=_MEMBERS),
        donate_argnums=0,
    )

    def act_one(state, memory, observation, reward, key):
        observation = preprocessing.observation(observation)
        return algorithm.act(state, memory, observation, reward, key)

    act = jax.jit(shard(jax.vmap(act_one), in_specs=_MEMBERS, out_specs=_MEMBERS))

    def init_memory(states, num_envs):
        create = jax.vmap(partial(algorithm.init_memory, num_envs=num_envs))
        return jax.jit(shard(create, in_specs=_MEMBERS, out_specs=_MEMBERS))(states)

    def explore_one(state, observation, key, step):
        key = jax.random.fold_in(key, step)
        return algorithm.explore(state, preprocessing.observation(observation), key)

    def claim_one(state, observation, key):
        return algorithm.claimed_value(state, preprocessing.observation(observation), key)

    def if_defined(name, one, axes=(0, 0, 0)):
        if not hasattr(algorithm, name):
            return None
        in_specs = tuple(_SHARED if axis is None else _MEMBERS for axis in axes)
        return jax.jit(shard(jax.vmap(one, axes), in_specs=in_specs, out_specs=_MEMBERS))

    hparams = membership.stack_hparams(algorithm, config, members)

    def adopt(states, indices):
        # The fill repeats the last member.
        theirs = np.pad(indices, (0, len(members) - len(indices)), 'edge')
        ours = jax.tree.map(lambda leaf: leaf[theirs], states).replace(hparams=hparams)
        return jax.device_put(ours, NamedSharding(mesh, _MEMBERS))

    return Learners(
        seeds=seeds,
        discounts=np.asarray(getattr(hparams, 'discount', np.ones(len(members)))),
        init=lambda: init_all(seeds, hparams),
        adopt=adopt,
        train_on_device=lambda states, data, num_updates: train_all(
            states, seeds, data, num_updates
        ),
        train_on_batches=train_on_batches,
        act=act,
        init_memory=init_memory,
        explore=if_defined('explore', explore_one, (0, 0, 0, None)),
        claimed_value=if_defined('claimed_value', claim_one),
    )


def _one_after_another(train: Callable) -> Callable:
    """jax.vmap's results: on a CPU core, batched matrix products are slower than single ones."""
    return lambda *members: jax.lax.map(lambda member: train(*member), members)


def reads_sequences(algorithm: ModuleType) -> bool:
    """Whether the batches of an algorithm are windows of steps instead of transitions."""
    return getattr(algorithm, 'BATCH', Transition) is Sequence


def gatherer(algorithm: ModuleType, config: ConfigDict) -> Callable[[Any, Array], Any]:
    """(data, indices) -> what an algorithm's batches consist of at these steps."""
    if reads_sequences(algorithm):
        return partial(sequences.windows, context=config.network.context)
    return sampling.rows


def place(data: Transition | Steps, num_members: int) -> Any:
    """Copies a dataset to every device of the mesh."""
    sharding = NamedSharding(make_mesh(num_members), _SHARED)
    return jax.tree.map(lambda array: jax.device_put(np.asarray(array), sharding), data)


def all_finite(states: Any) -> jax.Array:
    """Whether every parameter and metric of each member is finite, bool (members,).

    Not its hyperparameters: an infinite one may be meant, such as a decay that never ends.
    """
    leaves = [
        leaf
        for leaf in jax.tree.leaves(states.replace(hparams=None))
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    return jnp.all(
        jnp.stack([jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=1) for leaf in leaves]), 0
    )

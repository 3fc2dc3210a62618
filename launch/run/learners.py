"""All members of a run as one compiled computation.

States carry a leading member axis, which is sharded over devices, of this process or of all that train
the run: members never talk to each other, so each device runs its own, vmapped (a CPU core: one after
another), for many updates at a time. If the members do not divide evenly, the last one is repeated to
fill the mesh: states, and what an algorithm remembers while it acts, have mesh_members rows, all else
has members.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from data import batches, sampling, splitting
from data.batches import Form
from data.goals import Goals
from data.problem import Preprocessing
from data.splitting import Split
from data.types import Sequence, Spec, SubgoalTransition, Transition
from launch.run import chunks, mapping, spread, training
from launch.run.members import Member, stack_hparams
from launch.run.spread import MEMBERS, SHARED


class Learners(NamedTuple):
    """The compiled functions of a run's members.

    Attributes:
        members: whose they are.
        mesh: of the devices that they are laid over.
        seeds: uint32 (mesh_members,), the fill included.
        gammas: float32 (members,); 1 for an algorithm that discounts nothing.
        form: of what they learn from.
        init: () -> states.
        train_on_device: (states, data, num_updates, alive=all, measured=True) -> states; data on the
            device, as data.batches.sampled_from has them for `form`, or a Split of them; of members that
            are not alive, bool (members,), the states stay; measured is whether the states have the
            metrics of the last update then, or those that they had.
        train_on_batches: (states, batches, first, num_updates, alive=all, measured=True) -> states;
            batches (mesh_members, updates, batch, ...), as data.batches.gatherer has them, of which
            num_updates are used, from number `first` on.
        metrics_on: (states, batches) -> the algorithm's metrics, each (members,), of updates that are
            not made: means over batches on every device (updates, batch, ...), the same for all.
        act: (states, memory, observations, rewards, keys, step) -> (actions, memory); observations
            (members, environments, ...) as the environment gives them, keys of `keys`, which the step
            sets apart.
        init_memory: (states, num_envs) -> memory; () unless the policies remember, if only the rest of
            a chunk.
        explore: (states, observations, keys, step) -> actions (members, ...) to collect data with,
            whole chunks if they act in such; None if the algorithm does not say how.
        claimed_value: (states, observations, keys) -> what the critics claim for the policies'
            actions, (members, batch); observations (members, batch, ...) as for act. None if the
            algorithm has no critic.
    """

    members: list[Member]
    mesh: Mesh
    seeds: np.ndarray
    gammas: np.ndarray
    form: Form
    init: Callable[[], Any]
    train_on_device: Callable[..., Any]
    train_on_batches: Callable[..., Any]
    metrics_on: Callable[[Any, Any], dict[str, np.ndarray]]
    act: Callable
    init_memory: Callable[[Any, int], Any]
    explore: Callable | None
    claimed_value: Callable | None

    @property
    def rows(self) -> range:
        """Which of the mesh_members are on the devices of this process."""
        here = [device.process_index == jax.process_index() for device in self.mesh.devices.flat]
        each = len(self.seeds) // len(here)
        return range(here.index(True) * each, (here.index(True) + sum(here)) * each)

    def keys(self, stream: int | None = None) -> jax.Array:
        """The members' keys, (mesh_members,); a stream sets them apart from those of others."""
        keys = jax.vmap(jax.random.key)(self.seeds)
        return keys if stream is None else jax.vmap(jax.random.fold_in, (0, None))(keys, stream)

    def fill(self, array: np.ndarray) -> np.ndarray:
        """(members, ...) -> (mesh_members, ...): the last row repeated."""
        missing = len(self.seeds) - len(array)
        return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1), 'edge')


def make_mesh(num_members: int) -> Mesh:
    """As many devices of this process as there are members to occupy them."""
    return Mesh(np.array(jax.local_devices()[:num_members]), ('member',))


def build(
    algorithm: ModuleType,
    spec: Spec,
    preprocessing: Preprocessing,
    members: list[Member],
    hparams: dict[str, float],
    network: ConfigDict,
    batch_size: int,
    n_step: int = 1,
    chunk: int = 1,
    goals: Goals | None = None,
    mesh: Mesh | None = None,
) -> Learners:
    """Compiles nothing yet: each function is compiled when first called.

    Args:
        algorithm: a module of algorithms/.
        spec, preprocessing: of the problem.
        members: of the run.
        hparams: the algorithm's, where a member's setting has no other value.
        network: the config that the algorithm's init reads.
        batch_size: items of a batch.
        n_step: decisions that a target spans.
        chunk: actions of a decision.
        goals: that steps are relabelled with, if any.
        mesh: of the devices to lay them over; None for this process's own.
    """
    mesh = mesh or make_mesh(len(members))
    filled = members + [members[-1]] * (-len(members) % mesh.size)
    shard = partial(jax.shard_map, mesh=mesh, check_vma=False)
    sharding = NamedSharding(mesh, MEMBERS)
    seeds = np.array([member.seed for member in filled], np.uint32)
    stacked = stack_hparams(algorithm, hparams, filled)
    seeds_spread, hparams_spread = spread.out((seeds, stacked), sharding)
    preprocessing = jax.tree.map(jnp.asarray, preprocessing)

    decided = spec._replace(action_size=spec.action_size * chunk)

    def init_one(seed, hparams):
        return algorithm.init(jax.random.key(seed), decided, hparams, network)

    init_all = jax.jit(
        shard(mapping.each(init_one, mesh), in_specs=(MEMBERS, MEMBERS), out_specs=MEMBERS)
    )

    form = form_of(algorithm, network, n_step, chunk, goals)
    begin, act_by_step = chunks.policy(algorithm, spec, chunk)

    def update(state, batch):
        gamma = getattr(state.hparams, 'gamma', 1.0)
        return algorithm.update(state, batches.finished(batch, form, preprocessing, gamma))

    def draw(data, key):
        number, drawer = batches.count(data), batches.drawer(form)
        if not isinstance(data, Split):
            return sampling.sample(data, key, batch_size, number, batches.gatherer(form), drawer)
        across = batches.gatherer(
            form, partial(splitting.rows, num_steps=data.num_steps, axis='member')
        )
        return sampling.sample(data.parts, key, batch_size, number, across, drawer)

    train_on_drawn = training.on_drawn(update, draw, mesh)
    train_on_given = training.on_given(update, mesh)

    @jax.jit
    def measure_all(states, batches):
        def measure_one(state, batches):
            each = jax.lax.map(lambda batch: update(state, batch).metrics, batches)
            return jax.tree.map(partial(jnp.mean, axis=0), each)

        def measure(states, batches):
            return mapping.each(partial(measure_one, batches=batches), mesh)(states)

        return shard(measure, in_specs=(MEMBERS, SHARED), out_specs=MEMBERS)(states, batches)

    def act_one(state, memory, observation, reward, key, step):
        observation, key = preprocessing.observation(observation), jax.random.fold_in(key, step)
        return act_by_step(state, memory, observation, reward, key)

    def explore_one(state, observation, key, step):
        key = jax.random.fold_in(key, step)
        return algorithm.explore(state, preprocessing.observation(observation), key)

    def claim_one(state, observation, key):
        return algorithm.claimed_value(state, preprocessing.observation(observation), key)

    def compiled(one, *axes):
        in_specs = tuple(SHARED if axis is None else MEMBERS for axis in axes)
        return jax.jit(shard(jax.vmap(one, axes), in_specs=in_specs, out_specs=MEMBERS))

    act_all = compiled(act_one, 0, 0, 0, 0, 0, None)
    explore_all, claim_all = compiled(explore_one, 0, 0, 0, None), compiled(claim_one, 0, 0, 0)

    @partial(jax.jit, static_argnames='num_envs')
    def init_memory(states, num_envs):
        if begin is None:
            return ()
        create = jax.vmap(partial(begin, num_envs=num_envs))
        return shard(create, in_specs=MEMBERS, out_specs=MEMBERS)(states)

    def train_on_device(states, data, num_updates, alive=None, measured=True):
        alive, width = living(alive)
        if measured and num_updates > 1:
            states = train_on_drawn(states, seeds_spread, data, num_updates - 1, alive, width, False)
            num_updates = 1
        return train_on_drawn(states, seeds_spread, data, num_updates, alive, width, measured)

    def train_on_batches(states, batches, first, num_updates, alive=None, measured=True):
        alive, width = living(alive)
        if measured and num_updates > 1:
            states = train_on_given(states, batches, first, num_updates - 1, alive, width, False)
            first, num_updates = first + num_updates - 1, 1
        return train_on_given(states, batches, first, num_updates, alive, width, measured)

    def living(alive):
        alive = learner.fill(np.ones(len(members), bool) if alive is None else alive)
        return spread.out(alive, sharding), mapping.width(alive, mesh)

    def own(array):
        return np.asarray(array)[: len(members)]

    def metrics_on(states, batches):
        return jax.tree.map(own, measure_all(states, batches))

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
        form=form,
        init=lambda: init_all(seeds_spread, hparams_spread),
        train_on_device=train_on_device,
        train_on_batches=train_on_batches,
        metrics_on=metrics_on,
        act=act,
        init_memory=init_memory,
        explore=explore if hasattr(algorithm, 'explore') else None,
        claimed_value=claimed_value if hasattr(algorithm, 'claimed_value') else None,
    )
    return learner


def form_of(
    algorithm: ModuleType, network: ConfigDict, n_step: int = 1, chunk: int = 1,
    goals: Goals | None = None,
) -> Form:  # fmt: skip
    """What an algorithm learns from."""
    kind = getattr(algorithm, 'BATCH', Transition)
    return Form(
        kind, network.context if kind is Sequence else 0, n_step, chunk, goals,
        network.subgoal_steps if kind is SubgoalTransition else 0,
    )  # fmt: skip


def goals_of(config: ConfigDict) -> Goals | None:
    """What a config relabels steps with, if anything."""
    if not config.goals.future:
        return None
    return Goals(**config.goals, gamma=config.hparams.get('gamma', 0.0))


def place(data: Any, mesh: Mesh) -> Any:
    """Copies a dataset to every device of a mesh."""
    return spread.out(data, NamedSharding(mesh, SHARED))


def all_finite(states: Any, num_members: int) -> np.ndarray:
    """Whether every parameter and metric of each member is finite, bool (members,).

    Not its hyperparameters: an infinite one may be meant, such as a decay that never ends.
    """
    return spread.whole(_all_finite(states.replace(hparams=None)))[:num_members]


@jax.jit
def _all_finite(states: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(states) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    finite = [jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=1) for leaf in leaves]
    return jnp.all(jnp.stack(finite), 0)

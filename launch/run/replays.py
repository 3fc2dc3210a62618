"""The members' replay buffers, each on the device that its member learns on."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from data import replay, sampling
from data.replay import Replay
from data.types import Spec, Transition
from launch.run.learners import Learners


class Replays(NamedTuple):
    """Compiled functions on replay buffers with a leading axis of mesh members.

    Attributes:
        empty: () -> replay.
        append: (replay, transitions (mesh_members, ...)) -> replay.
        sample: (replay, seeds, steps) -> the batches of so many updates from these steps on,
            (mesh_members, updates, batch, ...), some rows of each from the offline dataset if there is
            one.
    """

    empty: Callable[[], Replay]
    append: Callable[[Replay, Transition], Replay]
    sample: Callable[[Replay, np.ndarray, jax.Array], Transition]


def build(
    spec: Spec,
    learner: Learners,
    capacity: int,
    batch_size: int,
    offline: Transition | None,
    offline_share: float,
    num_updates: int = 1,
) -> Replays:
    """Compiles nothing yet: each function is compiled when first called.

    Args:
        spec: of the problem.
        learner: of the run.
        capacity: transitions that a buffer holds.
        batch_size: rows of a batch.
        offline: a dataset on the devices (learners.place), or None.
        offline_share: of each batch, that comes from it.
        num_updates: whose batches are sampled at a time.
    """
    own = PartitionSpec('member')
    shard = partial(jax.shard_map, mesh=learner.mesh, out_specs=own, check_vma=False)
    from_offline = 0 if offline is None else round(offline_share * batch_size)

    def sample_one(buffer, seed, step, offline):
        own_key, offline_key = jax.random.split(sampling.batch_key(seed, step))
        batch = replay.sample(buffer, own_key, batch_size - from_offline)
        if from_offline:
            others = sampling.sample(offline, offline_key, from_offline)
            batch = jax.tree.map(lambda *rows: jnp.concatenate(rows), batch, others)
        return batch

    def sample_each(buffer, seed, step, offline):
        steps = step + jnp.arange(num_updates)
        return jax.vmap(sample_one, (None, None, 0, None))(buffer, seed, steps, offline)

    def empty(numbers):
        return jax.vmap(lambda _: replay.empty(spec, capacity))(numbers)

    sample_all = jax.jit(
        shard(
            jax.vmap(sample_each, (0, 0, 0, None)), in_specs=(own, own, own, PartitionSpec())
        )
    )
    return Replays(
        empty=partial(jax.jit(shard(empty, in_specs=own)), jnp.arange(len(learner.seeds))),
        append=jax.jit(shard(jax.vmap(replay.append), in_specs=own), donate_argnums=0),
        sample=lambda buffer, seeds, steps: sample_all(buffer, seeds, steps, offline),
    )

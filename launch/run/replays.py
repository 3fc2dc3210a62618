"""The members' replay buffers, each on the device that its member learns on."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from data import batches, replay, sampling
from data.replay import Replay
from data.types import Spec
from launch.run.actors import Step
from launch.run.learners import Learners


class Replays(NamedTuple):
    """Compiled functions on replay buffers with a leading axis of mesh members.

    Attributes:
        empty: () -> replay.
        append: (replay, launch.run.actors.Step) -> replay.
        fill: (replay, what an episode earned, (mesh_members, steps), its steps, (mesh_members,)) ->
            replay, as data.replay.fill.
        decisions: (replay) -> how many each member has to learn from at least, (members,).
        sample: (replay, seeds, steps) -> the batches of so many updates from these steps on,
            (mesh_members, updates, batch, ...), some rows of each from the offline dataset if there is
            one; of members without a decision they are of no use.
    """

    empty: Callable[[], Replay]
    append: Callable[[Replay, Step], Replay]
    fill: Callable[[Replay, np.ndarray, np.ndarray], Replay]
    decisions: Callable[[Replay], np.ndarray]
    sample: Callable[[Replay, np.ndarray, jax.Array], Any]


def build(
    spec: Spec,
    learner: Learners,
    capacity: int,
    batch_size: int,
    offline: Any,
    offline_share: float,
    num_updates: int = 1,
) -> Replays:
    """Compiles nothing yet: each function is compiled when first called.

    Args:
        spec: of the problem.
        learner: of the run.
        capacity: transitions that a buffer holds.
        batch_size: rows of a batch.
        offline: what data.batches.sampled_from made of a dataset, on the devices (learners.place), or
            None.
        offline_share: of each batch, that comes from it.
        num_updates: whose batches are sampled at a time.
    """
    own, form = PartitionSpec('member'), learner.form
    shard = partial(jax.shard_map, mesh=learner.mesh, out_specs=own, check_vma=False)
    from_offline = 0 if offline is None else round(offline_share * batch_size)

    def sample_one(buffer, seed, step, offline):
        own_key, offline_key = jax.random.split(sampling.batch_key(seed, step))
        batch = replay.sample(buffer, own_key, batch_size - from_offline, form)
        if from_offline:
            number, gather = batches.count(offline), batches.gatherer(form)
            others = sampling.sample(offline, offline_key, from_offline, number, gather)
            batch = jax.tree.map(lambda *rows: jnp.concatenate(rows), batch, others)
        return batch

    def sample_each(buffer, seed, step, offline):
        steps = step + jnp.arange(num_updates)
        return jax.vmap(sample_one, (None, None, 0, None))(buffer, seed, steps, offline)

    def empty(numbers):
        return jax.vmap(lambda _: replay.empty(spec, capacity, form))(numbers)

    sample_all = jax.jit(
        shard(
            jax.vmap(sample_each, (0, 0, 0, None)), in_specs=(own, own, own, PartitionSpec())
        )
    )

    def changing(function):
        return jax.jit(shard(jax.vmap(function), in_specs=own), donate_argnums=0)

    append_all, fill_all = changing(partial(replay.append, chunk=form.chunk)), changing(replay.fill)

    def append(buffer, step):
        buffer = append_all(buffer, step.transition, step.begins)
        return fill_all(buffer, *step.ended) if step.ended else buffer

    def decisions(buffer):
        number = len(learner.members)
        # Without chunks there is one at every step; nobody has to wait for the device.
        return np.asarray(buffer.decisions)[:number] if form.chunk > 1 else np.ones(number, np.int32)

    return Replays(
        empty=partial(jax.jit(shard(empty, in_specs=own)), jnp.arange(len(learner.seeds))),
        append=append,
        fill=fill_all,
        decisions=decisions,
        sample=lambda buffer, seeds, steps: sample_all(buffer, seeds, steps, offline),
    )

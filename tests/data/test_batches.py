"""What learners are given, however it is gathered: every kind against plain loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data import batches, returns, splitting
from data.batches import Form
from data.problem import identity
from data.types import NextActionTransition, ReturnTransition, Sequence, Transition
from tests.data.test_transforms import dataset

LENGTHS = [3, 1, 7, 5]
GAMMA = 0.9
SPLIT = PartitionSpec('member')
FORMS = {
    'rows': Form(),
    'returns': Form(ReturnTransition),
    'next actions': Form(NextActionTransition),
    'sequences': Form(Sequence, context=4),
}
kinds = pytest.mark.parametrize('form', FORMS.values(), ids=FORMS)


def log():
    """Four episodes of known places and unknown numbers; the third terminates."""
    made, rng = dataset([0.0] * 4, LENGTHS), np.random.default_rng(0)
    made.transitions.discount[10] = 0
    return made._replace(
        transitions=made.transitions._replace(
            action=rng.uniform(-1, 1, (16, 2)).astype(np.float32),
            reward=rng.standard_normal(16, np.float32),
        )
    )


def batch_of(made, form, indices, gamma=GAMMA):
    gathered = batches.gatherer(form)(batches.sampled_from(made, form, gamma), indices)
    return batches.finished(gathered, form, identity(2), gamma)


@kinds
def test_the_host_a_device_and_devices_with_parts_gather_the_same(form):
    """Bit for bit; the second device begins in the middle of an episode."""
    data = batches.sampled_from(log(), form, GAMMA)
    indices = np.random.default_rng(1).integers(batches.count(data), size=(4, 32)).astype(np.int32)
    gather = batches.gatherer(form)
    expected = gather(data, indices)
    assert all(isinstance(array, np.ndarray) for array in jax.tree.leaves(expected))
    on_device = jax.jit(gather)(jax.tree.map(jnp.asarray, data), indices)

    mesh = Mesh(np.array(jax.local_devices()[:2]), ('member',))
    laid = splitting.split(data, NamedSharding(mesh, SPLIT))
    assert batches.count(laid) == batches.count(data)
    across = batches.gatherer(form, partial(splitting.rows, num_steps=16, axis='member'))

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(SPLIT, SPLIT), out_specs=SPLIT, check_vma=False)
    def taken(parts, indices):
        return jax.lax.map(partial(across, parts), indices)

    for found in (on_device, taken(laid.parts, indices)):
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_a_learner_of_transitions_samples_from_the_datasets_own_arrays():
    made = log()
    assert batches.sampled_from(made, Form(), GAMMA) is made.transitions


def test_returns_come_with_their_transitions():
    made, indices = log(), np.arange(16)
    batch = batch_of(made, Form(ReturnTransition), indices)
    for found, expected in zip(batch, made.transitions):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(batch.return_to_go, returns.discounted_to_go(made, GAMMA))


def test_the_next_action_is_that_of_the_same_episode_or_none():
    made, indices = log(), np.arange(16)
    batch = batch_of(made, Form(NextActionTransition), indices)
    for name in Transition._fields:
        np.testing.assert_array_equal(getattr(batch, name), getattr(made.transitions, name))
    last = np.isin(indices, made.episode_offsets[1:] - 1)
    np.testing.assert_array_equal(batch.next_action_known, ~last)
    expected = np.roll(made.transitions.action, -1, axis=0) * ~last[:, None]
    np.testing.assert_array_equal(batch.next_action, expected)

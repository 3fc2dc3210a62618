"""What learners are given, however it is gathered: every kind against plain loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data import batches, blocks, decisions, returns, splitting
from data.batches import Form
from data.problem import identity
from data.types import DatasetError, NextActionTransition, ReturnTransition, Sequence, Transition
from tests.data.test_transforms import dataset

LENGTHS = [3, 1, 7, 5]
GAMMA = 0.9
SPLIT = PartitionSpec('member')
FORMS = {
    'rows': Form(),
    'returns': Form(ReturnTransition),
    'next actions': Form(NextActionTransition),
    'sequences': Form(Sequence, context=4),
    'n steps': Form(n_step=4),
    'returns of n steps': Form(ReturnTransition, n_step=3),
    'chunks': Form(chunk=3),
    'next actions after n chunks': Form(NextActionTransition, n_step=3, chunk=2),
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
    """But for the rounding of sums; the second device begins in the middle of an episode."""
    data = batches.sampled_from(log(), form, GAMMA)
    indices = np.random.default_rng(1).integers(batches.count(data), size=(4, 32)).astype(np.int32)
    gather = batches.gatherer(form)
    finish = partial(batches.finished, form=form, preprocessing=identity(2), gamma=GAMMA)
    gathered = gather(data, indices)
    assert all(isinstance(array, np.ndarray) for array in jax.tree.leaves(gathered))
    expected = finish(gathered)
    on_device = finish(jax.jit(gather)(jax.tree.map(jnp.asarray, data), indices))

    mesh = Mesh(np.array(jax.local_devices()[:2]), ('member',))
    laid = splitting.split(data, NamedSharding(mesh, SPLIT))
    assert batches.count(laid) == batches.count(data)
    across = batches.gatherer(form, partial(splitting.rows, num_steps=16, axis='member'))

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(SPLIT, SPLIT), out_specs=SPLIT, check_vma=False)
    def taken(parts, indices):
        return jax.lax.map(partial(across, parts), indices)

    for found in (on_device, finish(taken(laid.parts, indices))):
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-6)


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


def slow_target(made, row, n_step, chunk, gamma, scale=1.0, shift=0.0):
    """(reward, discount, first row after the target's last, whether the episode ends there)."""
    end = made.episode_offsets[np.searchsorted(made.episode_offsets, row, side='right')]
    after = row + min(n_step, (end - row) // chunk) * chunk
    reward, weight, discount = 0.0, 1.0, None
    for step in range(row, after):
        reward += weight * (scale * float(made.transitions.reward[step]) + shift)
        discount = weight * float(made.transitions.discount[step])
        weight *= gamma * float(made.transitions.discount[step])
    return reward, discount, after, after + chunk > end


@pytest.mark.parametrize('n_step', [2, 4, 20])
@pytest.mark.parametrize('gamma', [0.9, 0.0])
def test_targets_over_n_steps_equal_explicit_sums(n_step, gamma):
    """Of episodes that are cut, terminate, are shorter than n, and whose steps last differently."""
    made = log()
    made.transitions.discount[11:16] = 0.8, 0.5, 1.0, 0.7, 0.9
    maps = identity(2)._replace(reward_scale=np.float32(2), reward_shift=np.float32(-0.5))
    form, indices = Form(NextActionTransition, n_step=n_step), np.arange(16)
    gathered = batches.gatherer(form)(batches.sampled_from(made, form, gamma), indices)
    batch = batches.finished(gathered, form, maps, gamma)
    steps = made.transitions
    for row in range(16):
        reward, discount, after, over = slow_target(made, row, n_step, 1, gamma, 2.0, -0.5)
        np.testing.assert_allclose(batch.reward[row], reward, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.discount[row], discount, rtol=1e-5)
        np.testing.assert_array_equal(batch.observation[row], steps.observation[row])
        np.testing.assert_array_equal(batch.action[row], steps.action[row])
        np.testing.assert_array_equal(batch.next_observation[row], steps.next_observation[after - 1])
        assert batch.next_action_known[row] == (not over)
        expected = 0 * steps.action[0] if over else steps.action[after]
        np.testing.assert_array_equal(batch.next_action[row], expected)


def test_bootstrapping_a_target_from_the_true_values_gives_the_true_values():
    """Where V is what is still to be earned, every target over n steps is that, too."""
    made, n_step = log(), 3
    to_go = returns.summed(
        made.transitions.reward, GAMMA * ~np.isin(np.arange(16), made.episode_offsets[1:] - 1)
    )
    batch = batch_of(made, Form(n_step=n_step), np.arange(16))
    # A dataset marks each step by its number; what follows an episode that was cut is 0 here.
    after = np.asarray(batch.next_observation[:, 1], int)
    value = np.where(np.isin(after, made.episode_offsets), 0, np.append(to_go, 0)[after])
    targets = batch.reward + GAMMA * batch.discount * value
    np.testing.assert_allclose(targets, to_go, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('n_step', 'chunk'), [(1, 2), (3, 2), (2, 3), (1, 7)])
def test_chunks_equal_explicit_loops(n_step, chunk):
    """A decision begins wherever its episode has room for it, and only there."""
    made, form = log(), Form(NextActionTransition, n_step=n_step, chunk=chunk)
    made.transitions.discount[11:16] = 0.8, 0.5, 1.0, 0.7, 0.9
    data, steps = batches.sampled_from(made, form, GAMMA), made.transitions
    ends = np.repeat(made.episode_offsets[1:], LENGTHS)
    starts = np.flatnonzero(ends - np.arange(16) >= chunk)
    assert batches.count(data) == len(starts) == sum(max(n - chunk + 1, 0) for n in LENGTHS)
    batch = batch_of(made, form, np.arange(len(starts)))
    for item, row in enumerate(starts):
        reward, discount, after, over = slow_target(made, row, n_step, chunk, GAMMA)
        np.testing.assert_allclose(batch.reward[item], reward, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.discount[item], discount, rtol=1e-5)
        np.testing.assert_array_equal(batch.observation[item], steps.observation[row])
        np.testing.assert_array_equal(batch.next_observation[item], steps.next_observation[after - 1])
        np.testing.assert_array_equal(batch.action[item], steps.action[row : row + chunk].ravel())
        assert batch.next_action_known[item] == (not over)
        expected = np.zeros(2 * chunk) if over else steps.action[after : after + chunk].ravel()
        np.testing.assert_array_equal(batch.next_action[item], expected)


def test_where_decisions_begin_is_the_same_found_in_blocks(monkeypatch):
    whole = decisions.of(log(), 3, None)
    monkeypatch.setattr(blocks, '_STEPS', 4)
    parts = decisions.of(log(), 3, None)
    np.testing.assert_array_equal(parts.starts, whole.starts)
    np.testing.assert_array_equal(parts.last, whole.last)


def test_episodes_that_are_shorter_than_a_chunk_are_named():
    assert decisions.check(log(), 1) == []
    said = 'dataset test/made-v0: 2 of 4 episodes, 4 steps, are not learned from: they are shorter than'
    assert decisions.check(log(), 4)[0].startswith(said)
    with pytest.raises(DatasetError, match='of 8 actions fits in no episode held out; .* has 7 steps'):
        decisions.check(log(), 8, ' held out')

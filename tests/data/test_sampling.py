"""Minibatches: the same from device and host, whenever one starts, and uniform."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from data import sampling
from data.types import Transition

SIZE = 1_000
BATCH = 32


@pytest.fixture
def transitions():
    """Transitions whose every field tells which one it is."""
    index = np.arange(SIZE, dtype=np.float32)
    return Transition(
        observation=np.stack([index, -index], axis=1),
        action=np.arange(SIZE, dtype=np.int32),
        reward=index,
        discount=index,
        next_observation=np.stack([index + 1, -index], axis=1),
    )


def host_rewards(transitions, seeds, first_step, last_step, num_batches, **options) -> np.ndarray:
    """(members, steps, BATCH)"""
    steps = range(first_step, last_step, num_batches)
    batches = sampling.host_batches(
        transitions, np.array(seeds), BATCH, steps, num_batches, **options
    )
    return np.concatenate([batch.reward for batch in batches], axis=1)


def test_host_and_device_see_the_same_batches(transitions):
    on_device = jax.tree.map(jnp.asarray, transitions)

    @jax.jit
    def sample(seed, step):
        return sampling.sample(on_device, sampling.batch_key(seed, step), BATCH)

    seeds = np.array([0, 7])
    for start, batch in zip((4, 7), sampling.host_batches(transitions, seeds, BATCH, (4, 7), 3)):
        assert batch.observation.shape == (2, 3, BATCH, 2)
        for member, seed in enumerate(seeds):
            for offset in range(3):
                there = jax.tree.map(lambda x, at=(member, offset): x[at], batch)
                here = sample(seed, start + offset)
                jax.tree.map(np.testing.assert_array_equal, here, there)


def test_fields_of_a_batch_belong_together(transitions):
    batch = sampling.sample(transitions, jax.random.key(0), BATCH)
    index = batch.action
    jax.tree.map(
        np.testing.assert_array_equal, batch, jax.tree.map(lambda array: array[index], transitions)
    )
    assert batch.action.dtype == np.int32


@pytest.mark.parametrize('num_batches', [1, 2, 6])
def test_a_resumed_run_sees_the_same_batches(transitions, num_batches):
    whole = host_rewards(transitions, [3, 4], 0, 12, 4)
    resumed = host_rewards(transitions, [3, 4], 6, 12, num_batches)
    np.testing.assert_array_equal(whole[:, 6:], resumed)


@pytest.mark.parametrize('ahead', [1, 2, 50])
def test_what_is_made_ahead_changes_nothing(transitions, ahead):
    expected = host_rewards(transitions, [5], 0, 9, 1)
    np.testing.assert_array_equal(host_rewards(transitions, [5], 0, 9, 3, ahead=ahead), expected)


def test_seeds_and_steps_differ(transitions):
    rewards = host_rewards(transitions, [0, 1, 2], 0, 20, 5).reshape(-1, BATCH)
    assert len(np.unique(rewards, axis=0)) == 60


def test_a_member_does_not_see_its_neighbours(transitions):
    together = host_rewards(transitions, [8, 9], 0, 4, 2)
    np.testing.assert_array_equal(together[1:], host_rewards(transitions, [9], 0, 4, 2))


def test_indices_are_uniform(transitions):
    rewards = host_rewards(transitions, [0], 0, 2_000, 1_000)
    counts = np.bincount(rewards.astype(int).ravel(), minlength=SIZE)
    assert len(counts) == SIZE
    assert stats.chisquare(counts).pvalue > 0.01


def test_an_error_in_the_thread_reaches_the_consumer(transitions):
    def broken(data, indices):
        raise OSError('the disk is gone')

    with pytest.raises(OSError, match='the disk is gone'):
        next(sampling.host_batches(transitions, np.array([0]), BATCH, range(4), 1, broken))


def test_a_consumer_may_stop_early(transitions):
    put = []
    batches = sampling.host_batches(
        transitions, np.array([0]), BATCH, itertools.count(), 1, put=put.append, ahead=3
    )
    next(batches)
    batches.close()
    # One was taken, for which another is made, and no more.
    assert len(put) == 4

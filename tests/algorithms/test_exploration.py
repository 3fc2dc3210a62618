"""How the algorithms that can collect data explore: `explore` against `act`'s policy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import awac, cal_ql, cql, edac, iql, rebrac, sac, td3, td3_bc, xql
from tests.algorithms.helpers import CONTINUOUS, DISCRETE, make_state

OBSERVATIONS = jnp.tile(jnp.linspace(-1, 1, 4), (20_000, 1))


def explored(algorithm, state):
    return np.asarray(jax.jit(algorithm.explore)(state, OBSERVATIONS, jax.random.key(0)))


@pytest.mark.parametrize('algorithm', [td3, td3_bc, rebrac])
def test_deterministic_policies_add_noise_within_the_box(algorithm):
    state = make_state(algorithm, CONTINUOUS, exploration_noise=0.1)
    action, _ = algorithm.act(state, (), OBSERVATIONS[:1], jnp.zeros(1), jax.random.key(0))
    noise = explored(algorithm, state) - np.asarray(action)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.004)
    np.testing.assert_allclose(noise.std(axis=0), 0.1, rtol=0.03)
    loud = explored(algorithm, make_state(algorithm, CONTINUOUS, exploration_noise=5.0))
    assert loud.min() == -1 and loud.max() == 1


@pytest.mark.parametrize('algorithm', [sac, cql, cal_ql, edac])
def test_tanh_gaussian_policies_sample(algorithm):
    state = make_state(algorithm, CONTINUOUS)
    policy = state.actor.apply_fn(state.actor.params, OBSERVATIONS[:1])
    before_tanh = np.arctanh(explored(algorithm, state).astype(np.float64).clip(-1 + 1e-7, 1 - 1e-7))
    std = np.exp(np.asarray(policy.log_std)[0])
    np.testing.assert_allclose(before_tanh.mean(axis=0), policy.mean[0], atol=0.04 * std.max())
    np.testing.assert_allclose(before_tanh.std(axis=0), std, rtol=0.03)


@pytest.mark.parametrize('algorithm', [awac, iql, xql])
def test_gaussian_policies_sample_within_the_box(algorithm):
    state = make_state(algorithm, CONTINUOUS)
    policy = state.actor.apply_fn(state.actor.params, OBSERVATIONS[:1])
    mean, std = np.asarray(policy.mean)[0], np.exp(np.asarray(policy.log_std)).reshape(-1)
    expected = np.clip(mean + std * np.random.default_rng(0).standard_normal((20_000, 2)), -1, 1)
    actions = explored(algorithm, state)
    assert np.abs(actions).max() <= 1
    np.testing.assert_allclose(actions.mean(axis=0), expected.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(actions.std(axis=0), expected.std(axis=0), rtol=0.03)


def test_iql_samples_indices():
    state = make_state(iql, DISCRETE)
    policy = state.actor.apply_fn(state.actor.params, OBSERVATIONS[:1])
    frequencies = np.bincount(explored(iql, state), minlength=3) / len(OBSERVATIONS)
    np.testing.assert_allclose(frequencies, jax.nn.softmax(policy.logits[0]), atol=0.015)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import bc
from tests.algorithms.helpers import CONTINUOUS, DISCRETE, make_state, random_batch

SPECS = pytest.mark.parametrize('spec', [CONTINUOUS, DISCRETE], ids=['continuous', 'discrete'])


def test_loss_of_continuous_actions_is_the_gaussian_likelihood():
    state, batch = make_state(bc, CONTINUOUS), random_batch(CONTINUOUS)
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    error = np.asarray(batch.action, np.float64) - np.asarray(policy.mean, np.float64)
    # The standard deviation starts at 1.
    expected = np.mean(np.sum(0.5 * error**2 + 0.5 * np.log(2 * np.pi), axis=-1))
    loss, _ = bc.actor_loss(state.actor.params, state, batch, jax.random.key(0))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_loss_of_discrete_actions_is_the_cross_entropy():
    state, batch = make_state(bc, DISCRETE), random_batch(DISCRETE)
    logits = state.actor.apply_fn(state.actor.params, batch.observation).logits
    logits = np.asarray(logits, np.float64)
    taken = logits[np.arange(16), np.asarray(batch.action)]
    expected = np.mean(np.log(np.exp(logits).sum(-1)) - taken)
    loss, _ = bc.actor_loss(state.actor.params, state, batch, jax.random.key(0))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_discrete_cloning_learns_the_frequencies_of_the_actions():
    state = make_state(bc, DISCRETE, learning_rate=1e-2)
    action = jnp.array([0] * 6 + [1] * 3 + [2] * 1, jnp.int32)
    batch = random_batch(DISCRETE, size=10)
    batch = batch._replace(observation=jnp.ones_like(batch.observation), action=action)
    state = jax.lax.fori_loop(0, 500, lambda _, s: bc.update(s, batch), state)
    policy = state.actor.apply_fn(state.actor.params, batch.observation[:1])
    np.testing.assert_allclose(jax.nn.softmax(policy.logits)[0], [0.6, 0.3, 0.1], atol=1e-3)


def test_continuous_cloning_learns_mean_and_spread():
    state = make_state(bc, CONTINUOUS, learning_rate=1e-2)
    rng = np.random.default_rng(0)
    action = jnp.array(rng.normal([0.2, -0.5], [0.1, 0.3], (256, 2)), jnp.float32)
    batch = random_batch(CONTINUOUS, size=256)
    batch = batch._replace(observation=jnp.ones_like(batch.observation), action=action)
    state = jax.lax.fori_loop(0, 1_500, lambda _, s: bc.update(s, batch), state)
    policy = state.actor.apply_fn(state.actor.params, batch.observation[:1])
    np.testing.assert_allclose(policy.mean[0], action.mean(0), atol=1e-2)
    np.testing.assert_allclose(jnp.exp(policy.log_std[0]), action.std(0), rtol=0.05)

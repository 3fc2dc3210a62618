import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import hiql
from launch.configs import hiql as config
from tests.algorithms.helpers import CONTINUOUS, make_state, random_batch_with_subgoals

SIZE = 4


def state_of(**hparams):
    """With targets of their own, and values that differ by as much as to be clipped."""
    network = {'vector_size': SIZE, 'hidden_sizes': (16,)}
    state, other = (make_state(hiql, CONTINUOUS, seed, network, **hparams) for seed in (0, 1))
    return state.replace(target_value_params=other.value.params)


def values(state, *halves, params=None):
    """(2, batch), of [state, goal]."""
    params = state.value.params if params is None else params
    observation = jnp.concatenate([jnp.float32(each) for each in halves], axis=-1)
    return np.asarray(state.value.apply_fn(params, observation), np.float64)


def halves(observation):
    return np.split(np.asarray(observation), 2, axis=-1)


def log_prob(mean, action):
    error = np.asarray(action, np.float64) - np.asarray(mean, np.float64)
    return -0.5 * np.sum(error**2 + np.log(2 * np.pi), axis=-1)


def vectors(state, *halves):
    observation = jnp.concatenate([jnp.float32(each) for each in halves], axis=-1)
    return state.value.apply_fn(state.value.params, observation, method='represent')


def test_value_loss_is_an_expectile_regression_by_the_smaller_target():
    state, batch = state_of(gamma=0.9, expectile=0.7), random_batch_with_subgoals(CONTINUOUS)
    batch = batch._replace(reward=jnp.linspace(-1, 1, 16))
    (now, goal), (following, _) = halves(batch.observation), halves(batch.next_observation)
    targets = state.target_value_params
    target = np.asarray(batch.reward) + 0.9 * np.asarray(batch.discount) * values(
        state, following, goal, params=targets
    )
    gain = target.min(axis=0) - values(state, now, goal, params=targets).mean(axis=0)
    assert (gain > 0).any() and (gain < 0).any()
    v = values(state, now, goal)
    expected = np.mean(np.where(gain < 0, 0.3, 0.7) * (target - v) ** 2, axis=1).sum()
    loss, metrics = hiql.value_loss(state.value.params, state, batch)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert metrics['value'] == pytest.approx(v.mean(), rel=1e-4)
    assert metrics['td_error'] == pytest.approx(np.abs(target - v).mean(), rel=1e-5)


@pytest.mark.parametrize('most', [100.0, 1.05])
def test_actor_loss_regresses_onto_what_leads_to_the_subgoal(most):
    state = state_of(inverse_temperature=3.0, max_advantage_weight=most)
    batch = random_batch_with_subgoals(CONTINUOUS)
    (now, subgoal), (following, _) = halves(batch.subgoal_observation), halves(batch.next_observation)
    gain = (values(state, following, subgoal) - values(state, now, subgoal)).mean(axis=0)
    weight = np.minimum(np.exp(3 * gain), most)
    assert (weight == most).any() == (most < 100)
    inputs = jnp.concatenate([now, vectors(state, now, subgoal)], axis=-1)
    mean = state.actor.apply_fn(state.actor.params, inputs).mean
    loss, metrics = hiql.actor_loss(state.actor.params, state, batch)
    assert loss == pytest.approx(-np.mean(weight * log_prob(mean, batch.action)), rel=1e-4)
    assert metrics['advantage'] == pytest.approx(gain.mean(), rel=1e-3, abs=1e-6)


def test_high_actor_loss_regresses_onto_vectors_of_what_is_nearer_to_the_goal():
    state = state_of(high_inverse_temperature=2.0)
    batch = random_batch_with_subgoals(CONTINUOUS)
    (now, goal), (waypoint, same) = halves(batch.actor_observation), halves(batch.waypoint_observation)
    np.testing.assert_array_equal(goal, same)
    gain = (values(state, waypoint, goal) - values(state, now, goal)).mean(axis=0)
    mean = state.high_actor.apply_fn(state.high_actor.params, batch.actor_observation).mean
    found = log_prob(mean, vectors(state, now, waypoint))
    loss, metrics = hiql.high_actor_loss(state.high_actor.params, state, batch)
    assert loss == pytest.approx(-np.mean(np.exp(2 * gain) * found), rel=1e-4)
    assert metrics['high_advantage'] == pytest.approx(gain.mean(), rel=1e-3, abs=1e-6)


def test_vectors_have_one_length_and_learn_from_values():
    state, batch = state_of(), random_batch_with_subgoals(CONTINUOUS)
    lengths = np.linalg.norm(vectors(state, *halves(batch.observation)), axis=-1)
    np.testing.assert_allclose(lengths, np.sqrt(SIZE), rtol=1e-5)
    gradients = jax.grad(lambda params: hiql.value_loss(params, state, batch)[0])(state.value.params)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients['params']['phi']))


def test_the_low_policy_acts_towards_the_high_ones_subgoal():
    state, batch = state_of(), random_batch_with_subgoals(CONTINUOUS)
    high = np.asarray(state.high_actor.apply_fn(state.high_actor.params, batch.observation).mean)
    vector = np.float32(high / np.linalg.norm(high, axis=-1, keepdims=True) * np.sqrt(SIZE))
    inputs = jnp.concatenate([halves(batch.observation)[0], vector], axis=-1)
    expected = np.clip(state.actor.apply_fn(state.actor.params, inputs).mean, -1, 1)
    action, _ = hiql.act(state, (), batch.observation, batch.reward, jax.random.key(0))
    np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-6)


def test_subgoals_are_nearer_in_manipulation():
    steps = {name: config.get_config(name).network.subgoal_steps for name in config.DOMAINS}
    assert steps['goals'] == steps['goals-antmaze-large-navigate'] == 25
    assert steps['goals-cube-single-play'] == steps['goals-puzzle-3x3-play'] == 10

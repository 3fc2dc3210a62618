import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import dqn
from data.types import Spec, Transition
from tests.algorithms.helpers import DISCRETE, make_state, random_batch

update = jax.jit(dqn.update)


def state_with_distinct_targets(**hparams):
    state, other = make_state(dqn, DISCRETE, **hparams), make_state(dqn, DISCRETE, seed=1)
    return state.replace(target_critic_params=other.critic.params)


def all_values(state, params, observation):
    q = state.critic.apply_fn(params, observation, method='all_actions')
    return np.asarray(q, np.float64)


def td_target(state, batch, gamma):
    rows = np.arange(len(batch.reward))
    chosen = all_values(state, state.critic.params, batch.next_observation).argmax(axis=-1)
    q = all_values(state, state.target_critic_params, batch.next_observation)[rows, chosen]
    reward, ongoing = (np.asarray(a, np.float64) for a in (batch.reward, batch.discount))
    return reward + gamma * ongoing * q


def test_critic_loss_is_hubers_towards_the_double_estimator():
    state, batch = state_with_distinct_targets(gamma=0.9, error_clip=0.7), random_batch(DISCRETE)
    q = all_values(state, state.critic.params, batch.observation)
    next_q = all_values(state, state.target_critic_params, batch.next_observation)
    target = td_target(state, batch, 0.9)
    # The double estimator is not the plain one here.
    assert np.any(next_q.max(axis=-1) > (target - np.asarray(batch.reward)) / 0.9 + 1e-3)
    q_data = q[np.arange(16), np.asarray(batch.action)]
    error = np.abs(q_data - target)
    assert (error < 0.7).any() and (error > 0.7).any()
    expected = np.mean(np.where(error < 0.7, 0.5 * error**2, 0.7 * (error - 0.35)))
    loss, metrics = dqn.critic_loss(state.critic.params, state, batch)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert metrics['td_error'] == pytest.approx(error.mean(), rel=1e-5)
    assert metrics['q_data'] == pytest.approx(q_data.mean(), rel=1e-5)
    assert metrics['q_policy'] == pytest.approx(q.max(axis=-1).mean(), rel=1e-5)
    gap = (q.max(axis=-1) - q_data).mean()
    assert metrics['q_gap'] == pytest.approx(gap, rel=1e-4)


def test_no_gradient_passes_through_the_target():
    state, batch = make_state(dqn, DISCRETE, error_clip=100.0), random_batch(DISCRETE)
    target = jnp.asarray(td_target(state, batch, 0.99), jnp.float32)

    def regression(params):
        q = state.critic.apply_fn(params, batch.observation, batch.action)
        return 0.5 * jnp.mean(jnp.square(q - target))

    expected = jax.grad(regression)(state.critic.params)
    gradient = jax.grad(lambda p: dqn.critic_loss(p, state, batch)[0])(state.critic.params)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_greedy_action_acts():
    state, batch = state_with_distinct_targets(), random_batch(DISCRETE)
    q = all_values(state, state.critic.params, batch.observation)
    action, _ = dqn.act(state, (), batch.observation, batch.reward, jax.random.key(0))
    np.testing.assert_array_equal(action, q.argmax(axis=-1))


def mdp_with_a_harmful_action(num_states=8, num_actions=3, seed=0):
    """Deterministic costs: (next state, reward, discount) of every pair; action s mod 3 is fatal."""
    rng = np.random.default_rng(seed)
    next_state = rng.integers(num_states, size=(num_states, num_actions))
    reward = -rng.uniform(0.5, 1, (num_states, num_actions))
    harmful = np.arange(num_actions) == (np.arange(num_states) % num_actions)[:, None]
    return next_state, np.where(harmful, -6, reward), 1.0 - harmful


def evaluate(next_state, reward, ongoing, gamma, backup):
    """V by iterating v <- backup(q), and its Q."""
    v = np.zeros(len(reward))
    for _ in range(300):
        q = reward + gamma * ongoing * v[next_state]
        v = backup(q)
    return v, q


def learn(state, data):
    """What DQN claims in every state, and the actions it takes there."""
    num_states = data.observation.shape[-1]
    state = jax.lax.fori_loop(0, 4_000, lambda _, s: dqn.update(s, data), state)
    states = jnp.eye(num_states)
    action, _ = dqn.act(state, (), states, jnp.zeros(num_states), state.key)
    q = state.critic.apply_fn(state.critic.params, states, method='all_actions')
    return dqn.claimed_value(state, states, state.key), action, q


def test_values_are_optimal_with_full_coverage_and_too_high_without():
    next_state, reward, ongoing = mdp_with_a_harmful_action()
    num_states, gamma = len(reward), 0.8
    s, a = (index.ravel() for index in np.indices(reward.shape))
    # The same number of transitions with the harmful actions and without.
    harmless = np.flatnonzero(ongoing[s, a] == 1)
    rows = np.stack([np.arange(len(s)), np.resize(harmless, len(s))])
    s, a = s[rows], a[rows]
    one_hot = np.eye(num_states, dtype=np.float32)
    data = Transition(
        observation=one_hot[s],
        action=a.astype(np.int32),
        reward=reward[s, a].astype(np.float32),
        discount=ongoing[s, a].astype(np.float32),
        next_observation=one_hot[next_state[s, a]],
    )
    data = jax.tree.map(jnp.asarray, data)
    state = make_state(
        dqn,
        Spec(num_states, 3, discrete=True),
        network={'hidden_sizes': (64,)},
        gamma=gamma,
        target_period=50.0,
        learning_rate=3e-3,
    )
    claimed, action, q = jax.jit(jax.vmap(learn, (None, 0)))(state, data)

    best, best_q = evaluate(next_state, reward, ongoing, gamma, lambda q: q.max(-1))
    np.testing.assert_allclose(q[0], best_q, atol=0.05)
    np.testing.assert_allclose(claimed[0], best, atol=0.05)

    # Who never does harm leaves no record of it, and what was never tried looks free of cost.
    taken = np.asarray(action[1])
    rows = np.arange(num_states)
    true, _ = evaluate(next_state, reward, ongoing, gamma, lambda q: q[rows, taken])
    assert np.mean(ongoing[rows, taken] == 0) > 0.2
    assert np.mean(claimed[1] - true) > 1
    assert np.mean(claimed[1]) > np.mean(best)

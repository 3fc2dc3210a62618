import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import discrete_cql, dqn
from tests.algorithms.helpers import DISCRETE, changed, make_state, random_batch
from tests.algorithms.tabular import random_problem

GAMMA = 0.8


def state_with_distinct_target(**hparams):
    other = make_state(discrete_cql, DISCRETE, seed=1)
    return make_state(discrete_cql, DISCRETE, **hparams).replace(
        target_critic_params=other.critic.params
    )


def all_values(params, state, observation):
    return np.asarray(discrete_cql.all_values(params, state, observation), np.float64)


@pytest.mark.parametrize('alpha', [0.0, 3.0])
def test_critic_loss_is_equation_4(alpha):
    state = state_with_distinct_target(cql_alpha=alpha, gamma=0.9, error_clip=0.5)
    batch = random_batch(DISCRETE)
    rows, action = np.arange(16), np.asarray(batch.action)
    values = all_values(state.critic.params, state, batch.observation)
    best = all_values(state.critic.params, state, batch.next_observation).argmax(-1)
    next_q = all_values(state.target_critic_params, state, batch.next_observation)[rows, best]
    q = values[rows, action]
    u = np.asarray(batch.reward) + 0.9 * np.asarray(batch.discount) * next_q - q
    assert (np.abs(u) < 0.5).any() and (np.abs(u) > 0.5).any()
    huber = np.where(np.abs(u) < 0.5, u**2 / 2, 0.5 * (np.abs(u) - 0.25))
    penalty = np.log(np.exp(values).sum(-1)) - q
    loss, metrics = discrete_cql.critic_loss(state.critic.params, state, batch)
    assert loss == pytest.approx(np.mean(alpha * penalty + huber), rel=1e-5)
    assert metrics['conservative_penalty'] == pytest.approx(penalty.mean(), rel=1e-5)
    assert metrics['q_data'] == pytest.approx(q.mean(), rel=1e-4)
    assert metrics['q_policy'] == pytest.approx(values.max(-1).mean(), rel=1e-4)
    assert metrics['td_error'] == pytest.approx(np.abs(u).mean(), rel=1e-5)


def test_without_penalty_it_is_double_dqn():
    batch = random_batch(DISCRETE)
    ours = make_state(discrete_cql, DISCRETE, cql_alpha=0.0, target_period=2.0)
    theirs = make_state(dqn, DISCRETE, target_period=2.0)
    for _ in range(3):
        ours, theirs = jax.jit(discrete_cql.update)(ours, batch), jax.jit(dqn.update)(theirs, batch)
    assert not changed(ours.target_critic_params, theirs.target_critic_params)
    assert not changed(ours.critic.params, theirs.critic.params)


def fixed_point(problem, alpha):
    """Q where the TD error balances the penalty: y - Q = alpha (softmax(Q) / behaviour - 1)."""
    q = np.zeros(problem.reward.shape)
    for _ in range(20_000):
        y = problem.reward + GAMMA * q.max(-1)[problem.next_state]
        softmax = np.exp(q) / np.exp(q).sum(-1, keepdims=True)
        q += 0.02 * (y - alpha * (softmax * q.shape[1] - 1) - q)
    return q


def test_values_are_below_the_truth_and_the_more_so_the_larger_alpha():
    problem = random_problem()
    data = problem.data()
    alphas = jnp.array([0.0, 0.1, 0.5, 1.0, 2.0])

    start = make_state(
        discrete_cql,
        problem.spec,
        network={'hidden_sizes': (32,)},
        gamma=GAMMA,
        target_period=50.0,
    )

    def learn(alpha):
        state = start.replace(hparams=start.hparams.replace(cql_alpha=alpha))

        def body(step, state):
            rate = 1e-2 * (1 - step / 4_000)
            return discrete_cql.update(
                state.replace(hparams=state.hparams.replace(learning_rate=rate)), data
            )

        state = jax.lax.fori_loop(0, 4_000, body, state)
        return discrete_cql.all_values(state.critic.params, state, problem.observations)

    learned = np.asarray(jax.jit(jax.vmap(learn))(alphas), np.float64)
    gaps = []
    for alpha, q in zip(alphas, learned):
        np.testing.assert_allclose(q, fixed_point(problem, float(alpha)), atol=0.02)
        gaps.append(problem.value_of(q.argmax(-1), GAMMA) - q.max(-1))
    np.testing.assert_allclose(gaps[0], 0, atol=0.02)
    assert (np.array(gaps[1:]) > 0).all()
    for smaller, larger in zip(gaps, gaps[1:]):
        assert (larger > smaller).all()

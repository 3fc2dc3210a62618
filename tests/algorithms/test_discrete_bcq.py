import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import discrete_bcq
from tests.algorithms.helpers import DISCRETE, make_state, random_batch
from tests.algorithms.tabular import random_problem

GAMMA = 0.8
update = jax.jit(discrete_bcq.update)


def state_with_distinct_target(**hparams):
    other = make_state(discrete_bcq, DISCRETE, seed=1)
    state = make_state(discrete_bcq, DISCRETE, **hparams)
    # Networks begin so alike in all actions that nothing would be forbidden.
    return state.replace(
        behaviour=state.behaviour.replace(
            params=jax.tree.map(lambda leaf: 2 * leaf, state.behaviour.params)
        ),
        target_critic_params=other.critic.params,
    )


def outputs(state, observation):
    """Q(s, .), Q_targ(s, .) and the behaviour's logits in float64."""
    critic = state.critic.apply_fn
    arrays = (
        critic(state.critic.params, observation, method='all_actions'),
        critic(state.target_critic_params, observation, method='all_actions'),
        state.behaviour.apply_fn(state.behaviour.params, observation).logits,
    )
    return [np.asarray(array, np.float64) for array in arrays]


def restricted_choice(q, logits, threshold):
    probability = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    allowed = probability / probability.max(-1, keepdims=True) > threshold
    return allowed, np.where(allowed, q, -1e8).argmax(-1)


def test_critic_loss_is_hubers_on_the_restricted_backup():
    state = state_with_distinct_target(gamma=0.9, threshold=0.3)
    batch = random_batch(DISCRETE)
    rows = np.arange(16)
    q = outputs(state, batch.observation)[0][rows, np.asarray(batch.action)]
    next_q, next_target_q, next_logits = outputs(state, batch.next_observation)
    allowed, next_action = restricted_choice(next_q, next_logits, 0.3)
    assert (next_action != next_q.argmax(-1)).any() and allowed.sum() > len(rows)
    target = np.asarray(batch.reward) + (
        0.9 * np.asarray(batch.discount) * next_target_q[rows, next_action]
    )
    u = np.abs(target - q)
    assert (u < 1).any() and (u > 1).any()
    loss, metrics = discrete_bcq.critic_loss(state.critic.params, state, batch)
    assert loss == pytest.approx(np.mean(np.where(u < 1, u**2 / 2, u - 0.5)), rel=1e-5)
    assert metrics['td_error'] == pytest.approx(u.mean(), rel=1e-5)


def test_behaviour_loss_is_the_cross_entropy_with_the_logit_penalty():
    state, batch = state_with_distinct_target(), random_batch(DISCRETE)
    logits = outputs(state, batch.observation)[2]
    taken = logits[np.arange(16), np.asarray(batch.action)]
    expected = np.mean(np.log(np.exp(logits).sum(-1)) - taken) + 0.01 * np.mean(logits**2)
    loss, _ = discrete_bcq.behaviour_loss(state.behaviour.params, state, batch)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_metrics_and_claims_are_of_the_restricted_choice():
    state, batch = state_with_distinct_target(threshold=0.3), random_batch(DISCRETE)
    q, _, logits = outputs(state, batch.observation)
    allowed, action = restricted_choice(q, logits, 0.3)
    value = q[np.arange(16), action]
    key = jax.random.key(0)
    taken, _ = discrete_bcq.act(state, (), batch.observation, batch.reward, key)
    np.testing.assert_array_equal(taken, action)
    claimed = discrete_bcq.claimed_value(state, batch.observation, key)
    np.testing.assert_allclose(claimed, value, rtol=1e-5)
    metrics = update(state, batch).metrics
    assert metrics['q_policy'] == pytest.approx(value.mean(), rel=1e-5)
    assert metrics['allowed_actions'] == pytest.approx(allowed.sum(-1).mean())


def test_it_never_picks_an_action_that_its_states_data_lacks():
    problem = random_problem(unseen=1)
    data = problem.data()
    # At threshold 0 everything is allowed: double DQN.
    thresholds = jnp.array([0.0, 0.3])

    start = make_state(
        discrete_bcq,
        problem.spec,
        network={'hidden_sizes': (32,)},
        gamma=GAMMA,
        target_rate=0.05,
        behaviour_learning_rate=3e-3,
    )

    def learn(threshold):
        state = start.replace(hparams=start.hparams.replace(threshold=threshold))

        def body(step, state):
            rate = 1e-2 * (1 - step / 3_000)
            return discrete_bcq.update(
                state.replace(hparams=state.hparams.replace(critic_learning_rate=rate)), data
            )

        state = jax.lax.fori_loop(0, 3_000, body, state)
        return discrete_bcq.choose(state, problem.observations)

    actions, values = jax.jit(jax.vmap(learn))(thresholds)
    seen = np.take_along_axis(problem.seen, np.asarray(actions).T, axis=1).T
    assert not seen[0].all() and seen[1].all()
    best_value, best_action = problem.best_seen(GAMMA)
    np.testing.assert_array_equal(actions[1], best_action)
    np.testing.assert_allclose(values[1], best_value, atol=0.03)
    # What nobody tried costs nothing, thinks double DQN, and all of its values rise with it.
    truth = problem.value_of(np.asarray(actions[0]), GAMMA)
    assert (np.asarray(values[0]) > truth + 0.1).all()

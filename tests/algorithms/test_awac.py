import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import awac
from tests.algorithms.helpers import CONTINUOUS, make_state, random_batch

update = jax.jit(awac.update)
NOISE = np.random.default_rng(5).standard_normal((16, 2), np.float32)


def state_of(network=None, **hparams):
    """One whose targets and standard deviations are not those of the start."""
    state = make_state(
        awac, CONTINUOUS, network={'actor_hidden_sizes': (16,)} | (network or {}), **hparams
    )
    params = {'params': state.actor.params['params'] | {'log_std': jnp.array([0.7, -1.2])}}
    return state.replace(
        actor=state.actor.replace(params=params),
        target_critic_params=make_state(awac, CONTINUOUS, seed=1).critic.params,
    )


def smallest(state, params, observation, action):
    q = state.critic.apply_fn(params, observation, jnp.asarray(action, jnp.float32))
    return np.asarray(q, np.float64).min(axis=0)


def gaussian(state, observation):
    """Mean and log of the standard deviation: tanh, and a sigmoid from -6 to 0."""
    policy = state.actor.apply_fn(state.actor.params, observation)
    log_std = -6 + 6 / (1 + np.exp(-np.array([0.7, -1.2])))
    np.testing.assert_allclose(policy.log_std, np.tile(log_std, (16, 1)), rtol=1e-5)
    mean = np.asarray(policy.mean, np.float64)
    assert np.abs(mean).max() < 1
    return mean, log_std


def test_critic_loss_evaluates_the_policy():
    state, batch = state_of(gamma=0.9), random_batch(CONTINUOUS)
    mean, log_std = gaussian(state, batch.next_observation)
    next_action = mean + np.exp(log_std) * NOISE
    next_q = smallest(state, state.target_critic_params, batch.next_observation, next_action)
    target = np.asarray(batch.reward) + 0.9 * np.asarray(batch.discount) * next_q
    q = state.critic.apply_fn(state.critic.params, batch.observation, batch.action)
    expected = np.sum(np.mean((np.asarray(q, np.float64) - target) ** 2, axis=1))
    loss, _ = awac.critic_loss(state.critic.params, state, batch, NOISE)
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('value_at_mean', [False, True])
@pytest.mark.parametrize('max_advantage', [np.inf, 0.01])
def test_actor_loss_weighs_by_a_softmax_over_the_batch(value_at_mean, max_advantage):
    state = state_of({'value_at_mean': value_at_mean}, temperature=0.1, max_advantage=max_advantage)
    batch = random_batch(CONTINUOUS)
    mean, log_std = gaussian(state, batch.observation)
    own = mean if value_at_mean else mean + np.exp(log_std) * NOISE
    q_data, q_own = (
        smallest(state, state.critic.params, batch.observation, action)
        for action in (batch.action, own)
    )
    advantage = np.minimum(q_data - q_own, max_advantage)
    assert (q_data - q_own > 0.01).any() and (q_data - q_own < 0.01).any()
    weight = np.exp(advantage / 0.1) / np.exp(advantage / 0.1).sum()
    assert weight.max() > 2 * weight.min()
    scaled = (np.asarray(batch.action) - mean) / np.exp(log_std)
    log_prob = np.sum(-0.5 * scaled**2 - log_std - 0.5 * np.log(2 * np.pi), axis=-1)
    loss, metrics = awac.actor_loss(state.actor.params, state, batch, NOISE)
    assert loss == pytest.approx(-np.sum(weight * log_prob), rel=1e-4)
    assert metrics['advantage'] == pytest.approx(np.mean(q_data - q_own), rel=1e-4)
    assert metrics['largest_weight'] == pytest.approx(16 * weight.max(), rel=1e-4)


def test_no_gradient_reaches_the_policy_through_the_weights():
    state, batch = state_of(temperature=0.1), random_batch(CONTINUOUS)
    own = state.actor.apply_fn(state.actor.params, batch.observation).transform(NOISE)

    def with_fixed_weights(params):
        q_data, q_own = (
            smallest(state, state.critic.params, batch.observation, action)
            for action in (batch.action, own)
        )
        weight = jax.nn.softmax(jnp.asarray((q_data - q_own) / 0.1, jnp.float32))
        return -jnp.sum(
            weight * state.actor.apply_fn(params, batch.observation).log_prob(batch.action)
        )

    gradients = jax.grad(lambda params: awac.actor_loss(params, state, batch, NOISE)[0])
    expected = jax.grad(with_fixed_weights)(state.actor.params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        gradients(state.actor.params), expected,
    )  # fmt: skip


def test_weight_decay_is_part_of_the_policys_gradient_alone():
    batch = random_batch(CONTINUOUS)
    moments = {}
    for decay in (0.0, 50.0):
        state = state_of(weight_decay=decay)
        after = update(state, batch)
        # A tenth of the gradient after one step.
        moments[decay] = [
            10 * np.asarray(leaf) for leaf in jax.tree.leaves(after.actor.opt_state.mu)
        ]
        critic = jax.tree.leaves(after.critic.params)
    for plain, decayed, weight in zip(
        moments[0.0], moments[50.0], jax.tree.leaves(state.actor.params)
    ):
        np.testing.assert_allclose(decayed - plain, 50 * weight, rtol=1e-4, atol=1e-3)
    undecayed = jax.tree.leaves(update(state_of(weight_decay=0.0), batch).critic.params)
    assert all(np.array_equal(a, b) for a, b in zip(critic, undecayed))


def test_the_policy_goes_to_the_better_of_two_actions_of_the_data():
    """A bandit: +1 for 0.5, -1 for -0.5. Plain imitation would act at 0."""
    rows = 64
    action = jnp.tile(jnp.array([[0.5, 0.5], [-0.5, -0.5]]), (rows // 2, 1))
    batch = random_batch(CONTINUOUS, rows)._replace(
        observation=jnp.ones((rows, 4)), action=action, reward=jnp.sign(action[:, 0]),
        discount=jnp.zeros(rows),
    )  # fmt: skip
    state = state_of(temperature=0.2, actor_learning_rate=1e-2, critic_learning_rate=1e-2)
    for _ in range(150):
        state = update(state, batch)
    acted, _ = awac.act(state, (), batch.observation[:1], jnp.zeros(1), jax.random.key(0))
    np.testing.assert_allclose(acted, [[0.5, 0.5]], atol=0.1)
    claimed = awac.claimed_value(state, batch.observation[:1], jax.random.key(0))
    np.testing.assert_allclose(claimed, [1.0], atol=0.2)

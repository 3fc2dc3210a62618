import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from algorithms import fqe
from tests.algorithms.helpers import CONTINUOUS, DISCRETE, changed, random_batch
from tests.algorithms.tabular import random_problem

POLICIES = 3


def state_of(spec, hidden_sizes=(16, 16), **hparams):
    values = {'policy': 1, 'resample': 1, 'gamma': 0.9, 'target_rate': 0.01} | hparams
    values = {'learning_rate': 1e-3, 'untried_value': -2.0} | values
    hparams = fqe.Hyperparameters(**{name: jnp.float32(v) for name, v in values.items()})
    config = ConfigDict({'hidden_sizes': hidden_sizes})
    return fqe.init(jax.random.key(0), spec, hparams, config)


def with_actions(spec, batch, seed=0):
    actions = [random_batch(spec, len(batch.reward), seed + i).action for i in range(POLICIES)]
    counts = np.random.default_rng(seed).integers(3, size=(len(batch.reward), 2))
    return fqe.Batch(
        **batch._asdict(),
        next_actions=jnp.stack(actions, axis=1),
        next_tried=jnp.asarray(np.random.default_rng(seed).random((len(batch.reward), POLICIES)) < 0.7),
        counts=jnp.float32(counts),
    )


@pytest.mark.parametrize('spec', [CONTINUOUS, DISCRETE])
def test_the_loss_is_the_papers(spec):
    state = state_of(spec)
    # A target network that differs from the network.
    state = state.replace(target_critic_params=jax.tree.map(lambda x: 1.1 * x, state.critic.params))
    batch = with_actions(spec, random_batch(spec))
    loss, metrics = fqe.critic_loss(state.critic.params, state, batch)

    def q(params, observation, action):
        return np.asarray(state.critic.apply_fn(params, observation, action), np.float64)

    next_q = q(state.target_critic_params, batch.next_observation, batch.next_actions[:, 1])
    next_q = np.where(batch.next_tried[:, 1], next_q, -2.0)
    target = np.float64(batch.reward) + 0.9 * np.float64(batch.discount) * next_q
    error = q(state.critic.params, batch.observation, batch.action) - target
    counts = np.float64(batch.counts[:, 1])
    assert loss == pytest.approx(np.mean(counts * error**2), rel=1e-5)
    assert metrics['td_error'] == pytest.approx(np.mean(np.abs(error)), rel=1e-5)


def test_a_learner_reads_the_actions_of_its_policy_alone():
    state = state_of(CONTINUOUS)
    batch = with_actions(CONTINUOUS, random_batch(CONTINUOUS))
    others = batch._replace(next_actions=batch.next_actions.at[:, jnp.array([0, 2])].set(0.5))
    update = jax.jit(fqe.update)
    after = update(state, batch)
    assert changed(state.critic.params, after.critic.params)
    assert not changed(after.critic, update(state, others).critic)
    own = batch._replace(next_actions=batch.next_actions.at[:, 1].set(0.5))
    assert changed(after.critic.params, update(state, own).critic.params)


def test_tabular_policies_have_the_values_of_the_linear_system():
    """All of three policies at once, vmapped."""
    problem, gamma = random_problem(), 0.8
    rng = np.random.default_rng(1)
    policies = rng.integers(problem.spec.action_size, size=(POLICIES, len(problem.reward)))
    data = problem.data()
    reached = np.asarray(data.next_observation).argmax(axis=1)
    batch = fqe.Batch(
        **data._asdict(),
        next_actions=jnp.asarray(policies[:, reached].T, jnp.int32),
        next_tried=jnp.ones((len(reached), POLICIES), bool),
        counts=jnp.ones((len(reached), 2)),
    )
    states = jax.vmap(
        lambda policy: state_of(problem.spec, (64,), policy=policy, gamma=gamma, target_rate=0.1)
    )(jnp.arange(POLICIES))

    @jax.jit
    def train(states):
        def body(states, step):
            # Large steps first, small ones at last.
            rate = jnp.where(step < 3_000, 3e-3, 3e-4) * jnp.ones(POLICIES)
            states = states.replace(hparams=states.hparams.replace(learning_rate=rate))
            return jax.vmap(fqe.update, (0, None))(states, batch), None

        return jax.lax.scan(body, states, jnp.arange(4_000))[0]

    actions = jnp.asarray(policies, jnp.int32)
    values = jax.vmap(fqe.action_value, (0, None, 0))(train(states), problem.observations, actions)
    expected = [problem.value_of(policy, gamma) for policy in policies]
    np.testing.assert_allclose(values, expected, atol=0.02)

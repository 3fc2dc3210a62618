import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from algorithms import xql
from data.types import Spec
from launch.configs import xql as config
from networks.optimization import descend
from tests.algorithms.helpers import CONTINUOUS, make_state, optimised, random_batch
from tests.algorithms.tabular import random_problem


def state_of(network=None, **hparams):
    state = make_state(xql, CONTINUOUS, network=network, **hparams)
    return state.replace(target_critic_params=make_state(xql, CONTINUOUS, seed=1).critic.params)


def smallest_target(state, observation, action):
    q = state.critic.apply_fn(state.target_critic_params, observation, jnp.asarray(action, jnp.float32))
    return np.asarray(q, np.float64).min(axis=0)


def value(state, observation):
    return np.asarray(state.value.apply_fn(state.value.params, observation), np.float64)


@pytest.mark.parametrize('shift', [0.0, -30.0, 300.0])
def test_gumbel_loss_is_the_regressions_over_its_largest_weight(shift):
    error = np.array([-3.0, -0.2, 0.4, 1.5]) + shift
    z = np.minimum(error, 1.0)
    largest = max(z.max(), -1.0)
    np.testing.assert_allclose(
        xql.gumbel_loss(jnp.float32(error), 1.0), (np.exp(z) - z - 1) / np.exp(largest), rtol=1e-5
    )
    # The gradient is that of the regression, scaled; a clipped one has none.
    gradient = jax.grad(lambda e: jnp.sum(xql.gumbel_loss(e, 1.0)))(jnp.float32(error))
    expected = np.where(error < 1, (np.exp(z) - 1) / np.exp(largest), 0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


@pytest.mark.parametrize('network', [{'num_random_actions': 2}, {'action_noise': 0.4}])
def test_value_loss(network):
    state = state_of(network, temperature=0.1, max_exponent=2.0)
    batch = random_batch(CONTINUOUS)
    noise = xql.draw_noise(jax.random.key(3), state, batch)
    action = np.asarray(batch.action, np.float64)
    if 'action_noise' in network:
        raw = 0.4 * np.asarray(noise.normal, np.float64)
        assert (np.abs(raw) > 0.5).any()
        action = np.clip(action + np.clip(raw, -0.5, 0.5), -1, 1)
    actions = [action, *np.asarray(noise.uniform)]
    assert len(actions) == 1 + network.get('num_random_actions', 0)
    v = value(state, batch.observation)
    z = np.concatenate([(smallest_target(state, batch.observation, a) - v) / 0.1 for a in actions])
    assert (z > 2).any() and (z < 2).any()
    share, z = np.mean(z > 2), np.minimum(z, 2)
    expected = np.mean(np.exp(z) - z - 1) / np.exp(z.max())
    loss, metrics = jax.jit(xql.value_loss)(state.value.params, state, batch, noise)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert metrics['clipped'] == pytest.approx(share)


def test_critic_loss_is_hubers_of_both_critics():
    state, batch = state_of(gamma=0.9, huber_delta=1.0), random_batch(CONTINUOUS)
    next_v = value(state, batch.next_observation)
    target = np.asarray(batch.reward) + 0.9 * np.asarray(batch.discount) * next_v
    q = state.critic.apply_fn(state.critic.params, batch.observation, batch.action)
    error = np.abs(np.asarray(q, np.float64) - target)
    assert (error > 1).any() and (error < 1).any()
    huber = np.where(error < 1, 0.5 * error**2, error - 0.5)
    loss, _ = xql.critic_loss(state.critic.params, state, batch)
    assert loss == pytest.approx(huber.mean(axis=1).sum(), rel=1e-5)


def test_actor_loss_has_clipped_weights():
    state, batch = state_of(inverse_temperature=500.0), random_batch(CONTINUOUS)
    advantage = smallest_target(state, batch.observation, batch.action) - value(state, batch.observation)
    weight = np.minimum(np.exp(500 * advantage), 100)
    assert (weight == 100).any() and (weight < 100).any()
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    mean, log_std = (np.asarray(a, np.float64) for a in (policy.mean, policy.log_std))
    scaled = (np.asarray(batch.action) - mean) / np.exp(log_std)
    log_prob = np.sum(-0.5 * scaled**2 - log_std - 0.5 * np.log(2 * np.pi), axis=-1)
    loss, _ = xql.actor_loss(state.actor.params, state, batch, jax.random.key(0))
    assert loss == pytest.approx(-np.mean(weight * log_prob), rel=1e-4)


def test_the_value_takes_its_steps_on_one_batch_and_one_noise():
    state = state_of({'num_random_actions': 1, 'num_value_updates': 2})
    batch = random_batch(CONTINUOUS)
    noise_key, _ = jax.random.split(jax.random.fold_in(state.key, state.step))
    noise = xql.draw_noise(noise_key, state, batch)
    gradient_of = jax.jit(jax.grad(xql.value_loss, has_aux=True))
    value = state.value
    for _ in range(2):
        gradients, metrics = gradient_of(value.params, state, batch, noise)
        value = descend(value, gradients, state.hparams.value_learning_rate)
    after = jax.jit(xql.update)(state, batch)
    for one, other in zip(jax.tree.leaves(after.value), jax.tree.leaves(value)):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert after.metrics['value_loss'] == pytest.approx(float(metrics['value_loss']), rel=1e-4)


def test_layers_are_normalised_in_the_value_alone():
    state = make_state(xql, CONTINUOUS)
    bare = make_state(xql, CONTINUOUS, network={'layer_norm': False})
    normalised = {
        name: 'LayerNorm' in str(jax.tree.structure(getattr(state, name).params))
        for name in ('value', 'critic', 'actor')
    }
    assert normalised == {'value': True, 'critic': False, 'actor': False}
    assert 'LayerNorm' not in str(jax.tree.structure(bare.value.params))


def test_values_of_a_dataset_are_those_of_its_script():
    found = config.get_config('antmaze-medium-diverse')
    assert found.dataset == 'local/antmaze/medium-diverse-v0'
    assert (found.hparams.temperature, found.hparams.max_exponent, found.batch_size) == (0.6, 7, 256)
    assert found.network.num_value_updates == 4 and found.hparams.inverse_temperature == 10
    assert config.get_config('antmaze').hparams.temperature == 2


def soft_maximum(q, temperature):
    return temperature * (logsumexp(q / temperature, axis=1) - np.log(q.shape[1]))


def test_the_value_tends_to_the_soft_maximum_of_dynamic_programming():
    """At temperatures from all but the maximum to all but the mean."""
    gamma, problem = 0.8, random_problem(5, 3)
    temperatures = np.array([0.03, 0.3, 3.0])
    exact = np.zeros((3, 5))
    for v, temperature in zip(exact, temperatures):
        for _ in range(200):
            v[:] = soft_maximum(problem.reward + gamma * v[problem.next_state], temperature)
    spread = np.mean(exact[0] - exact[2])
    assert spread > 0.3
    data = problem.data()
    # Indices as corners of the box.
    data = data._replace(action=2 * jax.nn.one_hot(data.action, 3) - 1)
    start = make_state(
        xql, Spec(5, 3, discrete=False), network={'hidden_sizes': (32,)}, gamma=gamma, target_rate=0.05
    )

    def learn(temperature):
        state = start.replace(hparams=start.hparams.replace(temperature=temperature))

        def body(state, _):
            decay = 3e-3 * (1 - state.step / 2_000)
            hparams = state.hparams.replace(value_learning_rate=decay, critic_learning_rate=decay)
            return xql.update(state.replace(hparams=hparams), data), None

        state, _ = jax.lax.scan(body, state, length=2_000)
        return state.value.apply_fn(state.value.params, problem.observations)

    v = optimised(jax.vmap(learn))(jnp.float32(temperatures))
    np.testing.assert_allclose(v, exact, atol=0.05 * spread)

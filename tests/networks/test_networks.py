import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training.train_state import TrainState

from networks.mlp import MLP
from networks.optimization import adam, descend
from networks.policies import (
    CategoricalPolicy,
    DeterministicPolicy,
    GaussianPolicy,
    TanhGaussianPolicy,
    smoothed,
)
from networks.values import ActionValue, DiscreteActionValue, StateValue, ensemble

OBSERVATION = jax.random.normal(jax.random.key(1), (5, 4))
ACTION = jax.random.uniform(jax.random.key(2), (5, 3), minval=-1)


def test_mlp_computes_the_layers():
    network = MLP((6,), 2)
    params = network.init(jax.random.key(0), OBSERVATION)
    hidden, output = (layer['Dense_0'] for layer in params['params'].values())
    x = np.asarray(OBSERVATION, np.float64)
    x = np.maximum(x @ np.asarray(hidden['kernel'], np.float64) + hidden['bias'], 0)
    expected = x @ np.asarray(output['kernel'], np.float64) + output['bias']
    np.testing.assert_allclose(network.apply(params, OBSERVATION), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('place', ['before', 'after'])
def test_layers_are_normalised_before_or_after_their_activation(place):
    network = ActionValue((6,), layer_norm=place, activation=jnp.tanh)
    params = network.init(jax.random.key(0), OBSERVATION, ACTION)
    layers = params['params']['MLP_0']
    scale, bias = jnp.linspace(0.5, 2, 6), jnp.linspace(-1, 1, 6)
    layers['LayerNorm_0'] = {'scale': scale, 'bias': bias}
    hidden, output = (
        jax.tree.map(np.float64, layers[name]['Dense_0']) for name in ('Linear_0', 'Linear_1')
    )

    def normalised(x):
        deviation = np.sqrt(x.var(1, keepdims=True) + 1e-6)
        return (x - x.mean(1, keepdims=True)) / deviation * scale + bias

    x = (
        np.concatenate([OBSERVATION, ACTION], 1).astype(np.float64) @ hidden['kernel']
        + hidden['bias']
    )
    x = np.tanh(normalised(x)) if place == 'before' else normalised(np.tanh(x))
    expected = (x @ output['kernel'] + output['bias']).squeeze(1)
    found = network.apply(params, OBSERVATION, ACTION)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_weights_start_uniform_within_the_fan_in_bound():
    params = MLP((400,), 1).init(jax.random.key(0), jnp.zeros((1, 100)))['params']
    kernel = np.asarray(params['Linear_0']['Dense_0']['kernel'])
    assert np.abs(kernel).max() <= 0.1
    assert kernel.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.02)
    assert np.abs(params['Linear_1']['Dense_0']['bias']).max() <= 1 / 20


def test_dropout_acts_in_training_only():
    network = MLP((64,), 2, dropout_rate=0.5)
    params = network.init(jax.random.key(0), OBSERVATION)
    still = network.apply(params, OBSERVATION)
    noisy = network.apply(params, OBSERVATION, training=True, rngs={'dropout': jax.random.key(1)})
    np.testing.assert_array_equal(still, network.apply(params, OBSERVATION))
    assert not np.allclose(still, noisy)


def test_discrete_values_select_the_action_taken():
    network = DiscreteActionValue((8,), 3)
    action = jnp.array([0, 2, 1, 1, 0])
    params = network.init(jax.random.key(0), OBSERVATION, action)
    all_values = network.apply(params, OBSERVATION, method='all_actions')
    assert all_values.shape == (5, 3)
    selected = network.apply(params, OBSERVATION, action)
    np.testing.assert_array_equal(selected, all_values[np.arange(5), action])


@pytest.mark.parametrize(
    'network, action',
    [
        (ensemble(ActionValue, 2)((8,)), ACTION),
        (ensemble(DiscreteActionValue, 2)((8,), 3), jnp.zeros(5, jnp.int32)),
    ],
)
def test_an_ensemble_is_independent_copies(network, action):
    params = network.init(jax.random.key(0), OBSERVATION, action)
    values = network.apply(params, OBSERVATION, action)
    assert values.shape == (2, 5)
    assert not np.allclose(values[0], values[1])
    changed = jax.tree.map(lambda leaf: leaf.at[1].add(1.0), params)
    after = network.apply(changed, OBSERVATION, action)
    np.testing.assert_array_equal(after[0], values[0])
    assert not np.allclose(after[1], values[1])


def test_the_ensemble_of_discrete_values_returns_all_actions():
    network = ensemble(DiscreteActionValue, 2)((8,), 3)
    params = network.init(jax.random.key(0), OBSERVATION, jnp.zeros(5, jnp.int32))
    assert network.apply(params, OBSERVATION, method='all_actions').shape == (2, 5, 3)


def test_shapes_and_bounds_of_policies():
    key = jax.random.key(0)
    far = 1e3 * OBSERVATION
    gaussian = GaussianPolicy((8,), 3)
    distribution = gaussian.apply(gaussian.init(key, far), far)
    assert distribution.mode().shape == (5, 3) and np.abs(distribution.mode()).max() <= 1
    np.testing.assert_array_equal(distribution.log_std, np.zeros((5, 3)))
    squashed = TanhGaussianPolicy((8,), 3)
    distribution = squashed.apply(squashed.init(key, far), far)
    assert distribution.log_std.shape == (5, 3)
    assert (distribution.log_std >= -20).all() and (distribution.log_std <= 2).all()
    categorical = CategoricalPolicy((8,), 3)
    assert categorical.apply(categorical.init(key, far), far).mode().dtype == jnp.int32
    deterministic = DeterministicPolicy((8,), 3)
    assert np.abs(deterministic.apply(deterministic.init(key, far), far)).max() <= 1
    value = StateValue((8,))
    assert value.apply(value.init(key, far), far).shape == (5,)


def test_target_policy_smoothing_clips_the_noise_and_then_the_action():
    noise = jnp.array([-9.0, -1.0, 0.5, 9.0])
    action = jnp.array([0.0, 0.3, 0.95, 0.8])
    found = smoothed(action, noise, jnp.float32(0.2), jnp.float32(0.5))
    np.testing.assert_allclose(found, [-0.5, 0.1, 1.0, 1.0], rtol=1e-5)


def test_descend_is_adam_with_the_given_step():
    params = {'w': jnp.array([1.0, -2.0])}
    gradients = {'w': jnp.array([0.3, -0.1])}
    ours = adam(None, params)
    theirs = TrainState.create(apply_fn=None, params=params, tx=optax.adam(0.05))
    for _ in range(3):
        ours = descend(ours, gradients, jnp.float32(0.05))
        theirs = theirs.apply_gradients(grads=gradients)
    np.testing.assert_allclose(ours.params['w'], theirs.params['w'], rtol=1e-6)
    assert ours.step == theirs.step == 3

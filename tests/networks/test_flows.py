import jax
import jax.numpy as jnp
import numpy as np
import pytest

from networks.distributions import Gaussian
from networks.flows import ActionField, flow_matching_loss, integrate
from networks.optimization import adam, descend
from tests.algorithms.helpers import optimised

KEYS = jax.random.split(jax.random.key(0), 4)
OBSERVATION = jax.random.normal(KEYS[0], (5, 4))
ACTION = jax.random.uniform(KEYS[1], (5, 3), minval=-1)
NOISE = jax.random.normal(KEYS[2], (5, 3))
TIME = jax.random.uniform(KEYS[3], (5, 1))


def test_a_field_is_gelu_layers_of_what_it_is_given():
    field = ActionField((6,), 3)
    params = field.init(jax.random.key(0), OBSERVATION, NOISE, TIME)
    hidden, output = (
        jax.tree.map(np.float64, layer['Dense_0']) for layer in params['params']['MLP_0'].values()
    )
    x = np.concatenate([OBSERVATION, NOISE, TIME], axis=1).astype(np.float64)
    x = x @ hidden['kernel'] + hidden['bias']
    x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    expected = x @ output['kernel'] + output['bias']
    np.testing.assert_allclose(field.apply(params, OBSERVATION, NOISE, TIME), expected, atol=1e-6)
    # Without times, as a policy, it reads a number less.
    params = field.init(jax.random.key(0), OBSERVATION, NOISE)
    assert params['params']['MLP_0']['Linear_0']['Dense_0']['kernel'].shape == (7, 6)
    assert field.apply(params, OBSERVATION, NOISE).shape == (5, 3)


def test_flow_matching_is_regression_onto_straight_lines():
    action, noise, time = (np.asarray(array, np.float64) for array in (ACTION, NOISE, TIME))

    def velocity(x, time):
        return 2 * x * time - 0.5

    x = noise + time * (action - noise)
    expected = np.mean((2 * x * time - 0.5 - action + noise) ** 2)
    loss = flow_matching_loss(velocity, ACTION, NOISE, TIME)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert flow_matching_loss(lambda *_: ACTION - NOISE, ACTION, NOISE, TIME) == 0
    with pytest.raises(AssertionError):
        flow_matching_loss(velocity, ACTION, NOISE, TIME[:, 0])


@pytest.mark.parametrize('num_steps', [1, 2, 7])
def test_euler_steps_begin_at_noise_and_times_at_zero(num_steps):
    expected = np.asarray(NOISE, np.float64)
    for step in range(num_steps):
        expected = expected + (np.sin(expected) + step / num_steps) / num_steps
    found = integrate(lambda x, time: jnp.sin(x) + time, NOISE, num_steps)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_straight_lines_are_exact_in_one_step():
    found = integrate(lambda x, time: ACTION - NOISE, NOISE, 1)
    np.testing.assert_allclose(found, ACTION, rtol=1e-5, atol=1e-6)


def shares(action) -> tuple[float, float, float]:
    """Of actions near -0.7, between the modes, and near 0.7."""
    action = np.asarray(action)
    near = [np.mean(np.abs(action - mode) < 0.2) for mode in (-0.7, 0.7)]
    return near[0], np.mean(np.abs(action) < 0.3), near[1]


def test_a_flow_has_both_modes_of_the_data_where_a_gaussian_has_neither():
    """Actions near -0.7 and, twice as often, near 0.7."""
    rng = np.random.default_rng(0)
    mode = np.where(rng.random((3_000, 1)) < 1 / 3, -0.7, 0.7)
    data = jnp.asarray(rng.normal(mode, 0.05), jnp.float32)
    nothing = jnp.zeros((256, 0))
    field = ActionField((64, 64), 1)
    start = adam(field.apply, field.init(jax.random.key(0), nothing, data[:256], data[:256]))

    def learn(network, key):
        row_key, noise_key, time_key = jax.random.split(key, 3)
        action = data[jax.random.randint(row_key, (256,), 0, len(data))]
        noise = jax.random.normal(noise_key, action.shape)
        time = jax.random.uniform(time_key, action.shape)

        def loss(params):
            return flow_matching_loss(
                lambda x, time: field.apply(params, nothing, x, time), action, noise, time
            )

        rate = 3e-3 * (1 - network.step / 1_500)
        return descend(network, jax.grad(loss)(network.params), rate), None

    def sampled(keys, key):
        network, _ = jax.lax.scan(learn, start, keys)
        noise = jax.random.normal(key, (2_000, 1))
        return integrate(
            lambda x, time: field.apply(network.params, jnp.zeros((2_000, 0)), x, time), noise, 20
        )

    keys = jax.random.split(jax.random.key(1), 1_500)
    low, between, high = shares(optimised(sampled)(keys, jax.random.key(2)))
    assert low == pytest.approx(1 / 3, abs=0.06) and high == pytest.approx(2 / 3, abs=0.06)
    assert between < 0.03

    # The likeliest Gaussian: half of what it does is what nobody did.
    gaussian = Gaussian(jnp.full(2_000, data.mean()), jnp.full(2_000, jnp.log(data.std())))
    low, between, high = shares(gaussian.sample(jax.random.key(3)))
    assert low < 0.15 and high < 0.3 and between > 0.2

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import edac
from launch.configs import edac as config
from launch.configs import sac_n
from tests.algorithms.helpers import CONTINUOUS, changed, make_state, random_batch

N = 4
BATCH = random_batch(CONTINUOUS)
NOISE = np.random.default_rng(5).standard_normal(BATCH.action.shape).astype(np.float32)

update = jax.jit(edac.update)
similarity = jax.jit(edac.gradient_similarity)
of_similarity = jax.jit(jax.grad(edac.gradient_similarity))


def state_with_distinct_targets(**hparams):
    network = {'num_critics': N}
    state = make_state(edac, CONTINUOUS, network=network, **hparams)
    other = make_state(edac, CONTINUOUS, seed=1, network=network)
    return state.replace(target_critic_params=other.critic.params)


STATE = state_with_distinct_targets()


def float64(tree):
    return jax.tree.map(lambda array: np.asarray(array, np.float64), tree)


def layers(params):
    mlp = float64(params)['params']['MLP_0']
    return [mlp[f'Linear_{index}']['Dense_0'] for index in range(3)]


def forward(layers, x):
    """Two hidden layers, of one network or, with leading axes everywhere, of several."""
    for index, layer in enumerate(layers):
        x = x @ layer['kernel'] + layer['bias'][..., None, :]
        x = np.maximum(x, 0) if index < 2 else x
    return x


def critics(params, observation, action):
    """(critics, batch)."""
    return forward(layers(params), np.concatenate([observation, action], -1))[..., 0]


def policy(params, observation, noise):
    """Actions, and their log-probability by the formula of tanh's derivative."""
    mean, log_std = np.split(forward(layers(params), observation), 2, axis=-1)
    log_std = np.clip(log_std, -5, 2)
    u = mean + np.exp(log_std) * noise
    density = -0.5 * noise**2 - log_std - 0.5 * np.log(2 * np.pi)
    return np.tanh(u), (density - np.log(1 - np.tanh(u) ** 2)).sum(axis=-1)


def by_finite_differences(params):
    """ES by its definition, pair by pair."""
    observation, action = float64((BATCH.observation, BATCH.action))
    gradient = np.stack([
        (critics(params, observation, action + step) - critics(params, observation, action - step))
        / 2e-6
        for step in 1e-6 * np.eye(2)
    ], axis=-1)  # fmt: skip
    gradient /= np.linalg.norm(gradient, axis=-1, keepdims=True)
    pairs = [(i, j) for i in range(N) for j in range(N) if i != j]
    each = [(gradient[i] * gradient[j]).sum(axis=-1) for i, j in pairs]
    return np.mean(np.sum(each, axis=0)) / (N - 1)


def test_similarity_is_the_mean_of_cosines_of_finite_differences():
    found = similarity(STATE.critic.params, STATE, BATCH)
    assert found == pytest.approx(by_finite_differences(STATE.critic.params), rel=1e-4)


def test_the_derivative_of_similarity_is_that_of_finite_differences():
    """A layer at a time, along random directions; in double precision, so that no kink is crossed."""
    params, rng = float64(STATE.critic.params), np.random.default_rng(0)
    gradient = of_similarity(STATE.critic.params, STATE, BATCH)
    leaves, tree = jax.tree.flatten(params)
    sizes = []
    for index, (leaf, slope) in enumerate(zip(leaves, jax.tree.leaves(gradient), strict=True)):
        direction = rng.standard_normal(leaf.shape)

        def at(step, index=index, direction=direction):
            moved = [*leaves[:index], leaves[index] + step * direction, *leaves[index + 1 :]]
            return by_finite_differences(jax.tree.unflatten(tree, moved))

        expected = (at(1e-5) - at(-1e-5)) / 2e-5
        found = np.sum(direction * np.asarray(slope, np.float64))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-5)
        sizes.append(abs(expected))
    # Biases move gradients at kinks alone.
    assert np.sum(np.array(sizes) > 0.01) == 3


def test_similarity_of_equal_critics_and_of_opposite_ones():
    one = jax.tree.map(lambda leaf: jnp.stack([leaf[0]] * N), STATE.critic.params)
    assert similarity(one, STATE, BATCH) == pytest.approx(N, rel=1e-5)
    output = one['params']['MLP_0']['Linear_2']['Dense_0']
    output['kernel'] *= jnp.array([1, -1, 1, -1])[:, None, None]
    assert similarity(one, STATE, BATCH) == pytest.approx(-N / (N - 1), rel=1e-5)


def test_critics_without_an_active_unit_have_no_similarity_and_a_derivative():
    dead = jax.tree.map(jnp.copy, STATE.critic.params)
    dead['params']['MLP_0']['Linear_0']['Dense_0']['bias'] -= 100
    assert similarity(dead, STATE, BATCH) == 0
    for leaf in jax.tree.leaves(of_similarity(dead, STATE, BATCH)):
        assert not leaf.any()


def test_critics_descend_the_bellman_loss_and_eta_times_the_similarity():
    state = state_with_distinct_targets(initial_temperature=0.4)
    batch, noise, params = float64(BATCH), float64(NOISE), state.critic.params
    action, log_prob = policy(state.actor.params, batch.next_observation, noise)
    next_q = critics(state.target_critic_params, batch.next_observation, action).min(axis=0)
    target = batch.reward + 0.99 * batch.discount * (next_q - 0.4 * log_prob)
    error = critics(params, batch.observation, batch.action) - target
    bellman, metrics = jax.jit(edac.bellman_loss)(params, state, BATCH, NOISE)
    assert bellman == pytest.approx((error**2).mean(axis=1).sum(), rel=1e-5)
    assert metrics['td_error'] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    state = state.replace(hparams=state.hparams.replace(eta=jnp.float32(3)))
    loss, metrics = jax.jit(edac.critic_loss)(params, state, BATCH, NOISE)
    assert metrics['diversity_penalty'] == pytest.approx(
        3 * float(similarity(params, state, BATCH)), rel=1e-5
    )
    assert loss == metrics['critic_loss']
    assert loss == pytest.approx(float(bellman + metrics['diversity_penalty']), rel=1e-6)


def test_eta_adds_its_part_to_the_gradient_and_none_at_0():
    """Adam's first moment is a tenth of the gradient."""

    def moments(eta):
        state = STATE.replace(hparams=STATE.hparams.replace(eta=jnp.float32(eta)))
        after = update(state, BATCH)
        assert (after.metrics['diversity_penalty'] != 0) == (eta > 0)
        return after.critic.opt_state.mu

    plain, more, most = map(moments, (0.0, 2.0, 20.0))
    slopes = of_similarity(STATE.critic.params, STATE, BATCH)
    for zero, two, twenty, slope in zip(*map(jax.tree.leaves, (plain, more, most, slopes))):
        np.testing.assert_allclose(two - zero, 0.2 * slope, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(twenty - zero, 2.0 * slope, rtol=1e-3, atol=1e-5)


def test_policy_and_temperature_learn_from_the_same_actions():
    state = state_with_distinct_targets(initial_temperature=0.4, target_entropy_per_dimension=-0.7)
    observation, noise = float64((BATCH.observation, NOISE))
    action, log_prob = policy(state.actor.params, observation, noise)
    q = critics(state.critic.params, observation, action).min(axis=0)
    loss, metrics = jax.jit(edac.actor_loss)(state.actor.params, state, BATCH, NOISE)
    assert loss == pytest.approx((0.4 * log_prob - q).mean(), rel=1e-5)
    assert metrics['q_policy'] == pytest.approx(q.mean(), rel=1e-5)
    log_alpha = state.temperature.params
    loss, _ = jax.jit(edac.temperature_loss)(log_alpha, state, BATCH, NOISE)
    assert loss == pytest.approx(-np.log(0.4) * (log_prob.mean() - 1.4), rel=1e-5)
    after = update(state, BATCH)
    expected = np.log(0.4) * (float(after.metrics['entropy']) + 1.4)
    assert after.metrics['temperature_loss'] == pytest.approx(expected, rel=1e-5)
    assert changed(state.temperature.params, after.temperature.params)


def test_eta_turns_the_critics_gradients_apart():
    def learn(eta):
        rate = jnp.float32(1e-2)
        state = STATE.replace(
            hparams=STATE.hparams.replace(eta=jnp.float32(eta), critic_learning_rate=rate)
        )
        for _ in range(60):
            state = update(state, BATCH)
        return similarity(state.critic.params, state, BATCH)

    assert learn(30.0) < learn(0.0) - 0.3


@pytest.mark.parametrize(
    ('domain', 'values', 'critics_of_sac_n'),
    [
        ('halfcheetah-medium-expert', (10, 5.0, 3_000_000, 3e-4), 10),
        ('hopper-medium', (50, 1.0, 3_000_000, 3e-4), 500),
        ('walker2d-medium', (10, 1.0, 3_000_000, 3e-4), 20),
        ('pen-human', (20, 1000.0, 200_000, 3e-5), 100),
    ],
)
def test_the_values_are_those_of_the_dataset(domain, values, critics_of_sac_n):
    found = config.get_config(domain)
    hparams = found.hparams
    assert values == (
        found.network.num_critics, hparams.eta, found.num_updates, hparams.actor_learning_rate
    )  # fmt: skip
    without = sac_n.get_config(domain)
    assert (without.network.num_critics, without.hparams.eta) == (critics_of_sac_n, 0)
    assert without.algorithm == 'edac' and without.dataset == found.dataset

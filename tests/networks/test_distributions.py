import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from networks.distributions import Categorical, Gaussian, TanhGaussian

MEAN = np.array([[0.3, -0.8], [1.5, 0.0]])
LOG_STD = np.array([[-0.5, 0.2], [0.1, -2.0]])


def test_gaussian_log_prob_is_the_density_of_scipy():
    action = np.array([[0.1, -1.0], [2.0, 0.05]])
    expected = scipy.stats.norm(MEAN, np.exp(LOG_STD)).logpdf(action).sum(-1)
    actual = Gaussian(jnp.array(MEAN), jnp.array(LOG_STD)).log_prob(jnp.array(action))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_tanh_gaussian_log_prob_is_the_change_of_variables():
    action = np.array([[0.1, -0.95], [0.999, 0.0]])
    u = np.arctanh(action)
    density = scipy.stats.norm(MEAN, np.exp(LOG_STD)).logpdf(u) - np.log1p(-np.square(action))
    actual = TanhGaussian(jnp.array(MEAN), jnp.array(LOG_STD)).log_prob(jnp.array(action))
    np.testing.assert_allclose(actual, density.sum(-1), rtol=1e-4)


def test_tanh_gaussian_integrates_to_one():
    grid = np.linspace(-1, 1, 200_001)[1:-1]
    policy = TanhGaussian(jnp.full((1,), 0.4), jnp.full((1,), -0.3))
    density = np.exp(np.asarray(policy.log_prob(jnp.array(grid)[:, None]), np.float64))
    assert scipy.integrate.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize('u', [-40.0, -9.5, 0.0, 9.5, 40.0])
def test_tanh_correction_is_exact_where_the_literal_form_underflows(u):
    # log(1 - tanh(u)^2) = -2 log cosh(u), in float64 through logaddexp.
    expected = scipy.stats.norm.logpdf(0.0) + 2 * (np.logaddexp(u, -u) - np.log(2))
    policy = TanhGaussian(jnp.full((1,), u), jnp.zeros((1,)))
    action, log_prob = policy.transform_and_log_prob(jnp.zeros((1,)))
    assert log_prob == pytest.approx(expected, rel=1e-5)
    gradient = jax.grad(lambda m: TanhGaussian(m, jnp.zeros(1)).transform_and_log_prob(0.0)[1])(
        jnp.full((1,), u)
    )
    assert np.isfinite(gradient).all()


def test_log_prob_of_a_transformed_action_agrees_with_inverting_it():
    policy = TanhGaussian(jnp.array(MEAN), jnp.array(LOG_STD))
    action, log_prob = policy.transform_and_log_prob(jnp.array([[0.5, -1.0], [0.2, 1.0]]))
    np.testing.assert_allclose(policy.log_prob(action), log_prob, rtol=1e-3)


def test_actions_at_the_bounds_have_a_finite_density():
    policy = TanhGaussian(jnp.zeros((2, 1)), jnp.zeros((2, 1)))
    assert np.isfinite(policy.log_prob(jnp.array([[-1.0], [1.0]]))).all()


@pytest.mark.parametrize('kind', [Gaussian, TanhGaussian])
def test_samples_have_the_distribution_that_log_prob_states(kind):
    policy = kind(jnp.full((1,), 0.4), jnp.full((1,), -0.3))
    samples = jax.vmap(policy.sample)(jax.random.split(jax.random.key(0), 20_000))[:, 0]
    gaussian = np.asarray(samples if kind is Gaussian else jnp.arctanh(samples))
    assert scipy.stats.kstest(gaussian, scipy.stats.norm(0.4, np.exp(-0.3)).cdf).pvalue > 1e-3


def test_categorical_matches_softmax():
    logits = np.array([[1.0, -2.0, 0.5], [3.0, 3.0, 0.0]])
    policy = Categorical(jnp.array(logits))
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    log_probs = policy.log_prob(jnp.array([2, 0]))
    np.testing.assert_allclose(log_probs, np.log([probabilities[0, 2], probabilities[1, 0]]), 1e-5)
    assert policy.mode()[0] == 0
    samples = np.asarray(jax.vmap(policy.sample)(jax.random.split(jax.random.key(0), 20_000)))
    for row in range(2):
        counts = np.bincount(samples[:, row], minlength=3)
        assert scipy.stats.chisquare(counts, 20_000 * probabilities[row]).pvalue > 1e-3

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from networks.distributions import Gaussian
from networks.vae import ConditionalVAE, kl_to_standard_normal

KEY = jax.random.key(0)
OBSERVATION = jax.random.normal(KEY, (5, 4))
ACTION = jnp.tanh(jax.random.normal(jax.random.key(1), (5, 3)))
NOISE = jax.random.normal(jax.random.key(2), (5, 6))


@pytest.fixture
def vae():
    network = ConditionalVAE((16, 8), action_size=3, latent_size=6)
    return network, network.init(KEY, OBSERVATION, ACTION, NOISE)


def test_a_call_decodes_the_latents_that_noise_stands_for(vae):
    network, params = vae
    reconstruction, posterior = network.apply(params, OBSERVATION, ACTION, NOISE)
    encoded = network.apply(params, OBSERVATION, ACTION, method='encode')
    np.testing.assert_array_equal(posterior.mean, encoded.mean)
    latent = encoded.mean + jnp.exp(encoded.log_std) * NOISE
    np.testing.assert_allclose(
        reconstruction, network.apply(params, OBSERVATION, latent, method='decode'), rtol=1e-5
    )
    assert reconstruction.shape == (5, 3) and latent.shape == (5, 6)


def test_layers_are_those_of_the_authors_code(vae):
    _, params = vae
    shapes = sorted(leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 2)
    encoder = [(4 + 3, 16), (16, 8), (8, 6), (8, 6)]
    decoder = [(4 + 6, 16), (16, 8), (8, 3)]
    assert shapes == sorted(encoder + decoder)


def test_outputs_are_bounded(vae):
    network, params = vae
    far = jax.tree.map(lambda leaf: 1e3 * leaf, params)
    reconstruction, posterior = network.apply(far, OBSERVATION, ACTION, jnp.zeros_like(NOISE))
    assert np.abs(reconstruction).max() <= 1
    assert set(np.unique(posterior.log_std)) == {-4.0, 15.0}


def test_the_divergence_is_the_integral_that_defines_it():
    mean, log_std = np.array([0.0, 0.7, -2.0]), np.array([0.0, -1.0, 0.5])
    grid = np.linspace(-15, 15, 100_001)[:, None]
    q = scipy.stats.norm(mean, np.exp(log_std))
    integrand = q.pdf(grid) * (q.logpdf(grid) - scipy.stats.norm.logpdf(grid))
    expected = scipy.integrate.trapezoid(integrand, grid, axis=0)
    actual = kl_to_standard_normal(Gaussian(jnp.array(mean), jnp.array(log_std)))
    np.testing.assert_allclose(actual, expected, atol=1e-5)

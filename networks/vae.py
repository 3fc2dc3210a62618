"""A conditional variational auto-encoder of actions given observations."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from networks.distributions import Gaussian
from networks.mlp import MLP, Linear


class ConditionalVAE(nn.Module):
    """p(a | s, z) and q(z | s, a), as BCQ has them (sfujim/BCQ, continuous_BCQ/BCQ.py, VAE).

    Called with standard normal noise (batch, latent_size) it returns the reconstruction of the
    actions and the encoder's distribution, of which `kl_to_standard_normal` makes the other half of
    the evidence bound.
    """

    hidden_sizes: Sequence[int]
    action_size: int
    latent_size: int
    log_std_min: float = -4.0
    log_std_max: float = 15.0

    def setup(self):
        *widths, last = self.hidden_sizes
        self.encoder = MLP(widths, last)
        self.mean = Linear(self.latent_size)
        self.log_std = Linear(self.latent_size)
        self.decoder = MLP(self.hidden_sizes, self.action_size)

    def encode(self, observation: jax.Array, action: jax.Array) -> Gaussian:
        """q(z | s, a) over latents (batch, latent_size)."""
        hidden = nn.relu(self.encoder(jnp.concatenate([observation, action], axis=-1)))
        log_std = jnp.clip(self.log_std(hidden), self.log_std_min, self.log_std_max)
        return Gaussian(self.mean(hidden), log_std)

    def decode(self, observation: jax.Array, latent: jax.Array) -> jax.Array:
        """The actions in (-1, 1) that latents stand for, (batch, action_size)."""
        return jnp.tanh(self.decoder(jnp.concatenate([observation, latent], axis=-1)))

    def __call__(
        self, observation: jax.Array, action: jax.Array, noise: jax.Array
    ) -> tuple[jax.Array, Gaussian]:
        posterior = self.encode(observation, action)
        return self.decode(observation, posterior.transform(noise)), posterior


def kl_to_standard_normal(distribution: Gaussian) -> jax.Array:
    """KL(N(mean, std) || N(0, 1)) of each dimension, in the shape of the mean."""
    mean, log_std = distribution.mean, distribution.log_std
    return 0.5 * (jnp.square(mean) + jnp.exp(2 * log_std) - 1) - log_std

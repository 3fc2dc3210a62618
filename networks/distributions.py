"""Action distributions with exact log-probabilities, as pytrees."""

import jax
import jax.numpy as jnp
from flax import struct

_LOG_2PI = 1.8378770664093453
# A tanh-Gaussian has no density at +-1, where recorded actions often are.
_TANH_EDGE = 1.0 - 1e-6


class Gaussian(struct.PyTreeNode):
    """A diagonal Gaussian over actions (..., action_size)."""

    mean: jax.Array
    log_std: jax.Array

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log-density (...) of actions (..., action_size)."""
        scaled = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-0.5 * (jnp.square(scaled) + _LOG_2PI) - self.log_std, axis=-1)

    def sample(self, key: jax.Array) -> jax.Array:
        return self.transform(jax.random.normal(key, self.mean.shape))

    def transform(self, noise: jax.Array) -> jax.Array:
        """The action that standard normal noise (..., action_size) stands for."""
        return self.mean + jnp.exp(self.log_std) * noise

    def mode(self) -> jax.Array:
        return self.mean


class TanhGaussian(struct.PyTreeNode):
    """tanh of a diagonal Gaussian: actions in (-1, 1)  (SAC, Haarnoja et al. 2018, appendix C).

    The correction log(1 - tanh(u)^2) is taken as 2 (log 2 - u - softplus(-2u)), which is exact for
    any u, where the literal form underflows to log 0 from |u| of about 9 on.
    """

    mean: jax.Array
    log_std: jax.Array

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log-density (...) of actions (..., action_size); +-1 is read as +-(1 - 1e-6)."""
        return self._log_prob_before_tanh(jnp.arctanh(jnp.clip(action, -_TANH_EDGE, _TANH_EDGE)))

    def sample(self, key: jax.Array) -> jax.Array:
        return self.transform_and_log_prob(jax.random.normal(key, self.mean.shape))[0]

    def transform_and_log_prob(self, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Actions (..., action_size) that standard normal noise stands for, and their log-density.

        Cheaper and more accurate than log_prob of the sampled action: tanh is not inverted.
        """
        before_tanh = self.mean + jnp.exp(self.log_std) * noise
        return jnp.tanh(before_tanh), self._log_prob_before_tanh(before_tanh)

    def mode(self) -> jax.Array:
        """tanh of the Gaussian's mean: the median, which SAC evaluates."""
        return jnp.tanh(self.mean)

    def _log_prob_before_tanh(self, u: jax.Array) -> jax.Array:
        correction = 2.0 * (jnp.log(2.0) - u - jax.nn.softplus(-2.0 * u))
        return Gaussian(self.mean, self.log_std).log_prob(u) - jnp.sum(correction, axis=-1)


class Categorical(struct.PyTreeNode):
    """A distribution over action indices, from unnormalised logits (..., num_actions)."""

    logits: jax.Array

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log-probability (...) of int32 actions (...)."""
        log_probs = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_probs, action[..., None], axis=-1).squeeze(-1)

    def sample(self, key: jax.Array) -> jax.Array:
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def mode(self) -> jax.Array:
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

"""Policy networks: observations to action distributions, or to actions."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from networks.distributions import Categorical, Gaussian, TanhGaussian
from networks.mlp import MLP


class GaussianPolicy(nn.Module):
    """A Gaussian with mean in (-1, 1) and a standard deviation that no state changes.

    As IQL's released code has it (policy.py, NormalTanhPolicy with state_dependent_std=False and
    tanh_squash_distribution=False): tanh bounds the mean, the density stays Gaussian.

    Attributes:
        hidden_sizes, dropout_rate: as in networks.mlp.MLP.
        action_size: dimensions of an action.
        log_std_min, log_std_max: bounds of the logarithm of the standard deviation, which begins at 0.
        sigmoid_log_std: keeps it between them by a sigmoid, from their middle on, instead of by
            clipping (rlkit's GaussianPolicy with std_architecture='values').
    """

    hidden_sizes: Sequence[int]
    action_size: int
    dropout_rate: float = 0.0
    log_std_min: float = -5.0
    log_std_max: float = 2.0
    sigmoid_log_std: bool = False

    @nn.compact
    def __call__(self, observation: jax.Array, training: bool = False) -> Gaussian:
        output = MLP(self.hidden_sizes, self.action_size, dropout_rate=self.dropout_rate)
        log_std = self.param('log_std', nn.initializers.zeros, (self.action_size,))
        mean = jnp.tanh(output(observation, training))
        if self.sigmoid_log_std:
            share = jax.nn.sigmoid(log_std)
            log_std = self.log_std_min + share * (self.log_std_max - self.log_std_min)
        else:
            log_std = jnp.clip(log_std, self.log_std_min, self.log_std_max)
        return Gaussian(mean, jnp.broadcast_to(log_std, mean.shape))


class UnitGaussianPolicy(nn.Module):
    """A Gaussian of standard deviation 1 around any mean, as in OGBench's code (networks.py, GCActor).

    Its log-density is a squared distance; who acts clips. Attributes as in networks.mlp.MLP.
    """

    hidden_sizes: Sequence[int]
    action_size: int
    activation: Callable[[jax.Array], jax.Array] = nn.gelu

    @nn.compact
    def __call__(self, observation: jax.Array) -> Gaussian:
        mean = MLP(self.hidden_sizes, self.action_size, self.activation)(observation)
        return Gaussian(mean, jnp.zeros_like(mean))


class TanhGaussianPolicy(nn.Module):
    """SAC's policy: a state-dependent Gaussian squashed by tanh.

    With `log_std_offset` the logarithm of its standard deviation is, before it is clipped, scaled and
    shifted by two numbers that are learned, from 1 and `log_std_offset` on (JaxCQL).
    """

    hidden_sizes: Sequence[int]
    action_size: int
    log_std_min: float = -20.0
    log_std_max: float = 2.0
    log_std_offset: float | None = None

    @nn.compact
    def __call__(self, observation: jax.Array, training: bool = False) -> TanhGaussian:
        output = MLP(self.hidden_sizes, 2 * self.action_size)(observation, training)
        mean, log_std = jnp.split(output, 2, axis=-1)
        if self.log_std_offset is not None:
            scale = self.param('scale', nn.initializers.ones, ())
            offset = self.param('offset', nn.initializers.constant(self.log_std_offset), ())
            log_std = scale * log_std + offset
        return TanhGaussian(mean, jnp.clip(log_std, self.log_std_min, self.log_std_max))


class CategoricalPolicy(nn.Module):
    """A distribution over discrete actions."""

    hidden_sizes: Sequence[int]
    num_actions: int
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, observation: jax.Array, training: bool = False) -> Categorical:
        output = MLP(self.hidden_sizes, self.num_actions, dropout_rate=self.dropout_rate)
        return Categorical(output(observation, training))


class DeterministicPolicy(nn.Module):
    """Actions tanh(MLP(s)), as in TD3; `layer_norm` and `dropout_rate` as in networks.mlp.MLP."""

    hidden_sizes: Sequence[int]
    action_size: int
    layer_norm: str = ''
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, observation: jax.Array, training: bool = False) -> jax.Array:
        output = MLP(
            self.hidden_sizes, self.action_size, dropout_rate=self.dropout_rate,
            layer_norm=self.layer_norm,
        )  # fmt: skip
        return jnp.tanh(output(observation, training))


def smoothed(action: jax.Array, noise: jax.Array, scale: jax.Array, clip: jax.Array) -> jax.Array:
    """Target policy smoothing: actions with clipped noise, within the bounds  (TD3, section 5.3).

    `noise` is standard normal, in the shape of the actions.
    """
    return jnp.clip(action + jnp.clip(scale * noise, -clip, clip), -1, 1)

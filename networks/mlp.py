"""The multilayer perceptron that every network here is made of."""

from collections.abc import Callable, Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from networks.products import dot_general


def symmetric_uniform(bound: float) -> nn.initializers.Initializer:
    """Initialises uniformly in [-bound, bound)."""

    def initialize(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return initialize


class Linear(nn.Module):
    """An affine map with PyTorch's default initialisation, uniform in +-1/sqrt(fan-in).

    Most of the reference implementations of offline RL are PyTorch programs that keep this default.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        initializer = symmetric_uniform(x.shape[-1] ** -0.5)
        return nn.Dense(
            self.features, kernel_init=initializer, bias_init=initializer, dot_general=dot_general
        )(x)


class MLP(nn.Module):
    """Hidden layers with an activation after each, then a linear output layer.

    Attributes:
        hidden_sizes: width of each hidden layer.
        output_size: width of the output.
        activation: applied after each hidden layer.
        dropout_rate: of the hidden activations; needs a 'dropout' key if positive and training.
        layer_norm: where each hidden layer is normalised (Ba, Kiros & Hinton 2016): 'before' its
            activation, 'after' it, or '' for nowhere.
    """

    hidden_sizes: Sequence[int]
    output_size: int
    activation: Callable[[jax.Array], jax.Array] = nn.relu
    dropout_rate: float = 0.0
    layer_norm: Literal['', 'before', 'after'] = ''

    @nn.compact
    def __call__(self, x: jax.Array, training: bool = False) -> jax.Array:
        for size in self.hidden_sizes:
            x = Linear(size)(x)
            if self.layer_norm == 'before':
                x = nn.LayerNorm()(x)
            x = self.activation(x)
            if self.layer_norm == 'after':
                x = nn.LayerNorm()(x)
            x = nn.Dropout(self.dropout_rate, deterministic=not training)(x)
        return Linear(self.output_size)(x)

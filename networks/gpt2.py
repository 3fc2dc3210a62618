"""The transformer of GPT-2, for tokens that are already vectors.

Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3: layer
normalisation before each part of a block and after the last block; weights N(0, 0.02), those that
write to the residual stream divided by sqrt(2 * layers). No positional embedding of its own.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from networks.products import dot_general

_STD = 0.02
_EPSILON = 1e-5


class SelfAttention(nn.Module):
    """Causal self-attention over tokens (batch, tokens, size), which `mask` (batch, tokens) may hide.

    Dropout of the attention weights, which jax.nn.dot_product_attention has not, is the only reason
    for the weights to be computed here: while training with dropout.
    """

    num_heads: int
    output_init: nn.initializers.Initializer
    dropout_rate: float

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, training: bool) -> jax.Array:
        size = x.shape[-1]
        of_heads = 3, self.num_heads, size // self.num_heads
        heads = nn.DenseGeneral(of_heads, kernel_init=_normal(), dot_general=dot_general)(x)
        query, key, value = (heads[:, :, i] for i in range(3))
        if training and self.dropout_rate > 0:
            scores = jnp.einsum('btnh,bsnh->bnts', query, key) / jnp.sqrt(query.shape[-1])
            seen = jnp.tril(jnp.ones(scores.shape[-2:], bool)) & mask[:, None, None, :]
            weights = nn.softmax(jnp.where(seen, scores, jnp.finfo(scores.dtype).min))
            weights = nn.Dropout(self.dropout_rate, deterministic=False)(weights)
            attended = jnp.einsum('bnts,bsnh->btnh', weights, value)
        else:
            attended = jax.nn.dot_product_attention(
                query, key, value, mask=mask[:, None, None, :], is_causal=True
            )
        return _dense(size, self.output_init)(attended.reshape(x.shape))


class Block(nn.Module):
    """Attention, then an MLP four times as wide, each added to the stream it reads."""

    num_heads: int
    output_init: nn.initializers.Initializer
    dropout_rate: float
    activation: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, training: bool) -> jax.Array:
        def drop(y):
            return nn.Dropout(self.dropout_rate, deterministic=not training)(y)

        attention = SelfAttention(self.num_heads, self.output_init, self.dropout_rate)
        x = x + drop(attention(nn.LayerNorm(_EPSILON)(x), mask, training))
        hidden = _dense(4 * x.shape[-1], _normal())(nn.LayerNorm(_EPSILON)(x))
        return x + drop(_dense(x.shape[-1], self.output_init)(self.activation(hidden)))


class GPT2(nn.Module):
    """Tokens (batch, tokens, size) to features of the same shape.

    Feature t depends on the tokens up to t that `mask`, bool (batch, tokens), does not hide; where
    it hides all of them the feature means nothing.

    Attributes:
        num_layers: blocks.
        num_heads: of each attention; divides the size of the tokens.
        dropout_rate: of the input, the residual branches and the attention weights; needs a
            'dropout' key if positive and training.
        activation: of the MLPs. GPT-2's is nn.gelu.
    """

    num_layers: int
    num_heads: int
    dropout_rate: float = 0.1
    activation: Callable[[jax.Array], jax.Array] = nn.gelu

    @nn.compact
    def __call__(self, tokens: jax.Array, mask: jax.Array, training: bool = False) -> jax.Array:
        output_init = nn.initializers.normal(_STD / (2 * self.num_layers) ** 0.5)
        x = nn.Dropout(self.dropout_rate, deterministic=not training)(tokens)
        for _ in range(self.num_layers):
            x = Block(self.num_heads, output_init, self.dropout_rate, self.activation)(
                x, mask, training
            )
        return nn.LayerNorm(_EPSILON)(x)


def _dense(size: int, kernel_init: nn.initializers.Initializer) -> nn.Dense:
    return nn.Dense(size, kernel_init=kernel_init, dot_general=dot_general)


def _normal() -> nn.initializers.Initializer:
    return nn.initializers.normal(_STD)

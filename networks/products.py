"""The products of dense layers, which a CPU differentiates faster than XLA's own gradient has it.

XLA's product of a transposed matrix is slower on a core than that of the matrix transposed beforehand,
by a third for square matrices and tenfold for narrow ones.
"""

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata


def dot_general(x: jax.Array, kernel: jax.Array, dimension_numbers, precision=None) -> jax.Array:
    """Inputs (..., in) times a kernel (in, ...), as flax's dense layers ask for it."""
    del dimension_numbers, precision  # Those of a dense layer, and jax_default_matmul_precision.
    outputs = _product(x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[0], -1))
    return outputs.reshape(*x.shape[:-1], *kernel.shape[1:])


@jax.custom_vjp
def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(rows, in) times (in, out)."""
    return x @ kernel


def _forward(x, kernel):
    return x @ kernel, (x, kernel)


def _backward(residuals, gradient):
    x, kernel = residuals
    of_kernel = jax.lax.platform_dependent(
        x, gradient, cpu=_transposed_product, default=lambda x, gradient: x.T @ gradient
    )
    return gradient @ kernel.T, of_kernel


_product.defvjp(_forward, _backward)


def _transposed_product(x: jax.Array, y: jax.Array) -> jax.Array:
    """x^T y, of (rows, in) and (rows, out), for which the narrower one is copied."""
    if x.shape[-1] <= y.shape[-1]:
        return _transposed(x) @ y
    return _transposed(_transposed(y) @ x)


def _transposed(x: jax.Array) -> jax.Array:
    # A call that stays one: part of the product, or of what made x, it would be slow again.
    with set_xla_metadata(inlineable='false'):
        return jax.jit(jnp.transpose)(x)

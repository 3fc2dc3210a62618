"""Dense layers' products and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from networks.products import dot_general


def weighted(x, kernel, weights):
    return jnp.sum(weights * dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ()))))


def arrays(rows, inputs, outputs):
    rng = np.random.default_rng(0)
    shapes = (*rows, inputs), (inputs, *outputs), (*rows, *outputs)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ('rows', 'inputs', 'outputs'),
    [((5,), 3, (3,)), ((5,), 3, (7,)), ((5,), 7, (3,)), ((2, 5), 7, (3,)), ((2, 5), 4, (3, 2, 2))],
)
def test_products_and_gradients(rows, inputs, outputs):
    x, kernel, weights = arrays(rows, inputs, outputs)
    product = dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))
    of_x, of_kernel = jax.grad(weighted, (0, 1))(x, kernel, weights)

    flat = [np.float64(x).reshape(-1, inputs), np.float64(kernel).reshape(inputs, -1)]
    given = np.float64(weights).reshape(len(flat[0]), -1)
    np.testing.assert_allclose(
        product, (flat[0] @ flat[1]).reshape(weights.shape), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(of_x, (given @ flat[1].T).reshape(x.shape), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        of_kernel, (flat[0].T @ given).reshape(kernel.shape), rtol=1e-5, atol=1e-5
    )


def test_gradients_of_an_ensemble_that_reads_the_same_rows():
    x, kernel, weights = arrays((5,), 3, (7,))
    kernels, weights = np.stack([kernel, 2 * kernel]), np.stack([weights, -weights])
    gradients = jax.vmap(jax.grad(weighted, 1), (None, 0, 0))(x, kernels, weights)
    for gradient, given in zip(gradients, weights):
        np.testing.assert_allclose(gradient, np.float64(x).T @ given, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('outputs', [32, 2])
def test_a_core_multiplies_no_transposed_matrix(outputs):
    gradient = jax.jit(jax.grad(weighted, (0, 1)))
    compiled = gradient.lower(*arrays((32,), 32, (outputs,))).compile().as_text()
    assert ' dot(' in compiled
    assert 'lhs_contracting_dims={0}' not in compiled

"""Values of states and goals that meet in vectors; observations are [state, goal]."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from networks.mlp import MLP
from networks.values import StateValue, ensemble


class ActionGoalVectors(nn.Module):
    """phi(s, a) and psi(g), (batch, size) each, whose inner product is a value; `product` takes it.

    Attributes:
        hidden_sizes, activation, layer_norm: as in networks.mlp.MLP.
        size: of the vectors.
    """

    hidden_sizes: Sequence[int]
    size: int
    layer_norm: str = ''
    activation: Callable[[jax.Array], jax.Array] = nn.gelu

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        state, goal = jnp.split(observation, 2, axis=-1)

        def vectors(inputs):
            return MLP(self.hidden_sizes, self.size, self.activation, layer_norm=self.layer_norm)(inputs)

        return vectors(jnp.concatenate([state, action], axis=-1)), vectors(goal)


class SubgoalValue(nn.Module):
    """V(s, phi(s, g)), of an ensemble that shares phi: observations (batch, ...) to (size, batch).

    `represent` returns phi alone, (batch, vector_size), each of length sqrt(vector_size).

    Attributes:
        hidden_sizes, layer_norm, activation: as in networks.mlp.MLP, of phi and of V.
        vector_size: of phi's vectors.
        num_values: of the ensemble.
    """

    hidden_sizes: Sequence[int]
    vector_size: int
    num_values: int
    layer_norm: str = ''
    activation: Callable[[jax.Array], jax.Array] = nn.gelu

    def setup(self):
        self.phi = MLP(
            self.hidden_sizes, self.vector_size, self.activation, layer_norm=self.layer_norm
        )
        self.value = ensemble(StateValue, self.num_values)(
            self.hidden_sizes, self.layer_norm, self.activation
        )

    def represent(self, observation: jax.Array) -> jax.Array:
        return of_one_length(self.phi(observation))

    def __call__(self, observation: jax.Array) -> jax.Array:
        state, _ = jnp.split(observation, 2, axis=-1)
        return self.value(jnp.concatenate([state, self.represent(observation)], axis=-1))


def of_one_length(vectors: jax.Array) -> jax.Array:
    """Vectors (..., size) in the same directions, of length sqrt(size)."""
    length = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / length * jnp.sqrt(vectors.shape[-1])


def product(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """phi^T psi / sqrt(size) of vectors (..., size), (...)."""
    return jnp.sum(phi * psi, axis=-1) / jnp.sqrt(phi.shape[-1])


def products(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """`product` of every phi (..., n, size) with every psi (..., m, size), (..., n, m)."""
    return jnp.einsum('...ik,...jk->...ij', phi, psi) / jnp.sqrt(phi.shape[-1])

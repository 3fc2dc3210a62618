"""State-value and action-value networks, and ensembles of them.

`layer_norm` and `activation` of their hidden layers are as in networks.mlp.MLP. A value that normalises
its layers is bounded by its last weights wherever it is asked, also far from the data (Ball et al. 2023,
section 4.2).
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from networks.mlp import MLP


class StateValue(nn.Module):
    """V(s): observations (batch, observation_size) to values (batch,)."""

    hidden_sizes: Sequence[int]
    layer_norm: str = ''
    activation: Callable[[jax.Array], jax.Array] = nn.relu

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        return _mlp(self, 1)(observation).squeeze(-1)


class ActionValue(nn.Module):
    """Q(s, a) of continuous actions (batch, action_size), read beside the observation: (batch,)."""

    hidden_sizes: Sequence[int]
    layer_norm: str = ''
    activation: Callable[[jax.Array], jax.Array] = nn.relu

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array) -> jax.Array:
        return _mlp(self, 1)(jnp.concatenate([observation, action], -1)).squeeze(-1)


class DiscreteActionValue(nn.Module):
    """Q(s, .) of all discrete actions at once, as in DQN.

    Called with action indices (batch,) it returns their values (batch,); `all_actions` returns the
    values of all actions (batch, num_actions).
    """

    hidden_sizes: Sequence[int]
    num_actions: int
    layer_norm: str = ''
    activation: Callable[[jax.Array], jax.Array] = nn.relu

    def setup(self):
        self.mlp = _mlp(self, self.num_actions)

    def all_actions(self, observation: jax.Array) -> jax.Array:
        return self.mlp(observation)

    def __call__(self, observation: jax.Array, action: jax.Array) -> jax.Array:
        values = self.all_actions(observation)
        return jnp.take_along_axis(values, action[:, None], axis=-1).squeeze(-1)


def _mlp(value: nn.Module, output_size: int) -> MLP:
    return MLP(value.hidden_sizes, output_size, value.activation, layer_norm=value.layer_norm)


def ensemble(network: type[nn.Module], size: int) -> type[nn.Module]:
    """`size` independently initialised copies: outputs gain a leading axis (size, ...)."""
    methods = ['__call__', 'all_actions'] if hasattr(network, 'all_actions') else ['__call__']
    return nn.vmap(
        network,
        variable_axes={'params': 0},
        split_rngs={'params': True},
        in_axes=None,
        out_axes=0,
        axis_size=size,
        methods=methods,
    )


def q_of_samples(
    q: Callable, params: Any, observation: jax.Array, action: jax.Array
) -> jax.Array:
    """Values (critics, samples, batch) of several actions in each observation, in one call.

    Args:
        q: (params, observations, actions) -> (critics, rows), as an ensemble of ActionValue is applied.
        params: of the critics.
        observation: (batch, observation_size).
        action: (samples, batch, action_size).
    """
    samples, batch, action_size = action.shape
    rows = jnp.tile(observation, (samples, 1))
    return q(params, rows, action.reshape(-1, action_size)).reshape(-1, samples, batch)


def expectile_loss(error: jax.Array, expectile: jax.Array) -> jax.Array:
    """|tau - 1(error < 0)| error^2, elementwise  (Newey & Powell 1987; IQL, eq. 5).

    The constant from which errors cost least is their tau-expectile.
    """
    return jnp.where(error < 0, 1 - expectile, expectile) * jnp.square(error)

"""Behavioural cloning: supervised learning of the data's actions.

    L_pi(phi) = -E[ log pi(a | s) ]

The policy is IQL's: a Gaussian with state-independent standard deviation for continuous actions, a
categorical one for discrete actions, so that the two differ in their weights on the data alone
(IQL at inverse temperature 0 is this file). Top-X % cloning is the same loss on the episodes of
highest return (`config.top_fraction`), as in Chen et al. 2021, https://arxiv.org/abs/2106.01345.
"""

from typing import Annotated

import chex
import jax
import jax.numpy as jnp
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import Spec, Transition
from networks.optimization import adam, descend
from networks.policies import CategoricalPolicy, GaussianPolicy

NAME = 'BC'
ACTIONS = ('continuous', 'discrete')
METRICS = ('actor_loss', 'log_prob_std')
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]', 'dropout_rate': '[0, 1)'}


class Hyperparameters(struct.PyTreeNode):
    learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class BCState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> BCState:
    """NETWORK says what it reads of `config`."""
    key, actor_key = jax.random.split(key)
    network = CategoricalPolicy if spec.discrete else GaussianPolicy
    policy = network(config.hidden_sizes, spec.action_size, config.dropout_rate)
    return BCState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(policy.apply, policy.init(actor_key, jnp.zeros((1, spec.observation_size)))),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def actor_loss(params, state: BCState, batch: Transition, key: jax.Array) -> tuple[jax.Array, dict]:
    """Negative log-likelihood of the data's actions; `key` draws the dropout."""
    policy = state.actor.apply_fn(params, batch.observation, training=True, rngs={'dropout': key})
    log_prob = policy.log_prob(batch.action)
    chex.assert_equal_shape((log_prob, batch.reward))
    loss = -jnp.mean(log_prob)
    return loss, {'actor_loss': loss, 'log_prob_std': jnp.std(log_prob)}


def update(state: BCState, batch: Transition) -> BCState:
    """One gradient step."""
    key = jax.random.fold_in(state.key, state.step)
    gradients, metrics = jax.grad(actor_loss, has_aux=True)(state.actor.params, state, batch, key)
    return state.replace(
        step=state.step + 1,
        actor=descend(state.actor, gradients, state.hparams.learning_rate),
        metrics=metrics,
    )


def act(state: BCState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The policy's mean, or its most likely action if discrete."""
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory

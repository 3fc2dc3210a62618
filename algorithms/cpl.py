"""Contrastive Preference Learning  (Hejna et al. 2023, https://arxiv.org/abs/2310.13639).

A policy straight from preferences. If people prefer the segment whose actions they would regret less,
it is sums of optimal advantages that they compare, and with entropy in the objective these are the
optimal policy's log-probabilities, A*(s, a) = alpha log pi*(a | s) (section 3.1). So the policy itself
is fitted by Bradley & Terry's model, as a reward model is, and neither reward nor value is learned:

    P[s1 > s2] = exp A1 / (exp A1 + exp A2),   Ai = sum_t alpha log pi(ai_t | oi_t)
    L(phi) = -E[ mu log P[s1 > s2] + (1 - mu) log P[s2 > s1] ]                           (section 3.1)

with mu = 1 for the first, 0 for the second, 1/2 for neither. That is blind to how likely the actions of
both segments are together, so that probability may go where there are no data. A bias lambda < 1 on what
is preferred less makes up for it (section 3.2):

    P_lambda[s1 > s2] = exp A1 / (exp A1 + exp(lambda A2))

This file follows the released code (jhejna/cpl, research/algs/cpl.py; configs/mw_state_sparse/cpl.yaml):
no discount in the sums, a continuous policy whose log-probability is -|a - mu(s)|^2 (a Gaussian of fixed
variance, without its constant), dropout, and cloning of both segments' actions for the first updates.
There the optimiser begins anew after these, with learning rates that rise; here it goes on.

Discrete actions: a categorical policy, the equations are the same.
"""

from typing import Annotated, Any

import chex
import jax
import jax.numpy as jnp
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import SegmentPair, Spec
from networks.optimization import adam, descend
from networks.policies import CategoricalPolicy, DeterministicPolicy

NAME = 'CPL'
ACTIONS = ('continuous', 'discrete')
BATCH = SegmentPair
METRICS = ('actor_loss', 'contrastive', 'cloning', 'agreement')
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]', 'dropout_rate': '[0, 1)'}


class Hyperparameters(struct.PyTreeNode):
    temperature: Annotated[jax.Array, '(0, inf)']  # alpha
    bias: Annotated[jax.Array, '[0, 1]']  # lambda of section 3.2; 1 for none
    bc_updates: Annotated[jax.Array, '[0, inf)']  # the first so many clone all segments' actions
    learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class CPLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> CPLState:
    """NETWORK says what it reads of `config`."""
    key, actor_key = jax.random.split(key)
    network = CategoricalPolicy if spec.discrete else DeterministicPolicy
    policy = network(config.hidden_sizes, spec.action_size, dropout_rate=config.dropout_rate)
    return CPLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(policy.apply, policy.init(actor_key, jnp.zeros((1, spec.observation_size)))),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def actor_loss(params, state: CPLState, batch: SegmentPair, key: jax.Array) -> tuple[jax.Array, dict]:
    """L with the bias of section 3.2, or, in the first updates, cloning; `key` draws the dropout."""
    hparams = state.hparams
    policy = state.actor.apply_fn(params, batch.observation, training=True, rngs={'dropout': key})
    log_prob = jnp.where(batch.mask, log_likelihood(policy, batch.action), 0.0)
    first, second = jnp.moveaxis(hparams.temperature * jnp.sum(log_prob, axis=-1), -1, 0)
    chex.assert_equal_shape((first, second, batch.label))
    # -log P_lambda[s1 > s2] and -log P_lambda[s2 > s1].
    contrastive = jnp.mean(
        batch.label * jax.nn.softplus(hparams.bias * second - first)
        + (1 - batch.label) * jax.nn.softplus(hparams.bias * first - second)
    )
    cloning = -jnp.sum(log_prob) / jnp.sum(batch.mask)
    loss = jnp.where(state.step < hparams.bc_updates, cloning, contrastive)
    decided = batch.label != 0.5
    agreed = decided & ((first > second) == (batch.label > 0.5))
    return loss, {
        'actor_loss': loss,
        'contrastive': contrastive,
        'cloning': cloning,
        'agreement': jnp.sum(agreed) / jnp.maximum(jnp.sum(decided), 1),
    }


def log_likelihood(policy: Any, action: jax.Array) -> jax.Array:
    """log pi(a | s) of actions (..., action_size), or (...) if discrete, but for a constant: (...)."""
    if isinstance(policy, jax.Array):
        return -jnp.sum(jnp.square(policy - action), axis=-1)
    return policy.log_prob(action)


def update(state: CPLState, batch: SegmentPair) -> CPLState:
    """One gradient step."""
    key = jax.random.fold_in(state.key, state.step)
    gradients, metrics = jax.grad(actor_loss, has_aux=True)(state.actor.params, state, batch, key)
    return state.replace(
        step=state.step + 1,
        actor=descend(state.actor, gradients, state.hparams.learning_rate),
        metrics=metrics,
    )


def act(state: CPLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The policy's mean, or its most likely action if discrete."""
    policy = state.actor.apply_fn(state.actor.params, observation)
    return policy if isinstance(policy, jax.Array) else policy.mode(), memory

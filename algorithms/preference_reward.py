"""A reward learned from preferences  (Christiano et al. 2017, https://arxiv.org/abs/1706.03741).

People cannot say what a step is worth, but which of two segments they prefer. If they prefer the first
with the probability of Bradley & Terry's model of two sums of rewards,

    P[s1 > s2] = exp sum_t r(o1_t, a1_t) / (exp sum_t r(o1_t, a1_t) + exp sum_t r(o2_t, a2_t))  (eq. 1)

then rewards are fitted by the cross-entropy of what they said, with mu = 1 for the first, 0 for the
second and 1/2 for neither (section 2.2.3):

    L(psi) = -E[ mu log P[s1 > s2] + (1 - mu) log P[s2 > s1] ]

Sums of rewards alone are compared, so that a constant in all rewards cancels between segments of one
length, and nothing sets their scale but how sure people are.

Networks and ensemble follow PEBBLE (Lee, Smith & Abbeel 2021, https://arxiv.org/abs/2106.05091;
released code, rll-research/BPref, reward_model.py): leaky ReLUs, rewards in [-1, 1] by a tanh, several
networks that differ in their initialisation alone. All see the same pairs, where Christiano et al.
resample them for each and normalise each network's rewards; and in the same batches, where PEBBLE
shuffles for each. How far they differ says where the pairs did not tell.

It learns no policy: launch.relabel writes a dataset with its rewards, for any algorithm to learn from.
"""

from typing import Annotated

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import SegmentPair, Spec
from networks.optimization import adam, descend
from networks.values import ActionValue, DiscreteActionValue, ensemble

NAME = 'Preference reward'
ACTIONS = ('continuous', 'discrete')
BATCH = SegmentPair
METRICS = ('reward_loss', 'agreement', 'reward', 'disagreement')
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]', 'num_rewards': 'int [1, 1e4]'}


class Hyperparameters(struct.PyTreeNode):
    learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class PreferenceRewardState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    reward: TrainState
    metrics: dict[str, jax.Array]


def init(
    key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict
) -> PreferenceRewardState:
    """NETWORK says what it reads of `config`."""
    key, reward_key = jax.random.split(key)
    observation = jnp.zeros((1, spec.observation_size))
    if spec.discrete:
        action = jnp.zeros((1,), jnp.int32)
        network = ensemble(DiscreteActionValue, config.num_rewards)(
            config.hidden_sizes, spec.action_size, activation=nn.leaky_relu
        )
    else:
        action = jnp.zeros((1, spec.action_size))
        network = ensemble(ActionValue, config.num_rewards)(
            config.hidden_sizes, activation=nn.leaky_relu
        )
    return PreferenceRewardState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        reward=adam(network.apply, network.init(reward_key, observation, action)),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def reward_loss(params, state: PreferenceRewardState, batch: SegmentPair) -> tuple[jax.Array, dict]:
    """Cross-entropy of the labels under eq. 1  (section 2.2.3)."""
    batch_size, _, steps = batch.mask.shape
    rows = jax.tree.map(
        lambda array: array.reshape(2 * batch_size * steps, *array.shape[3:]),
        (batch.observation, batch.action),
    )
    reward = jnp.tanh(state.reward.apply_fn(params, *rows))
    reward = jnp.where(batch.mask, reward.reshape(-1, batch_size, 2, steps), 0.0)
    returns = jnp.sum(reward, axis=-1)
    # log P[s1 > s2] is log sigmoid of it.
    logit = returns[..., 0] - returns[..., 1]
    chex.assert_equal_shape((logit[0], batch.label))
    # A mean over networks too: each has its own parameters, and Adam's steps know no scale.
    loss = jnp.mean(cross_entropy(logit, batch.label))
    # Of the pairs with a better one, those of which the networks' mean says so.
    decided = batch.label != 0.5
    agreed = decided & ((jnp.mean(logit, axis=0) > 0) == (batch.label > 0.5))
    number = jnp.sum(batch.mask)
    return loss, {
        'reward_loss': loss,
        'agreement': jnp.sum(agreed) / jnp.maximum(jnp.sum(decided), 1),
        'reward': jnp.sum(jnp.mean(reward, axis=0)) / number,
        'disagreement': jnp.sum(jnp.std(reward, axis=0)) / number,
    }


def cross_entropy(logit: jax.Array, label: jax.Array) -> jax.Array:
    """-mu log sigmoid(logit) - (1 - mu) log sigmoid(-logit), elementwise."""
    return label * jax.nn.softplus(-logit) + (1 - label) * jax.nn.softplus(logit)


def update(state: PreferenceRewardState, batch: SegmentPair) -> PreferenceRewardState:
    """One gradient step of every network."""
    gradients, metrics = jax.grad(reward_loss, has_aux=True)(state.reward.params, state, batch)
    return state.replace(
        step=state.step + 1,
        reward=descend(state.reward, gradients, state.hparams.learning_rate),
        metrics=metrics,
    )


def rewards_of(
    state: PreferenceRewardState, observation: jax.Array, action: jax.Array
) -> jax.Array:
    """What each network gives for steps (batch, ...): (num_rewards, batch), in [-1, 1]."""
    return jnp.tanh(state.reward.apply_fn(state.reward.params, observation, action))

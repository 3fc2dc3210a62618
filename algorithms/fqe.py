"""Fitted Q Evaluation  (Le, Voloshin & Yue 2019, https://arxiv.org/abs/1903.08738).

What would a policy earn that was never tried? The Q of one given policy pi is regressed from the log,
by the Bellman equation of that policy instead of the best one,

    Q_k  = argmin_f E[ (f(s, a) - (r + gamma Q_{k-1}(s', pi(s'))))^2 ]                  (Algorithm 3)
    V_pi = E[ Q(s_0, pi(s_0)) ],   s_0 the first observations of episodes

Where pi(s') is nothing that the log ever tries, Q there is what a network makes up; the batch says where
that is, and there the least value that the log would allow stands for it, if anything shall.

One gradient step at a time, with a slowly moving average of Q in the place of Q_{k-1} (as in
google-research's policy_eval/q_fitter.py). No maximum seeks errors out, but values can run away.

The policies are no part of this file. A batch brings their actions, and each learner says which of them
it evaluates, so that many policies, of any algorithms, are members of one run. So are the bootstrap's
refits on episodes drawn with replacement, whose spread says how far the log determines an estimate
(Hao et al. 2021, https://arxiv.org/abs/2102.03607): a batch brings how often each of them has a step.
"""

from typing import Annotated, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import Array, Spec
from networks.optimization import adam, descend
from networks.values import ActionValue, DiscreteActionValue

NAME = 'FQE'
METRICS = ('critic_loss', 'q_data', 'next_q', 'td_error')
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]'}


class Batch(NamedTuple):
    """Transitions, what P policies would do after them, and how often each of B resamples has them.

    Attributes:
        observation, action, reward, discount, next_observation: as in data.types.Transition.
        next_actions: the policies' actions at next_observation, (..., P, action_size), or int32
            (..., P) if discrete.
        next_tried: bool (..., P), whether the log tries them there.
        counts: float32 (..., B); column b is how often resample b of the episodes, drawn with
            replacement, has this one; ones stand for the log itself.
    """

    observation: Array
    action: Array
    reward: Array
    discount: Array
    next_observation: Array
    next_actions: Array
    next_tried: Array
    counts: Array


class Hyperparameters(struct.PyTreeNode):
    policy: Annotated[jax.Array, 'whole [0, inf)']  # the batch's one that is evaluated, from 0
    resample: Annotated[jax.Array, 'whole [0, inf)']  # the batch's one that is learned from
    untried_value: Annotated[jax.Array, '(-inf, inf)']  # of what the log never tries, in rewards
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far the target goes to its critic per update
    learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class FQEState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> FQEState:
    """NETWORK says what it reads of `config`."""
    key, critic_key = jax.random.split(key)
    if spec.discrete:
        q = DiscreteActionValue(config.hidden_sizes, spec.action_size)
        action = jnp.zeros((1,), jnp.int32)
    else:
        q = ActionValue(config.hidden_sizes)
        action = jnp.zeros((1, spec.action_size))
    critic = adam(q.apply, q.init(critic_key, jnp.zeros((1, spec.observation_size)), action))
    return FQEState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def critic_loss(params, state: FQEState, batch: Batch) -> tuple[jax.Array, dict]:
    """Squared error of the policy's Bellman equation  (Algorithm 3)."""
    hparams = state.hparams
    next_action = jnp.take(batch.next_actions, hparams.policy.astype(jnp.int32), axis=1)
    chex.assert_equal_shape((next_action, batch.action))
    next_q = state.critic.apply_fn(state.target_critic_params, batch.next_observation, next_action)
    tried = jnp.take(batch.next_tried, hparams.policy.astype(jnp.int32), axis=1)
    chex.assert_equal_shape((next_q, tried))
    next_q = jnp.where(tried, next_q, hparams.untried_value)
    target = batch.reward + hparams.gamma * batch.discount * next_q
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q, target))
    counts = jnp.take(batch.counts, hparams.resample.astype(jnp.int32), axis=1)
    chex.assert_equal_shape((counts, q))
    loss = jnp.mean(counts * jnp.square(q - target))
    return loss, {
        'critic_loss': loss,
        'q_data': jnp.mean(q),
        'next_q': jnp.mean(batch.discount * next_q),
        'td_error': jnp.mean(jnp.abs(q - target)),
    }


def update(state: FQEState, batch: Batch) -> FQEState:
    """One gradient step; the target network follows."""
    hparams = state.hparams
    gradients, metrics = jax.grad(critic_loss, has_aux=True)(state.critic.params, state, batch)
    critic = descend(state.critic, gradients, hparams.learning_rate)
    return state.replace(
        step=state.step + 1,
        critic=critic,
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=metrics,
    )


def action_value(state: FQEState, observation: jax.Array, action: jax.Array) -> jax.Array:
    """Q of the policy, (batch,); at a first observation and the policy's action, its value there."""
    return state.critic.apply_fn(state.critic.params, observation, action)

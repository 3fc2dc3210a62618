"""Discrete batch-constrained Q-learning  (Fujimoto et al. 2019, https://arxiv.org/abs/1910.01708).

Double DQN that may choose only what the data's behaviour is likely to do: a classifier G(a | s)
learns the behaviour, and an action is allowed if it is at least `threshold` times as likely as the
most likely one. At threshold 0 it is double DQN, towards 1 behavioural cloning.

    A(s)       = { a : G(a | s) / max_b G(b | s) > threshold },  pi(s) = argmax over A(s) of Q(s, a)
    L_Q(theta) = E[ huber( r + gamma Q_targ(s', pi(s')) - Q(s, a) ) ]
    L_G(omega) = E[ -log G(a | s) + 0.01 mean_b logit_b(s)^2 ]

This file follows the authors' code (sfujim/BCQ, discrete_BCQ), which has the penalty on the logits
and, for observations that are no images, keeps two networks with nothing in common (FC_Q; Atari's
share their convolutions) and a target that follows slowly. All losses see the parameters of before
the update; pi(s') is chosen with the online networks, only its value is the target's.
"""

from typing import Annotated, Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import Spec, Transition
from networks.optimization import adam, descend
from networks.policies import CategoricalPolicy
from networks.values import DiscreteActionValue

NAME = 'discrete BCQ'
ACTIONS = ('discrete',)
METRICS = (
    'critic_loss', 'behaviour_loss', 'allowed_actions', 'q_data', 'q_policy', 'q_gap', 'td_error',
)  # fmt: skip
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]'}

_LOGIT_PENALTY = 0.01


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    threshold: Annotated[jax.Array, '[0, 1)']  # so likely beside the likeliest is allowed
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far the target goes to its critic per update
    behaviour_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class DiscreteBCQState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    behaviour: TrainState
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]


def init(
    key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict
) -> DiscreteBCQState:
    """NETWORK says what it reads of `config`."""
    key, behaviour_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1,), jnp.int32)
    classifier = CategoricalPolicy(config.hidden_sizes, spec.action_size)
    q = DiscreteActionValue(config.hidden_sizes, spec.action_size)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return DiscreteBCQState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        behaviour=adam(classifier.apply, classifier.init(behaviour_key, observation)),
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def critic_loss(params, state: DiscreteBCQState, batch: Transition) -> tuple[jax.Array, dict]:
    """Huber loss of the TD error, bootstrapped from the allowed actions alone."""
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    error = q - backup(state, batch)
    chex.assert_equal_shape((q, error, batch.reward))
    loss = jnp.mean(optax.huber_loss(error))
    return loss, {
        'critic_loss': loss,
        'q_data': jnp.mean(q),
        'td_error': jnp.mean(jnp.abs(error)),
    }


def behaviour_loss(params, state: DiscreteBCQState, batch: Transition) -> tuple[jax.Array, dict]:
    """Cross-entropy with the data's actions, and a small penalty on the logits."""
    behaviour = state.behaviour.apply_fn(params, batch.observation)
    log_prob = behaviour.log_prob(batch.action)
    chex.assert_equal_shape((log_prob, batch.reward))
    loss = _LOGIT_PENALTY * jnp.mean(jnp.square(behaviour.logits)) - jnp.mean(log_prob)
    return loss, {'behaviour_loss': loss}


def backup(state: DiscreteBCQState, batch: Transition) -> jax.Array:
    """r + gamma Q_targ(s', pi(s')), (batch,)."""
    action, _ = choose(state, batch.next_observation)
    next_q = state.critic.apply_fn(state.target_critic_params, batch.next_observation, action)
    return batch.reward + state.hparams.gamma * batch.discount * next_q


def choose(state: DiscreteBCQState, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
    """pi(s) and its value, each (batch,)."""
    values = state.critic.apply_fn(state.critic.params, observation, method='all_actions')
    values = jnp.where(allowed(state, observation), values, -jnp.inf)
    return jnp.argmax(values, axis=-1).astype(jnp.int32), jnp.max(values, axis=-1)


def allowed(state: DiscreteBCQState, observation: jax.Array) -> jax.Array:
    """Whether each action is in A(s), bool (batch, num_actions)."""
    logits = state.behaviour.apply_fn(state.behaviour.params, observation).logits
    relative = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    return relative > state.hparams.threshold


def update(state: DiscreteBCQState, batch: Transition) -> DiscreteBCQState:
    """One gradient step of the critic and of the behaviour model."""
    hparams = state.hparams
    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)

    gradients, behaviour_metrics = jax.grad(behaviour_loss, has_aux=True)(
        state.behaviour.params, state, batch
    )
    behaviour = descend(state.behaviour, gradients, hparams.behaviour_learning_rate)

    q_policy = jnp.mean(choose(state, batch.observation)[1])
    policy_metrics = {
        'allowed_actions': jnp.mean(jnp.sum(allowed(state, batch.observation), axis=-1)),
        'q_policy': q_policy,
        'q_gap': q_policy - critic_metrics['q_data'],
    }
    return state.replace(
        step=state.step + 1,
        critic=critic,
        behaviour=behaviour,
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=critic_metrics | behaviour_metrics | policy_metrics,
    )


def act(
    state: DiscreteBCQState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array
):
    """The allowed action of the highest value."""
    return choose(state, observation)[0], memory


def claimed_value(state: DiscreteBCQState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the critic expects of `act`, (batch,)."""
    return choose(state, observation)[1]

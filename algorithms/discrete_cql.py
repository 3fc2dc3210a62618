"""Conservative Q-Learning for discrete actions  (Kumar et al. 2020, https://arxiv.org/abs/2006.04779).

The penalty of cql.py on double DQN. With finitely many actions its soft maximum is a plain
logsumexp over all of them: nothing is sampled, and the greedy policy needs no network.

    penalty(theta) = E[ log sum_a exp Q(s, a) - Q(s, a_data) ]
    L_Q(theta)     = alpha penalty + E[ huber(y - Q(s, a)) ],
    y              = r + gamma Q_targ(s', argmax_a Q(s', a))                             (eq. 4)

The penalty's gradient is softmax(Q(s, .)) minus the data's frequencies: at its minimum alone Q's
softmax would be the behaviour policy. At alpha = 0 this file is dqn.py.

The authors' Atari code (aviralkumar2907/CQL, atari) puts the same term beside the loss of QR-DQN, a
Huber loss of quantiles. This file has one expected value per action, and like that code Huber's loss,
which is the paper's 1/2 u^2 for errors below `error_clip`. That code chooses the next action with
the target network; this file with the online one, as dqn.py does.
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
from networks.values import DiscreteActionValue

NAME = 'discrete CQL'
ACTIONS = ('discrete',)
METRICS = (
    'critic_loss', 'conservative_penalty', 'alpha', 'q_data', 'q_policy', 'q_gap', 'td_error',
)  # fmt: skip
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]'}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    cql_alpha: Annotated[jax.Array, '[0, inf)']  # alpha of eq. 4; 0 is double DQN
    target_period: Annotated[jax.Array, 'whole [1, inf)']  # updates to a replacement of the target
    error_clip: Annotated[jax.Array, '(0, inf)']  # of Huber's loss: where its gradient is clipped
    learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class DiscreteCQLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]


def init(
    key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict
) -> DiscreteCQLState:
    """NETWORK says what it reads of `config`."""
    key, critic_key = jax.random.split(key)
    q = DiscreteActionValue(config.hidden_sizes, spec.action_size)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1,), jnp.int32)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return DiscreteCQLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def critic_loss(params, state: DiscreteCQLState, batch: Transition) -> tuple[jax.Array, dict]:
    """Huber's loss of the double estimator's TD error, and the weighted penalty  (eq. 4)."""
    values = all_values(params, state, batch.observation)
    q = jnp.take_along_axis(values, batch.action[:, None], axis=-1).squeeze(-1)
    target = backup(state, batch)
    chex.assert_equal_shape((q, target, batch.reward))
    penalty = jnp.mean(jax.nn.logsumexp(values, axis=-1) - q)
    alpha = state.hparams.cql_alpha
    huber = optax.huber_loss(q, target, delta=state.hparams.error_clip)
    loss = alpha * penalty + jnp.mean(huber)
    q_data, q_policy = jnp.mean(q), jnp.mean(jnp.max(values, axis=-1))
    return loss, {
        'critic_loss': loss,
        'conservative_penalty': penalty,
        'alpha': alpha,
        'q_data': q_data,
        'q_policy': q_policy,
        'q_gap': q_policy - q_data,
        'td_error': jnp.mean(jnp.abs(q - target)),
    }


def backup(state: DiscreteCQLState, batch: Transition) -> jax.Array:
    """r + gamma Q_targ(s', a') with the action that the online network takes, (batch,)."""
    action = jnp.argmax(all_values(state.critic.params, state, batch.next_observation), axis=-1)
    next_q = state.critic.apply_fn(state.target_critic_params, batch.next_observation, action)
    return batch.reward + state.hparams.gamma * batch.discount * next_q


def all_values(params, state: DiscreteCQLState, observation: jax.Array) -> jax.Array:
    """Q(s, .), (batch, num_actions)."""
    return state.critic.apply_fn(params, observation, method='all_actions')


def update(state: DiscreteCQLState, batch: Transition) -> DiscreteCQLState:
    """One gradient step; every target_period-th also replaces the target network."""
    hparams = state.hparams
    gradients, metrics = jax.grad(critic_loss, has_aux=True)(state.critic.params, state, batch)
    critic = descend(state.critic, gradients, hparams.learning_rate)
    step = state.step + 1
    return state.replace(
        step=step,
        critic=critic,
        target_critic_params=optax.periodic_update(
            critic.params, state.target_critic_params, step, hparams.target_period
        ),
        metrics=metrics,
    )


def act(
    state: DiscreteCQLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array
):
    """The action of the highest value."""
    values = all_values(state.critic.params, state, observation)
    return jnp.argmax(values, axis=-1).astype(jnp.int32), memory


def claimed_value(state: DiscreteCQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the network expects of `act`, (batch,)."""
    return jnp.max(all_values(state.critic.params, state, observation), axis=-1)

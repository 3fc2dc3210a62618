"""Double DQN  (van Hasselt, Guez & Silver 2016, https://arxiv.org/abs/1509.06461).

Deep Q-learning (Mnih et al. 2015, https://doi.org/10.1038/nature14236) with the double estimator:
the network chooses the next action and a copy of it from some updates ago, the target network, says
what that action is worth, so that one network's errors are not both sought out and believed.

    y          = r + gamma Q_targ(s', argmax_a Q(s', a))
    L_Q(theta) = E[ huber(y - Q(s, a)) ],   huber(u) = u^2 / 2 for |u| < 1, else |u| - 1/2

On a fixed dataset this is a naive baseline: the argmax ranges over actions that nobody tried, and no
new data ever corrects what the network makes of them. As in the papers the error is clipped (the
gradient of Huber's loss) and the target network is replaced by the network every so many updates. The
optimiser is Adam where the papers have RMSProp; the policy evaluated is greedy.
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

NAME = 'DQN'
ACTIONS = ('discrete',)
METRICS = ('critic_loss', 'q_data', 'q_policy', 'q_gap', 'td_error')
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]'}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    target_period: Annotated[jax.Array, 'whole [1, inf)']  # updates to a replacement of the target
    error_clip: Annotated[jax.Array, '(0, inf)']  # of Huber's loss: where its gradient is clipped
    learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class DQNState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> DQNState:
    """NETWORK says what it reads of `config`."""
    key, critic_key = jax.random.split(key)
    q = DiscreteActionValue(config.hidden_sizes, spec.action_size)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1,), jnp.int32)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return DQNState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def critic_loss(params, state: DQNState, batch: Transition) -> tuple[jax.Array, dict]:
    """Huber's loss of the TD error towards the double estimator."""
    hparams = state.hparams
    next_action = greedy_action(state, batch.next_observation)
    next_q = state.critic.apply_fn(state.target_critic_params, batch.next_observation, next_action)
    target = batch.reward + hparams.gamma * batch.discount * next_q
    all_q = state.critic.apply_fn(params, batch.observation, method='all_actions')
    q = jnp.take_along_axis(all_q, batch.action[:, None], axis=-1).squeeze(-1)
    chex.assert_equal_shape((q, target))
    loss = jnp.mean(optax.huber_loss(q, target, delta=hparams.error_clip))
    q_data, q_policy = jnp.mean(q), jnp.mean(jnp.max(all_q, axis=-1))
    return loss, {
        'critic_loss': loss,
        'q_data': q_data,
        'q_policy': q_policy,
        'q_gap': q_policy - q_data,
        'td_error': jnp.mean(jnp.abs(q - target)),
    }


def greedy_action(state: DQNState, observation: jax.Array) -> jax.Array:
    """The action of highest value, int32 (batch,)."""
    q = state.critic.apply_fn(state.critic.params, observation, method='all_actions')
    return jnp.argmax(q, axis=-1).astype(jnp.int32)


def update(state: DQNState, batch: Transition) -> DQNState:
    """One gradient step of the network; every target_period-th also replaces the target network."""
    hparams = state.hparams
    gradients, metrics = jax.grad(critic_loss, has_aux=True)(state.critic.params, state, batch)
    critic = descend(state.critic, gradients, hparams.learning_rate)
    return state.replace(
        step=state.step + 1,
        critic=critic,
        target_critic_params=optax.periodic_update(
            critic.params, state.target_critic_params, state.step + 1, hparams.target_period
        ),
        metrics=metrics,
    )


def act(state: DQNState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The greedy action."""
    return greedy_action(state, observation), memory


def claimed_value(state: DQNState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the network expects of `act`, (batch,)."""
    q = state.critic.apply_fn(state.critic.params, observation, method='all_actions')
    return jnp.max(q, axis=-1)

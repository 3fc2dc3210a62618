"""Twin Delayed DDPG  (Fujimoto, van Hoof & Meger 2018, https://arxiv.org/abs/1802.09477).

A deterministic policy climbs its critic, and so finds whatever the critic overrates. TD3 takes three
measures against that: the target is the smaller of two critics (clipped double Q-learning, section
4.2); noise on the target policy's action averages over peaks of the critic (section 5.3); policy and
target networks move at every d-th update only, when the critics have settled (section 5.2).

    a'           = clip(pi_targ(s') + clip(sigma e, -c, c), -1, 1),   e ~ N(0, I)
    L_Q(theta_i) = E[ (r + gamma min_j Q_targ,j(s', a') - Q_i(s, a))^2 ],   i, j in {1, 2}
    L_pi(phi)    = -E[ Q_1(s, pi(s)) ]

They are those of Algorithm 1, where the smaller of two critics (eq. 10) meets the smoothed action
(eq. 15, which has one critic).

On a fixed dataset this is a naive baseline: nothing keeps pi(s') where the data has been. It follows
the authors' code (sfujim/TD3): critics first; at updates d, 2d, ... the policy sees the new critics,
and then all target networks move; sigma and c are fractions of the action bound, to which a' is
clipped.
"""

from functools import partial
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
from networks.policies import DeterministicPolicy, smoothed
from networks.values import ActionValue, ensemble

NAME = 'TD3'
ACTIONS = ('continuous',)
METRICS = ('critic_loss', 'actor_loss', 'q_data', 'q_policy', 'q_gap', 'td_error')
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]', 'num_critics': 'int [1, 1e4]'}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far a target goes to its network
    policy_noise: Annotated[jax.Array, '[0, inf)']  # sigma of the target policy's noise
    noise_clip: Annotated[jax.Array, '[0, inf]']  # c, where that noise is clipped
    policy_delay: Annotated[jax.Array, 'whole [1, inf)']  # d, critic updates to one of the policy
    exploration_noise: Annotated[jax.Array, '[0, inf)']  # sigma of what `explore` adds
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class TD3State(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    critic: TrainState
    target_actor_params: Any
    target_critic_params: Any
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> TD3State:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = DeterministicPolicy(config.hidden_sizes, spec.action_size)
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)
    actor = adam(policy.apply, policy.init(actor_key, observation))
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return TD3State(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=actor,
        critic=critic,
        target_actor_params=jax.tree.map(jnp.copy, actor.params),
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def critic_loss(
    params, state: TD3State, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Squared TD error of every critic; `noise` is standard normal, (batch, action_size)."""
    hparams = state.hparams
    next_action = smoothed(
        state.actor.apply_fn(state.target_actor_params, batch.next_observation),
        noise, hparams.policy_noise, hparams.noise_clip,
    )  # fmt: skip
    next_q = jnp.min(
        state.critic.apply_fn(state.target_critic_params, batch.next_observation, next_action),
        axis=0,
    )
    target = batch.reward + hparams.gamma * batch.discount * next_q
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1))
    return loss, {
        'critic_loss': loss,
        'q_data': jnp.mean(jnp.min(q, axis=0)),
        'td_error': jnp.mean(jnp.abs(error)),
    }


def actor_loss(params, state: TD3State, batch: Transition) -> tuple[jax.Array, dict]:
    """The first critic's value of the policy's actions, negated."""
    action = state.actor.apply_fn(params, batch.observation)
    q = state.critic.apply_fn(state.critic.params, batch.observation, action)
    chex.assert_equal_shape((q[0], batch.reward))
    loss = -jnp.mean(q[0])
    return loss, {'actor_loss': loss, 'q_policy': jnp.mean(jnp.min(q, axis=0))}


def update(state: TD3State, batch: Transition) -> TD3State:
    """One gradient step of the critics and, at every policy_delay-th, of policy and targets."""
    hparams = state.hparams
    noise = jax.random.normal(jax.random.fold_in(state.key, state.step), batch.action.shape)

    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch, noise
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)
    state = state.replace(critic=critic)

    _, actor_metrics = actor_loss(state.actor.params, state, batch)
    due = (state.step + 1) % hparams.policy_delay == 0
    # Without vmap, as on a CPU, the work is done when it is due only.
    state = jax.lax.cond(due, partial(move_policy_and_targets, batch=batch), lambda s: s, state)

    gap = actor_metrics['q_policy'] - critic_metrics['q_data']
    metrics = critic_metrics | actor_metrics | {'q_gap': gap}
    return state.replace(step=state.step + 1, metrics=metrics)


def move_policy_and_targets(state: TD3State, batch: Transition) -> TD3State:
    """One gradient step of the policy, and one of every target towards its network."""
    hparams = state.hparams
    gradients, _ = jax.grad(actor_loss, has_aux=True)(state.actor.params, state, batch)
    actor = descend(state.actor, gradients, hparams.actor_learning_rate)
    return state.replace(
        actor=actor,
        target_actor_params=optax.incremental_update(
            actor.params, state.target_actor_params, hparams.target_rate
        ),
        target_critic_params=optax.incremental_update(
            state.critic.params, state.target_critic_params, hparams.target_rate
        ),
    )


def act(state: TD3State, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The policy's action, without noise."""
    return state.actor.apply_fn(state.actor.params, observation), memory


def explore(state: TD3State, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The policy's actions with Gaussian noise, to collect data with."""
    action = state.actor.apply_fn(state.actor.params, observation)
    noise = state.hparams.exploration_noise * jax.random.normal(key, action.shape)
    return jnp.clip(action + noise, -1, 1)


def claimed_value(state: TD3State, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,)."""
    action = state.actor.apply_fn(state.actor.params, observation)
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

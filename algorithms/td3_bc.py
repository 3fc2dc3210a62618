"""TD3+BC  (Fujimoto & Gu 2021, https://arxiv.org/abs/2106.06860).

The smallest change that makes TD3 an offline algorithm: its policy is also regressed onto the data's
actions. The weight of the value is divided by the mean size of the critic's values, so that one alpha
serves rewards of any scale; alpha = 0 clones the data, large alpha is TD3.

    L_Q(theta_i) = E[ (r + gamma min_j Q_targ,j(s', a') - Q_i(s, a))^2 ],   i, j in {1, 2}     (TD3's)
                   a' = clip(pi_targ(s') + clip(sigma e, -c, c), -1, 1),   e ~ N(0, I)
    L_pi(phi)    = E[ -lambda Q_1(s, pi(s)) + (pi(s) - a)^2 ]                                  (eq. 3)
    lambda       = alpha / E[ |Q_1(s, pi(s))| ],   no gradient through lambda                  (eq. 5)

As in TD3 policy and target networks move at every d-th update only. Observations are standardised
(`config.standardize_observations`, eq. 4). Where they differ this file follows the authors' code
(sfujim/TD3_BC) rather than the paper: lambda averages over the policy's actions, not the data's, and
(pi(s) - a)^2 is the mean over the action's dimensions, not their sum.
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

NAME = 'TD3+BC'
ACTIONS = ('continuous',)
METRICS = (
    'critic_loss', 'actor_loss', 'cloning_error', 'q_data', 'q_policy', 'q_gap', 'td_error',
)  # fmt: skip
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]', 'num_critics': 'int [1, 1e4]'}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    alpha: Annotated[jax.Array, '[0, inf)']  # weight of the value against cloning
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far a target goes to its network
    policy_noise: Annotated[jax.Array, '[0, inf)']  # sigma of the target policy's noise
    noise_clip: Annotated[jax.Array, '[0, inf]']  # c, where that noise is clipped
    policy_delay: Annotated[jax.Array, 'whole [1, inf)']  # d, critic updates to one of the policy
    exploration_noise: Annotated[jax.Array, '[0, inf)']  # sigma of what `explore` adds
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class TD3BCState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    critic: TrainState
    target_actor_params: Any
    target_critic_params: Any
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> TD3BCState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = DeterministicPolicy(config.hidden_sizes, spec.action_size)
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)
    actor = adam(policy.apply, policy.init(actor_key, observation))
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return TD3BCState(
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
    params, state: TD3BCState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """TD3's squared TD error of every critic; `noise` is standard normal, (batch, action_size)."""
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


def actor_loss(params, state: TD3BCState, batch: Transition) -> tuple[jax.Array, dict]:
    """The first critic's value of the policy's actions, normalised, and cloning  (eqs. 3, 5)."""
    action = state.actor.apply_fn(params, batch.observation)
    chex.assert_equal_shape((action, batch.action))
    q = state.critic.apply_fn(state.critic.params, batch.observation, action)
    weight = state.hparams.alpha / jax.lax.stop_gradient(jnp.mean(jnp.abs(q[0])))
    cloning_error = jnp.mean(jnp.square(action - batch.action))
    loss = -weight * jnp.mean(q[0]) + cloning_error
    return loss, {
        'actor_loss': loss,
        'cloning_error': cloning_error,
        'q_policy': jnp.mean(jnp.min(q, axis=0)),
    }


def update(state: TD3BCState, batch: Transition) -> TD3BCState:
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


def move_policy_and_targets(state: TD3BCState, batch: Transition) -> TD3BCState:
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


def act(
    state: TD3BCState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array
):
    """The policy's action."""
    return state.actor.apply_fn(state.actor.params, observation), memory


def explore(state: TD3BCState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The policy's actions with Gaussian noise, to collect data with."""
    action = state.actor.apply_fn(state.actor.params, observation)
    noise = state.hparams.exploration_noise * jax.random.normal(key, action.shape)
    return jnp.clip(action + noise, -1, 1)


def claimed_value(state: TD3BCState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,)."""
    action = state.actor.apply_fn(state.actor.params, observation)
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

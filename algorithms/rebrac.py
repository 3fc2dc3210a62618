"""ReBRAC  (Tarasov et al. 2023, https://arxiv.org/abs/2305.09836).

TD3+BC with what offline RL has found out since: a penalty on leaving the data in the critics' target
too, with a weight of its own; critics that normalise their layers; deeper networks, larger batches and,
for sparse rewards, a larger gamma. The penalties are squared distances to the data's actions.

    L_Q(theta_i) = E[ (r + gamma (min_j Q_targ,j(s', a') - beta_2 |a' - a'_data|^2) - Q_i(s, a))^2 ],
                   a' = clip(pi_targ(s') + clip(sigma e, -c, c), -1, 1),   e ~ N(0, I)
    L_pi(phi)    = E[ beta_1 |pi(s) - a|^2 - lambda min_j Q_j(s, pi(s)) ]
    lambda       = 1 / E[ |min_j Q_j(s, pi(s))| ],   no gradient through lambda        (all: section 3)

This file follows the authors' code (DT6A/ReBRAC, as it was when the paper appeared: later its target is
also held above the return of the data). There both losses take the smaller critic, the first one of
TD3+BC's paper; |.|^2 is the sum over the action's dimensions, not their mean; the policy moves at the
first update and every d-th after it; targets move with it, the policy's towards the policy as it was
before that step, the critics' towards the new ones; layers are normalised after their activation.

a'_data is what the data did in s', `next_action` of the batch. Where an episode was cut and no such
action exists, the target goes without the penalty; the authors' data have no such steps, which d4rl
leaves out. Weights start uniform in +-1/sqrt(fan-in), as do biases, which in that code start at 0.1, and
last layers, which there start uniform in +-0.001 (policy) and +-0.003 (critics).
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

from data.types import NextActionTransition, Spec
from networks.optimization import adam, descend
from networks.policies import DeterministicPolicy, smoothed
from networks.values import ActionValue, ensemble

NAME = 'ReBRAC'
ACTIONS = ('continuous',)
BATCH = NextActionTransition
METRICS = (
    'critic_loss', 'actor_loss', 'cloning_error', 'q_data', 'q_policy', 'q_gap', 'td_error',
    'target_penalty',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]',
    'num_critics': 'int [1, 1e4]',
    'layer_norm': 'bool',  # of the critics
}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    actor_penalty: Annotated[jax.Array, '[0, inf)']  # beta_1
    critic_penalty: Annotated[jax.Array, '[0, inf)']  # beta_2
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far a target goes to its network
    policy_noise: Annotated[jax.Array, '[0, inf)']  # sigma of the target policy's noise
    noise_clip: Annotated[jax.Array, '[0, inf]']  # c, where that noise is clipped
    policy_delay: Annotated[jax.Array, 'whole [1, inf)']  # d, critic updates to one of the policy
    exploration_noise: Annotated[jax.Array, '[0, inf)']  # sigma of what `explore` adds
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class ReBRACState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    critic: TrainState
    target_actor_params: Any
    target_critic_params: Any
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> ReBRACState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = DeterministicPolicy(config.hidden_sizes, spec.action_size)
    layer_norm = 'after' if config.layer_norm else ''
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes, layer_norm)
    actor = adam(policy.apply, policy.init(actor_key, observation))
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return ReBRACState(
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
    params, state: ReBRACState, batch: NextActionTransition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Squared TD error of every critic, to a target that pays for leaving the data.

    `noise` is standard normal, (batch, action_size).
    """
    hparams = state.hparams
    next_action = smoothed(
        state.actor.apply_fn(state.target_actor_params, batch.next_observation),
        noise, hparams.policy_noise, hparams.noise_clip,
    )  # fmt: skip
    next_q = jnp.min(
        state.critic.apply_fn(state.target_critic_params, batch.next_observation, next_action),
        axis=0,
    )
    chex.assert_equal_shape((next_action, batch.next_action))
    distance = jnp.sum(jnp.square(next_action - batch.next_action), axis=-1)
    penalty = hparams.critic_penalty * batch.next_action_known * distance
    chex.assert_equal_shape((next_q, penalty))
    target = batch.reward + hparams.gamma * batch.discount * (next_q - penalty)
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1))
    return loss, {
        'critic_loss': loss,
        'q_data': jnp.mean(jnp.min(q, axis=0)),
        'td_error': jnp.mean(jnp.abs(error)),
        'target_penalty': jnp.mean(hparams.gamma * batch.discount * penalty),
    }


def actor_loss(params, state: ReBRACState, batch: NextActionTransition) -> tuple[jax.Array, dict]:
    """The smaller critic's value of the policy's actions, normalised, and cloning."""
    action = state.actor.apply_fn(params, batch.observation)
    chex.assert_equal_shape((action, batch.action))
    q = jnp.min(state.critic.apply_fn(state.critic.params, batch.observation, action), axis=0)
    weight = 1 / jax.lax.stop_gradient(jnp.mean(jnp.abs(q)))
    cloning_error = jnp.mean(jnp.sum(jnp.square(action - batch.action), axis=-1))
    loss = state.hparams.actor_penalty * cloning_error - weight * jnp.mean(q)
    return loss, {
        'actor_loss': loss,
        'cloning_error': cloning_error,
        'q_policy': jnp.mean(q),
    }


def update(state: ReBRACState, batch: NextActionTransition) -> ReBRACState:
    """One gradient step of the critics and, at every policy_delay-th, of policy and targets."""
    hparams = state.hparams
    noise = jax.random.normal(jax.random.fold_in(state.key, state.step), batch.action.shape)

    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch, noise
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)
    state = state.replace(critic=critic)

    _, actor_metrics = actor_loss(state.actor.params, state, batch)
    due = state.step % hparams.policy_delay == 0
    # Without vmap, as on a CPU, the work is done when it is due only.
    state = jax.lax.cond(due, partial(move_policy_and_targets, batch=batch), lambda s: s, state)

    gap = actor_metrics['q_policy'] - critic_metrics['q_data']
    metrics = critic_metrics | actor_metrics | {'q_gap': gap}
    return state.replace(step=state.step + 1, metrics=metrics)


def move_policy_and_targets(state: ReBRACState, batch: NextActionTransition) -> ReBRACState:
    """One gradient step of the policy; the targets' towards the old policy and the new critics."""
    hparams = state.hparams
    gradients, _ = jax.grad(actor_loss, has_aux=True)(state.actor.params, state, batch)
    return state.replace(
        actor=descend(state.actor, gradients, hparams.actor_learning_rate),
        target_actor_params=optax.incremental_update(
            state.actor.params, state.target_actor_params, hparams.target_rate
        ),
        target_critic_params=optax.incremental_update(
            state.critic.params, state.target_critic_params, hparams.target_rate
        ),
    )


def act(
    state: ReBRACState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array
):
    """The policy's action."""
    return state.actor.apply_fn(state.actor.params, observation), memory


def explore(state: ReBRACState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The policy's actions with Gaussian noise, to collect data with."""
    action = state.actor.apply_fn(state.actor.params, observation)
    noise = state.hparams.exploration_noise * jax.random.normal(key, action.shape)
    return jnp.clip(action + noise, -1, 1)


def claimed_value(state: ReBRACState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,).

    It pays beta_2's penalty in the steps that follow, as the critics do.
    """
    action = state.actor.apply_fn(state.actor.params, observation)
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

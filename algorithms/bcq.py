"""Batch-Constrained Q-learning  (Fujimoto, Meger & Precup 2019, https://arxiv.org/abs/1812.02900).

Q-learning on a fixed dataset backs up values of actions that the data never holds. BCQ asks for the
best action among some that a generative model G of the data proposes: a conditional VAE, whose
proposals a perturbation network xi may move by at most phi. With many proposals it approaches
Q-learning, with one behavioural cloning.

    pi(s)      = argmax over a_i + xi(s, a_i) of Q_1,  a_1 .. a_n ~ G(s)                    (eq. 11)
    L_xi       = -E[ Q_1(s, a + xi(s, a)) ],  a ~ G(s)                                      (eq. 12)
    y          = r + gamma max_i [ lambda min_j Q'_j + (1 - lambda) max_j Q'_j ](s', a_i)   (eq. 13)
    L_Q(theta) = sum_j E[ (y - Q_j(s, a))^2 ]
    L_G(omega) = E[ (a - decode(s, z))^2 ] + 1/2 KL( q(z | s, a) || N(0, 1) ),  z ~ q

This file follows the authors' code (sfujim/BCQ, continuous_BCQ): squares and KL are averaged over
dimensions; latents are clipped to +-0.5 where actions are proposed, not in training; the VAE moves
first, then the critics, and the perturbation network sees both of them new; the a_i of eq. 13 are
moved by a target network of their own, which follows at the critics' target rate.
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
from networks.policies import DeterministicPolicy
from networks.vae import ConditionalVAE, kl_to_standard_normal
from networks.values import ActionValue, ensemble, q_of_samples

NAME = 'BCQ'
ACTIONS = ('continuous',)
METRICS = (
    'vae_loss', 'critic_loss', 'actor_loss', 'reconstruction_error', 'kl', 'q_data', 'q_policy',
    'q_gap', 'td_error',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]', 'vae_hidden_sizes': 'nonempty tuple of int [1, 1e5]',
    **dict.fromkeys(('num_critics', 'num_backup_actions', 'num_act_actions'), 'int [1, 1e4]'),
}  # fmt: skip


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    minimum_weight: Annotated[jax.Array, '[0, 1]']  # lambda of eq. 13; 1: clipped double Q-learning
    max_perturbation: Annotated[jax.Array, '[0, inf)']  # phi, how far a proposal's numbers may move
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far a target goes to its network per update
    vae_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class BCQState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    vae: TrainState
    actor: TrainState  # the perturbation network
    critic: TrainState
    target_actor_params: Any
    target_critic_params: Any
    metrics: dict[str, jax.Array]
    latent_size: int = struct.field(pytree_node=False)
    num_backup_actions: int = struct.field(pytree_node=False)
    num_act_actions: int = struct.field(pytree_node=False)


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> BCQState:
    """NETWORK says what it reads of `config`; n of eqs. 13 and 11 are the backup and act actions."""
    key, vae_key, actor_key, critic_key = jax.random.split(key, 4)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    latent = jnp.zeros((1, 2 * spec.action_size))
    generator = ConditionalVAE(config.vae_hidden_sizes, spec.action_size, latent.shape[-1])
    perturbation = DeterministicPolicy(config.hidden_sizes, spec.action_size)
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)
    proposal = jnp.concatenate([observation, action], axis=-1)
    actor = adam(perturbation.apply, perturbation.init(actor_key, proposal))
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return BCQState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        vae=adam(generator.apply, generator.init(vae_key, observation, action, latent)),
        actor=actor,
        critic=critic,
        target_actor_params=jax.tree.map(jnp.copy, actor.params),
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
        latent_size=latent.shape[-1],
        num_backup_actions=config.num_backup_actions,
        num_act_actions=config.num_act_actions,
    )


def vae_loss(
    params, state: BCQState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Minus the evidence bound of the data's actions; noise (batch, latent_size) is the encoder's."""
    reconstruction, posterior = state.vae.apply_fn(params, batch.observation, batch.action, noise)
    chex.assert_equal_shape((reconstruction, batch.action))
    error = jnp.mean(jnp.square(reconstruction - batch.action))
    kl = jnp.mean(kl_to_standard_normal(posterior))
    loss = error + 0.5 * kl
    return loss, {'vae_loss': loss, 'reconstruction_error': error, 'kl': kl}


def critic_loss(
    params, state: BCQState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Squared TD error of every critic; noise as in `backup`."""
    target = backup(state, batch, noise)
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1))
    return loss, {'critic_loss': loss, 'td_error': jnp.mean(jnp.abs(error))}


def actor_loss(
    params, state: BCQState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Deterministic policy gradient of one proposal per state; noise (1, batch, latent_size)."""
    action = proposals(params, state, batch.observation, noise).squeeze(0)
    q = state.critic.apply_fn(state.critic.params, batch.observation, action)
    loss = -jnp.mean(q[0])
    return loss, {'actor_loss': loss}


def backup(state: BCQState, batch: Transition, noise: jax.Array) -> jax.Array:
    """y of eq. 13, (batch,), from standard normal noise (proposals, batch, latent_size)."""
    action = proposals(state.target_actor_params, state, batch.next_observation, noise)
    q = q_of_samples(state.critic.apply_fn, state.target_critic_params, batch.next_observation, action)
    weight = state.hparams.minimum_weight
    soft_minimum = weight * jnp.min(q, axis=0) + (1 - weight) * jnp.max(q, axis=0)
    next_q = jnp.max(soft_minimum, axis=0)
    return batch.reward + state.hparams.gamma * batch.discount * next_q


# Proposals decode the middle of the prior alone.
_MAX_LATENT = 0.5


def proposals(actor_params, state: BCQState, observation: jax.Array, noise: jax.Array) -> jax.Array:
    """a + xi(s, a) for a ~ G(s), (samples, batch, action_size), all in one call of each network."""
    latent = jnp.clip(noise, -_MAX_LATENT, _MAX_LATENT).reshape(-1, state.latent_size)
    rows = jnp.tile(observation, (len(noise), 1))
    action = state.vae.apply_fn(state.vae.params, rows, latent, method='decode')
    direction = state.actor.apply_fn(actor_params, jnp.concatenate([rows, action], axis=-1))
    action = jnp.clip(action + state.hparams.max_perturbation * direction, -1.0, 1.0)
    return action.reshape(*noise.shape[:2], -1)


def best_proposal(
    state: BCQState, observation: jax.Array, key: jax.Array, num_proposals: int
) -> tuple[jax.Array, jax.Array]:
    """The proposal that the first critic prefers  (eq. 11), and the smallest critic's value of it."""
    shape = (num_proposals, len(observation), state.latent_size)
    action = proposals(state.actor.params, state, observation, jax.random.normal(key, shape))
    q = q_of_samples(state.critic.apply_fn, state.critic.params, observation, action)
    best, rows = jnp.argmax(q[0], axis=0), jnp.arange(len(observation))
    return action[best, rows], jnp.min(q, axis=0)[best, rows]


def update(state: BCQState, batch: Transition) -> BCQState:
    """One gradient step of VAE, critics and perturbation network, in the authors' order."""
    hparams = state.hparams
    key = jax.random.fold_in(state.key, state.step)
    vae_key, critic_key, actor_key, comparison_key = jax.random.split(key, 4)
    latents = (len(batch.reward), state.latent_size)
    before = state

    noise = jax.random.normal(vae_key, latents)
    gradients, vae_metrics = jax.grad(vae_loss, has_aux=True)(state.vae.params, state, batch, noise)
    state = state.replace(vae=descend(state.vae, gradients, hparams.vae_learning_rate))

    noise = jax.random.normal(critic_key, (state.num_backup_actions, *latents))
    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch, noise
    )
    state = state.replace(critic=descend(state.critic, gradients, hparams.critic_learning_rate))

    noise = jax.random.normal(actor_key, (1, *latents))
    gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch, noise
    )
    state = state.replace(actor=descend(state.actor, gradients, hparams.actor_learning_rate))

    def follow(params, target_params):
        return optax.incremental_update(params, target_params, hparams.target_rate)

    comparison = compare_actions(before, batch, comparison_key)
    return state.replace(
        step=state.step + 1,
        target_actor_params=follow(state.actor.params, state.target_actor_params),
        target_critic_params=follow(state.critic.params, state.target_critic_params),
        metrics=vae_metrics | critic_metrics | actor_metrics | comparison,
    )


# No loss needs the policy's own actions: those of the whole batch would cost the backup once more.
_ROWS_COMPARED = 32


def compare_actions(state: BCQState, batch: Transition, key: jax.Array) -> dict:
    """The smallest critic's values of the data's actions and of the best proposals, on a few rows."""
    observation, action = (array[:_ROWS_COMPARED] for array in (batch.observation, batch.action))
    q = state.critic.apply_fn(state.critic.params, observation, action)
    q_data = jnp.mean(jnp.min(q, axis=0))
    q_policy = jnp.mean(best_proposal(state, observation, key, state.num_backup_actions)[1])
    return {'q_data': q_data, 'q_policy': q_policy, 'q_gap': q_policy - q_data}


def act(state: BCQState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The best of num_act_actions proposals."""
    return best_proposal(state, observation, key, state.num_act_actions)[0], memory


def claimed_value(state: BCQState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act` with this key, (batch,)."""
    return best_proposal(state, observation, key, state.num_act_actions)[1]

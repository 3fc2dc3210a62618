"""Soft Actor-Critic  (Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905).

The policy maximises return plus alpha times its entropy, so that it explores as widely as the values
allow; the temperature alpha is itself learned, to hold the entropy at a target.

    L_Q(theta_i)  = E[ 1/2 (r + gamma (min_j Q_targ,j(s', a') - alpha log pi(a' | s')) - Q_i(s, a))^2 ],
                    a' ~ pi(. | s')                                                   (eqs. 3, 5)
    L_pi(phi)     = E[ alpha log pi(a | s) - min_j Q_j(s, a) ],   a = tanh(mu(s) + sigma(s) e)  (eq. 9)
    L_alpha       = E[ -alpha (log pi(a | s) + H) ],   H = -dim(A) by default            (eq. 18)

On a fixed dataset this is a naive baseline: nothing keeps a' where the data has been. The order is
that of the authors' code (rail-berkeley/softlearning): critics with the old policy and temperature;
the policy with the new critics and the old temperature; the temperature with fresh actions of the
new policy; target critics last. The policy's loss takes the smaller critic as in the paper, where
that code takes their mean. alpha is exp of what is learned. sigma is exp of an output clipped to
[-20, 2], as in that code's older versions (its last one adds 1e-5 to the softplus of the output).
Weights start uniform in +-1/sqrt(fan-in) where that code has Glorot's initialisation.

RLPD (Ball et al. 2023, https://arxiv.org/abs/2302.02948) chooses otherwise of each key in USUAL, as in
its authors' code (ikostrikov/rlpd); the critic loss there is 2 / num_critics of this one.
"""

from functools import partial
from typing import Annotated, Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict, FrozenConfigDict

from data.types import Spec, Transition
from networks.optimization import adam, descend
from networks.policies import TanhGaussianPolicy
from networks.values import ActionValue, ensemble

NAME = 'SAC'
ACTIONS = ('continuous',)
METRICS = ('critic_loss', 'actor_loss', 'temperature_loss', 'q_data', 'q_policy', 'q_gap', 'td_error',
           'entropy', 'temperature')  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]', 'num_critics': 'int [1, 1e4]',
    'layer_norm': 'bool',  # in the critics, before each activation
    'num_target_critics': 'int [0, 1e4]',  # drawn anew for each target (REDQ); 0: all
    'actor_q': "'min' or 'mean'",  # of the critics, in the policy's loss
    'policy_delay': 'int [1, 1e6]',  # n: policy and temperature move at every n-th update
    'entropy_in_backup': 'bool',  # whether targets have the entropy of a' in them
    'fresh_entropy': 'bool',  # whether the temperature sees new actions, or those of the policy's loss
}  # fmt: skip
# The paper's, which a config of a run that has not these keys stands for.
USUAL = {'layer_norm': False, 'num_target_critics': 0, 'actor_q': 'min', 'policy_delay': 1,
         'entropy_in_backup': True, 'fresh_entropy': True}  # fmt: skip


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    target_entropy_per_dimension: Annotated[jax.Array, '(-inf, 0.6931)']  # H / dim(A), below log 2
    initial_temperature: Annotated[jax.Array, '(0, inf)']  # alpha before the first update
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    temperature_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's; at 0 alpha stays as it is


class SACState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    critic: TrainState
    temperature: TrainState  # its parameter is log alpha
    target_critic_params: Any
    metrics: dict[str, jax.Array]
    network: FrozenConfigDict = struct.field(pytree_node=False)  # the config's


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> SACState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = TanhGaussianPolicy(config.hidden_sizes, spec.action_size)
    q = critics(config, config.num_critics)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return SACState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(policy.apply, policy.init(actor_key, observation)),
        critic=critic,
        temperature=adam(jnp.exp, jnp.log(hparams.initial_temperature)),
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
        network=FrozenConfigDict({name: config[name] for name in NETWORK}),
    )


def critic_loss(
    params, state: SACState, batch: Transition, noise: jax.Array, subset: jax.Array | None = None
) -> tuple[jax.Array, dict]:
    """Soft Bellman error of every critic  (eqs. 3, 5).

    Args:
        params: of the critics.
        state, batch: of the update.
        noise: standard normal, (batch, action_size); stands for the next actions.
        subset: which of the critics make the target, int (num_target_critics,); None for all.
    """
    hparams = state.hparams
    policy = state.actor.apply_fn(state.actor.params, batch.next_observation)
    next_action, next_log_prob = policy.transform_and_log_prob(noise)
    targets, target_q = state.target_critic_params, state.critic.apply_fn
    if subset is not None:
        targets = jax.tree.map(lambda of_all: of_all[subset], targets)
        target_q = critics(state.network, len(subset)).apply
    next_v = jnp.min(target_q(targets, batch.next_observation, next_action), axis=0)
    if state.network.entropy_in_backup:
        next_v -= state.temperature.apply_fn(state.temperature.params) * next_log_prob
    target = batch.reward + hparams.gamma * batch.discount * next_v
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(0.5 * jnp.mean(jnp.square(error), axis=1))
    return loss, {
        'critic_loss': loss,
        'q_data': jnp.mean(jnp.min(q, axis=0)),
        'td_error': jnp.mean(jnp.abs(error)),
    }


def actor_loss(
    params, state: SACState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Soft value of the policy, negated  (eq. 9); `noise` stands for its actions."""
    policy = state.actor.apply_fn(params, batch.observation)
    action, log_prob = policy.transform_and_log_prob(noise)
    each_q = state.critic.apply_fn(state.critic.params, batch.observation, action)
    least = jnp.min(each_q, axis=0)
    q = least if state.network.actor_q == 'min' else jnp.mean(each_q, axis=0)
    chex.assert_equal_shape((q, log_prob))
    alpha = state.temperature.apply_fn(state.temperature.params)
    loss = jnp.mean(alpha * log_prob - q)
    return loss, {
        'actor_loss': loss,
        'q_policy': jnp.mean(least),
        'entropy': -jnp.mean(log_prob),
    }


def temperature_loss(
    log_alpha, state: SACState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Raises alpha where the entropy is below its target  (eq. 18); `noise` stands for actions."""
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    _, log_prob = policy.transform_and_log_prob(noise)
    target_entropy = state.hparams.target_entropy_per_dimension * noise.shape[-1]
    alpha = state.temperature.apply_fn(log_alpha)
    loss = -alpha * jnp.mean(log_prob + target_entropy)
    return loss, {'temperature_loss': loss, 'temperature': alpha}


def update(state: SACState, batch: Transition) -> SACState:
    """One gradient step of critics, policy and temperature, in the order of the authors' code."""
    hparams, key = state.hparams, jax.random.fold_in(state.key, state.step)
    critic_noise, actor_noise, temperature_noise = (
        jax.random.normal(each, batch.action.shape) for each in jax.random.split(key, 3)
    )
    subset, network = None, state.network
    if network.num_target_critics:
        drawn = jax.random.fold_in(key, 3), network.num_critics, (network.num_target_critics,)
        subset = jax.random.choice(*drawn, replace=False)

    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch, critic_noise, subset
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)
    state = state.replace(critic=critic)

    move = partial(
        move_policy, batch=batch, actor_noise=actor_noise, temperature_noise=temperature_noise
    )
    if state.network.policy_delay == 1:
        state, policy_metrics = move(state)
    else:
        # Measured each time. Without vmap, as on a CPU, the work is done when it is due only.
        _, policy_metrics = move(state)
        due = (state.step + 1) % state.network.policy_delay == 0
        state = jax.lax.cond(due, lambda state: move(state)[0], lambda state: state, state)

    gap = policy_metrics['q_policy'] - critic_metrics['q_data']
    return state.replace(
        step=state.step + 1,
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=critic_metrics | policy_metrics | {'q_gap': gap},
    )


def move_policy(
    state: SACState, batch: Transition, actor_noise: jax.Array, temperature_noise: jax.Array
) -> tuple[SACState, dict]:
    """One gradient step of the policy, and one of the temperature; with what their losses measure."""
    before = state
    gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch, actor_noise
    )
    actor = descend(state.actor, gradients, state.hparams.actor_learning_rate)
    state = state.replace(actor=actor)

    seen, noise = (state, temperature_noise) if state.network.fresh_entropy else (before, actor_noise)
    gradients, temperature_metrics = jax.grad(temperature_loss, has_aux=True)(
        state.temperature.params, seen, batch, noise
    )
    rate = state.hparams.temperature_learning_rate
    temperature = descend(state.temperature, gradients, rate)
    return state.replace(temperature=temperature), actor_metrics | temperature_metrics


def critics(network: ConfigDict, size: int) -> nn.Module:
    """So many critics, of a config's sizes."""
    layer_norm = 'before' if network.layer_norm else ''
    return ensemble(ActionValue, size)(network.hidden_sizes, layer_norm)


def act(state: SACState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """tanh of the policy's mean, which the paper evaluates."""
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory


def explore(state: SACState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """Actions sampled from the policy, to collect data with."""
    return state.actor.apply_fn(state.actor.params, observation).sample(key)


def claimed_value(state: SACState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,).

    It includes alpha times the entropy of the steps that follow, as every soft Q does.
    """
    action = state.actor.apply_fn(state.actor.params, observation).mode()
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

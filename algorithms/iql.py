"""Implicit Q-Learning  (Kostrikov, Nair & Levine 2021, https://arxiv.org/abs/2110.06169).

Q-learning needs max_a Q(s', a), and on a fixed dataset that maximum is taken at actions nobody tried,
where Q is whatever the network extrapolates. IQL never asks: V(s) is an upper expectile of Q(s, a)
over the actions that the data took in s, which tends to the best of them as the expectile tends to 1.
The policy is then read off by advantage-weighted regression, again on the data's actions alone.

    L_V(psi)   = E[ L2^tau( Q_targ(s, a) - V(s) ) ],   L2^tau(u) = |tau - 1(u < 0)| u^2         (eq. 5)
    L_Q(theta) = E[ (r + gamma V(s') - Q(s, a))^2 ]                                          (eq. 6)
    L_pi(phi)  = -E[ exp(beta (Q_targ(s, a) - V(s))) log pi(a | s) ]                         (eq. 7)

Q_targ is the smaller of two critics' slowly moving averages. Where the paper leaves room this file
follows the authors' code (ikostrikov/implicit_q_learning): V first; the policy and the critics then
see the new V, the policy with the old target critics; weights are clipped at 100; the policy's
standard deviation does not depend on the state, its mean passes through tanh; its learning rate
decays to 0 on a cosine. Weights start uniform in +-1/sqrt(fan-in) where that code has orthogonal ones.
With discrete actions Q(s, .) returns all values and the policy is categorical.
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
from networks.policies import CategoricalPolicy, GaussianPolicy
from networks.values import ActionValue, DiscreteActionValue, StateValue, ensemble, expectile_loss

NAME = 'IQL'
ACTIONS = ('continuous', 'discrete')
METRICS = (
    'value_loss', 'critic_loss', 'actor_loss', 'value', 'q_data', 'q_policy', 'q_gap', 'td_error',
    'advantage', 'advantage_weight',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]',
    'dropout_rate': '[0, 1)',  # of the actor
    'num_critics': 'int [1, 1e4]',
    'layer_norm': 'bool',  # of the value and the critics, as Park, Li & Levine 2025 have it
}
USUAL = {'layer_norm': False}  # where a run's config does not say it


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    expectile: Annotated[jax.Array, '(0, 1)']  # tau of eq. 5; 0.5 evaluates the behaviour policy
    inverse_temperature: Annotated[jax.Array, '[0, inf)']  # beta of eq. 7; 0 clones the behaviour
    max_advantage_weight: Annotated[jax.Array, '(0, inf)']  # where exp(beta A) is clipped
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    value_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    actor_decay_updates: Annotated[jax.Array, '(0, inf]']  # until the actor's learning rate is 0


class IQLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    value: TrainState
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> IQLState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, value_key, critic_key = jax.random.split(key, 4)
    observation, norm = jnp.zeros((1, spec.observation_size)), 'after' if config.layer_norm else ''
    if spec.discrete:
        action = jnp.zeros((1,), jnp.int32)
        policy = CategoricalPolicy(config.hidden_sizes, spec.action_size, config.dropout_rate)
        values = ensemble(DiscreteActionValue, config.num_critics)
        q = values(config.hidden_sizes, spec.action_size, norm)
    else:
        action = jnp.zeros((1, spec.action_size))
        policy = GaussianPolicy(config.hidden_sizes, spec.action_size, config.dropout_rate)
        q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes, norm)
    v = StateValue(config.hidden_sizes, norm)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return IQLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(policy.apply, policy.init(actor_key, observation)),
        value=adam(v.apply, v.init(value_key, observation)),
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def value_loss(params, state: IQLState, batch: Transition) -> tuple[jax.Array, dict]:
    """Expectile regression of V(s) towards Q_targ(s, a)  (eq. 5)."""
    q = target_q(state, batch)
    v = state.value.apply_fn(params, batch.observation)
    chex.assert_equal_shape((q, v, batch.reward))
    loss = jnp.mean(expectile_loss(q - v, state.hparams.expectile))
    return loss, {'value_loss': loss, 'value': jnp.mean(v)}


def critic_loss(params, state: IQLState, batch: Transition) -> tuple[jax.Array, dict]:
    """Squared TD error of every critic, bootstrapped from V(s')  (eq. 6)."""
    next_v = state.value.apply_fn(state.value.params, batch.next_observation)
    target = batch.reward + state.hparams.gamma * batch.discount * next_v
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1))
    return loss, {'critic_loss': loss, 'td_error': jnp.mean(jnp.abs(error))}


def actor_loss(params, state: IQLState, batch: Transition, key: jax.Array) -> tuple[jax.Array, dict]:
    """Advantage-weighted regression on the data's actions  (eq. 7); `key` draws the dropout."""
    v = state.value.apply_fn(state.value.params, batch.observation)
    advantage = target_q(state, batch) - v
    weight = jnp.minimum(
        jnp.exp(state.hparams.inverse_temperature * advantage), state.hparams.max_advantage_weight
    )
    policy = state.actor.apply_fn(params, batch.observation, training=True, rngs={'dropout': key})
    log_prob = policy.log_prob(batch.action)
    chex.assert_equal_shape((weight, log_prob))
    loss = -jnp.mean(weight * log_prob)
    return loss, {
        'actor_loss': loss,
        'advantage': jnp.mean(advantage),
        'advantage_weight': jnp.mean(weight),
    }


def target_q(state: IQLState, batch: Transition) -> jax.Array:
    """The smallest of the target critics at the data's actions, (batch,)."""
    q = state.critic.apply_fn(state.target_critic_params, batch.observation, batch.action)
    return jnp.min(q, axis=0)


def update(state: IQLState, batch: Transition) -> IQLState:
    """One gradient step of V, the policy and the critics, in the order of the authors' code."""
    hparams = state.hparams
    before, dropout_key = state, jax.random.fold_in(state.key, state.step)

    gradients, value_metrics = jax.grad(value_loss, has_aux=True)(state.value.params, state, batch)
    value = descend(state.value, gradients, hparams.value_learning_rate)
    state = state.replace(value=value)

    gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch, dropout_key
    )
    decay = 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(state.step / hparams.actor_decay_updates, 1)))
    actor = descend(state.actor, gradients, decay * hparams.actor_learning_rate)

    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)

    metrics = value_metrics | actor_metrics | critic_metrics | compare_actions(before, batch)
    return state.replace(
        step=state.step + 1,
        actor=actor,
        critic=critic,
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=metrics,
    )


# No loss needs Q of the policy's actions: asking for the whole batch would cost a fifth of an update.
_ROWS_COMPARED = 32


def compare_actions(state: IQLState, batch: Transition) -> dict:
    """The smallest critic's values of the data's and of the policy's actions, on a few rows."""
    observation, action = (array[:_ROWS_COMPARED] for array in (batch.observation, batch.action))
    q = state.critic.apply_fn(state.critic.params, observation, action)
    q_data = jnp.mean(jnp.min(q, axis=0))
    q_policy = jnp.mean(claimed_value(state, observation, state.key))
    return {'q_data': q_data, 'q_policy': q_policy, 'q_gap': q_policy - q_data}


def act(state: IQLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The policy's mean, or its most likely action if discrete."""
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory


def explore(state: IQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """Actions sampled from the policy, to collect data with; continuous ones clipped to the box."""
    action = state.actor.apply_fn(state.actor.params, observation).sample(key)
    return jnp.clip(action, -1, 1) if jnp.issubdtype(action.dtype, jnp.floating) else action


def claimed_value(state: IQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,)."""
    action = state.actor.apply_fn(state.actor.params, observation).mode()
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

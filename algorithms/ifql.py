"""Implicit flow Q-learning  (Park, Li & Levine 2025, https://arxiv.org/abs/2502.02538).

IDQL (Hansen-Estruch et al. 2023, https://arxiv.org/abs/2304.10573) with a flow where that has a
diffusion. Values are IQL's, learned from the data's actions alone. The policy is not trained on them: v
clones the data by flow matching, and of some actions that its flow draws the critics choose the best.

    L_V(psi)    = E[ L2^tau( Q_targ(s, a) - V(s) ) ],   L2^tau(u) = |tau - 1(u < 0)| u^2     (IQL's)
    L_Q(theta)  = E[ (r + gamma V(s') - Q(s, a))^2 ]                                         (IQL's)
    L_pi(phi)   = E[ |v(s, (1 - t) z + t a, t) - (a - z)|^2 ],   z ~ N(0, I), t ~ U[0, 1)
    pi(s)       = argmax over a_i of Q(s, a_i),   a_1 .. a_N = flow_v(s, z_i)

The paper has it as a baseline, in its section on experiments. This file follows the authors' code
(seohongpark/fql, agents/ifql.py): Q and Q_targ are the smaller of two critics; flow_v takes Euler steps
and is clipped to the box; L_Q is summed over critics, L_pi averaged over dimensions. All losses see
the parameters that an update finds, and the targets follow the critics that it finds, not those that
it leaves. Values and critics normalise their layers after the activation, which is gelu everywhere.
Other than there, weights start uniform in +-1/sqrt(fan-in), not as Glorot's, and the data's actions are
not clipped to +-(1 - 1e-5).
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
from ml_collections import ConfigDict

from data.types import Spec, Transition
from networks.flows import ActionField, flow_matching_loss, integrate
from networks.optimization import adam, descend
from networks.values import ActionValue, StateValue, ensemble, expectile_loss

NAME = 'IFQL'
ACTIONS = ('continuous',)
# Without q_policy: the best of many flows would cost more than the update.
METRICS = ('value_loss', 'critic_loss', 'actor_loss', 'value', 'q_data', 'td_error')
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]',
    'layer_norm': 'bool',  # of values and critics
    'flow_steps': 'int [1, 1000]',
    **dict.fromkeys(('num_critics', 'num_act_actions'), 'int [1, 1e4]'),
}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    expectile: Annotated[jax.Array, '(0, 1)']  # tau; 0.5 evaluates the behaviour policy
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    value_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class IFQLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    value: TrainState
    critic: TrainState
    actor: TrainState  # v, the data's velocity field
    target_critic_params: Any
    metrics: dict[str, jax.Array]
    action_size: int = struct.field(pytree_node=False)
    flow_steps: int = struct.field(pytree_node=False)
    num_act_actions: int = struct.field(pytree_node=False)


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> IFQLState:
    """NETWORK says what it reads of `config`; N of pi are the act actions."""
    key, value_key, critic_key, actor_key = jax.random.split(key, 4)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    layers = config.hidden_sizes, 'after' if config.layer_norm else '', nn.gelu
    v = StateValue(*layers)
    q = ensemble(ActionValue, config.num_critics)(*layers)
    field = ActionField(config.hidden_sizes, spec.action_size)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return IFQLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        value=adam(v.apply, v.init(value_key, observation)),
        critic=critic,
        actor=adam(field.apply, field.init(actor_key, observation, action, jnp.zeros((1, 1)))),
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
        action_size=spec.action_size,
        flow_steps=config.flow_steps,
        num_act_actions=config.num_act_actions,
    )


def value_loss(params, state: IFQLState, batch: Transition) -> tuple[jax.Array, dict]:
    """Expectile regression of V(s) towards Q_targ(s, a)."""
    q = state.critic.apply_fn(state.target_critic_params, batch.observation, batch.action)
    v = state.value.apply_fn(params, batch.observation)
    chex.assert_equal_shape((q[0], v))
    loss = jnp.mean(expectile_loss(jnp.min(q, axis=0) - v, state.hparams.expectile))
    return loss, {'value_loss': loss, 'value': jnp.mean(v)}


def critic_loss(params, state: IFQLState, batch: Transition) -> tuple[jax.Array, dict]:
    """Squared TD error of every critic, bootstrapped from V(s')."""
    next_v = state.value.apply_fn(state.value.params, batch.next_observation)
    target = batch.reward + state.hparams.gamma * batch.discount * next_v
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1))
    return loss, {
        'critic_loss': loss,
        'q_data': jnp.mean(jnp.min(q, axis=0)),
        'td_error': jnp.mean(jnp.abs(error)),
    }


def actor_loss(
    params, state: IFQLState, batch: Transition, noise: jax.Array, time: jax.Array
) -> tuple[jax.Array, dict]:
    """Flow matching on the data's actions; `noise` (batch, action_size), `time` (batch, 1)."""
    velocity = partial(state.actor.apply_fn, params, batch.observation)
    loss = flow_matching_loss(velocity, batch.action, noise, time)
    return loss, {'actor_loss': loss}


def update(state: IFQLState, batch: Transition) -> IFQLState:
    """One gradient step of all networks, each at the parameters that the update found."""
    hparams = state.hparams
    noise_key, time_key = jax.random.split(jax.random.fold_in(state.key, state.step))
    noise = jax.random.normal(noise_key, batch.action.shape)
    time = jax.random.uniform(time_key, (len(batch.reward), 1))

    gradients, value_metrics = jax.grad(value_loss, has_aux=True)(state.value.params, state, batch)
    value = descend(state.value, gradients, hparams.value_learning_rate)

    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)

    gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch, noise, time
    )
    actor = descend(state.actor, gradients, hparams.actor_learning_rate)

    return state.replace(
        step=state.step + 1,
        value=value,
        critic=critic,
        actor=actor,
        target_critic_params=optax.incremental_update(
            state.critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=value_metrics | critic_metrics | actor_metrics,
    )


def best_flow(
    state: IFQLState, observation: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Of num_act_actions flows the action that the smallest critic prefers, and its value of it."""
    noise = jax.random.normal(
        key, (state.num_act_actions, *observation.shape[:-1], state.action_size)
    )
    observation = jnp.broadcast_to(observation, (*noise.shape[:-1], observation.shape[-1]))
    velocity = partial(state.actor.apply_fn, state.actor.params, observation)
    action = jnp.clip(integrate(velocity, noise, state.flow_steps), -1, 1)
    q = jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)
    best = jnp.argmax(q, axis=0)[None, ..., None]
    return jnp.take_along_axis(action, best, axis=0)[0], jnp.max(q, axis=0)


def act(state: IFQLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The best of num_act_actions samples of the flow, each row's its own."""
    return explore(state, observation, key), memory


def explore(state: IFQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """What `act` does, which is stochastic."""
    return best_flow(state, observation, key)[0]


def claimed_value(state: IFQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act` with this key, (batch,)."""
    return best_flow(state, observation, key)[1]

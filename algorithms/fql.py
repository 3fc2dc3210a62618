"""Flow Q-learning  (Park, Li & Levine 2025, https://arxiv.org/abs/2502.02538).

A flow can have any distribution of actions, but a critic's gradient would have to pass back through
all its steps to improve it. FQL leaves the flow alone: v clones the data by flow matching, and another
policy mu(s, z), which takes one step from noise to action, is drawn to where the flow carries the same
noise and to what the critics value. That one alone acts and is backed up.

    L_Q(theta)   = E[ (r + gamma Q_targ(s', mu(s', z)) - Q_i(s, a))^2 ],      z ~ N(0, I)
    L_flow(psi)  = E[ |v(s, (1 - t) z + t a, t) - (a - z)|^2 ],               t ~ U[0, 1)
    L_mu(omega)  = E[ alpha |mu(s, z) - flow_v(s, z)|^2 - Q(s, mu(s, z)) ]

These are the losses of the paper's Algorithm 1, as the authors' code has them (seohongpark/fql,
agents/fql.py): flow_v takes Euler steps and is clipped to the box, mu is clipped where a critic sees it
and where it acts; Q is the critics' mean, Q_targ their mean or, by `q_agg`, their minimum; squares are
averaged, over dimensions and critics too. All losses see the parameters that an update finds, and the
targets follow the critics that it finds, not those that it leaves. `normalize_q_loss` divides Q by the
batch's mean |Q|, so that one alpha serves rewards of any scale. Critics normalise their layers after
the activation, which is gelu everywhere. Other than there, weights start uniform in +-1/sqrt(fan-in),
not as Glorot's, and the data's actions are not clipped to +-(1 - 1e-5).
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
from networks.values import ActionValue, ensemble

NAME = 'FQL'
ACTIONS = ('continuous',)
METRICS = (
    'flow_loss', 'critic_loss', 'actor_loss', 'distillation_error', 'q_data', 'q_policy', 'q_gap',
    'td_error',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]', 'layer_norm': 'bool', 'num_critics': 'int [1, 1e4]',
    'flow_steps': 'int [1, 1000]', 'q_agg': "'mean' or 'min'", 'normalize_q_loss': 'bool',
}  # fmt: skip


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    alpha: Annotated[jax.Array, '[0, inf)']  # weight of the distillation against the value
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    flow_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class FQLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    flow: TrainState  # v, the data's velocity field
    actor: TrainState  # mu, the one-step policy
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]
    action_size: int = struct.field(pytree_node=False)
    flow_steps: int = struct.field(pytree_node=False)
    q_agg: str = struct.field(pytree_node=False)
    normalize_q_loss: bool = struct.field(pytree_node=False)


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> FQLState:
    """NETWORK says what it reads of `config`."""
    key, flow_key, actor_key, critic_key = jax.random.split(key, 4)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    field = ActionField(config.hidden_sizes, spec.action_size)
    q = ensemble(ActionValue, config.num_critics)(
        config.hidden_sizes, 'after' if config.layer_norm else '', nn.gelu
    )
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return FQLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        flow=adam(field.apply, field.init(flow_key, observation, action, jnp.zeros((1, 1)))),
        actor=adam(field.apply, field.init(actor_key, observation, action)),
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
        action_size=spec.action_size,
        flow_steps=config.flow_steps,
        q_agg=config.q_agg,
        normalize_q_loss=config.normalize_q_loss,
    )


def critic_loss(
    params, state: FQLState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Squared TD error, averaged over critics; `noise` (batch, action_size) is mu's in s'."""
    next_action = one_step(state, batch.next_observation, noise)
    next_q = state.critic.apply_fn(state.target_critic_params, batch.next_observation, next_action)
    next_q = jnp.min(next_q, axis=0) if state.q_agg == 'min' else jnp.mean(next_q, axis=0)
    target = batch.reward + state.hparams.gamma * batch.discount * next_q
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.mean(jnp.square(error))
    return loss, {
        'critic_loss': loss,
        'q_data': jnp.mean(jnp.min(q, axis=0)),
        'td_error': jnp.mean(jnp.abs(error)),
    }


def flow_loss(
    params, state: FQLState, batch: Transition, noise: jax.Array, time: jax.Array
) -> tuple[jax.Array, dict]:
    """Flow matching on the data's actions; `noise` (batch, action_size), `time` (batch, 1)."""
    velocity = partial(state.flow.apply_fn, params, batch.observation)
    loss = flow_matching_loss(velocity, batch.action, noise, time)
    return loss, {'flow_loss': loss}


def actor_loss(
    params, state: FQLState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Distillation of the flow and the critics' value; `noise` (batch, action_size) is that of both."""
    velocity = partial(state.flow.apply_fn, state.flow.params, batch.observation)
    cloned = jnp.clip(integrate(velocity, noise, state.flow_steps), -1, 1)
    action = state.actor.apply_fn(params, batch.observation, noise)
    chex.assert_equal_shape((action, cloned))
    error = jnp.mean(jnp.square(action - cloned))
    q = state.critic.apply_fn(state.critic.params, batch.observation, jnp.clip(action, -1, 1))
    value = jnp.mean(q, axis=0)
    q_loss = -jnp.mean(value)
    if state.normalize_q_loss:
        q_loss /= jax.lax.stop_gradient(jnp.mean(jnp.abs(value)))
    loss = state.hparams.alpha * error + q_loss
    return loss, {
        'actor_loss': loss,
        'distillation_error': error,
        'q_policy': jnp.mean(jnp.min(q, axis=0)),
    }


def update(state: FQLState, batch: Transition) -> FQLState:
    """One gradient step of all networks, each at the parameters that the update found."""
    hparams = state.hparams
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), 4)
    next_noise, flow_noise, noise = (jax.random.normal(key, batch.action.shape) for key in keys[:3])
    time = jax.random.uniform(keys[3], (len(batch.reward), 1))

    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch, next_noise
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)

    gradients, flow_metrics = jax.grad(flow_loss, has_aux=True)(
        state.flow.params, state, batch, flow_noise, time
    )
    flow = descend(state.flow, gradients, hparams.flow_learning_rate)

    gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch, noise
    )
    actor = descend(state.actor, gradients, hparams.actor_learning_rate)

    gap = actor_metrics['q_policy'] - critic_metrics['q_data']
    return state.replace(
        step=state.step + 1,
        flow=flow,
        actor=actor,
        critic=critic,
        target_critic_params=optax.incremental_update(
            state.critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=flow_metrics | critic_metrics | actor_metrics | {'q_gap': gap},
    )


def one_step(state: FQLState, observation: jax.Array, noise: jax.Array) -> jax.Array:
    """The action in the box that mu makes of standard normal noise, both (..., action_size)."""
    return jnp.clip(state.actor.apply_fn(state.actor.params, observation, noise), -1, 1)


def explore(state: FQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """Actions of the one-step policy, which is stochastic: to collect data with, and to act."""
    noise = jax.random.normal(key, (*observation.shape[:-1], state.action_size))
    return one_step(state, observation, noise)


def act(state: FQLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """A sample of the one-step policy, each row with noise of its own."""
    return explore(state, observation, key), memory


def claimed_value(state: FQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act` with this key, (batch,)."""
    action = explore(state, observation, key)
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

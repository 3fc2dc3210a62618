"""Extreme Q-learning  (Garg et al. 2023, https://arxiv.org/abs/2301.02328), offline.

As IQL asks for no action that the data lack, but for another statistic of those they have: V(s) is the
soft maximum of Q(s, a) over the data's actions, the value of entropy-regularised control towards the
behaviour. It is the minimum of a regression under Gumbel instead of Gaussian noise, so that no sum over
actions is needed:

    V(s)       -> beta log E_a[ exp(Q_targ(s, a) / beta) ],  a from the data
    L_V(psi)   = E[ exp(z) - z - 1 ],  z = (Q_targ(s, a) - V(s)) / beta       (Gumbel regression)
    L_Q(theta) = E[ H(r + gamma V(s') - Q(s, a)) ]                       (H is Huber's loss, as released)
    L_pi(phi)  = -E[ exp(kappa (Q_targ(s, a) - V(s))) log pi(a | s) ]

beta -> 0 is the maximum, beta -> infinity the mean. As in the authors' code (Div99/XQL, offline): z is
clipped from above at `max_exponent`, beyond which an action pulls V no further; the loss is divided by
exp of the batch's largest z, or of -1 if that is larger, which is not differentiated (their
gumbel_rescale_loss); kappa is not 1 / beta but IQL's; V may also be asked of actions drawn uniformly,
and of the data's with clipped noise; V's layers are normalised; the squares of TD errors, halved, become
straight at 20. Order and parameters seen are IQL's: V first, `num_value_updates` times on one batch and
one noise; policy and critics see the new V, the policy the old target critics, the smaller of two. The
policy's learning rate decays on a cosine, but for AntMaze. Not here: what their scripts never set
(expectile loss, gradient penalty, one critic of two) or cannot (the log loss is called with an argument
that it lacks; the value's dropout is never on). Weights start uniform in +-1/sqrt(fan-in) where that
code has orthogonal ones.
"""

from typing import Annotated, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import Spec, Transition
from networks.optimization import adam, descend
from networks.policies import GaussianPolicy, smoothed
from networks.values import ActionValue, StateValue, ensemble

NAME = 'XQL'
ACTIONS = ('continuous',)
METRICS = (
    'value_loss', 'critic_loss', 'actor_loss', 'value', 'clipped', 'q_data', 'q_policy', 'q_gap',
    'td_error', 'advantage', 'advantage_weight',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]',
    'layer_norm': 'bool',  # of the state value
    'dropout_rate': '[0, 1)',  # of the actor
    'num_critics': 'int [1, 1e4]',
    'num_value_updates': 'int [1, 100]',
    'num_random_actions': 'int [0, 1e4]',  # uniform ones beside each of the data's in L_V
    'action_noise': '[0, 10]',  # standard deviation of what is added to the data's actions in L_V
}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    temperature: Annotated[jax.Array, '(0, inf)']  # beta
    max_exponent: Annotated[jax.Array, '(0, inf]']  # where z is clipped (the code's max_clip)
    inverse_temperature: Annotated[jax.Array, '[0, inf)']  # kappa; 0 clones the behaviour
    max_advantage_weight: Annotated[jax.Array, '(0, inf)']  # where exp(kappa A) is clipped
    huber_delta: Annotated[jax.Array, '(0, inf)']  # TD errors from where their loss is straight
    noise_clip: Annotated[jax.Array, '[0, inf]']  # bound of action_noise
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    value_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    actor_decay_updates: Annotated[jax.Array, '(0, inf]']  # until the actor's learning rate is 0


class XQLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    value: TrainState
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]
    num_value_updates: int = struct.field(pytree_node=False)
    num_random_actions: int = struct.field(pytree_node=False)
    action_noise: float = struct.field(pytree_node=False)


def gumbel_loss(z: jax.Array, max_exponent: jax.Array) -> jax.Array:
    """exp(z) - z - 1 of clipped z (batch,), over exp of the largest of them or of -1: elementwise."""
    z = jnp.minimum(z, max_exponent)
    scale = jax.lax.stop_gradient(jnp.maximum(jnp.max(z), -1.0))
    return jnp.exp(z - scale) - z * jnp.exp(-scale) - jnp.exp(-scale)


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> XQLState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, value_key, critic_key = jax.random.split(key, 4)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = GaussianPolicy(config.hidden_sizes, spec.action_size, config.dropout_rate)
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)
    v = StateValue(config.hidden_sizes, layer_norm='before' if config.layer_norm else '')
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return XQLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(policy.apply, policy.init(actor_key, observation)),
        value=adam(v.apply, v.init(value_key, observation)),
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
        num_value_updates=config.num_value_updates,
        num_random_actions=config.num_random_actions,
        action_noise=config.action_noise,
    )


def value_loss(
    params, state: XQLState, batch: Transition, noise: 'Noise'
) -> tuple[jax.Array, dict]:
    """Gumbel regression of V(s) towards Q_targ(s, a)."""
    action = batch.action
    if state.action_noise:
        action = smoothed(action, noise.normal, state.action_noise, state.hparams.noise_clip)
    uniform = noise.uniform.reshape(-1, action.shape[-1])
    observation = jnp.tile(batch.observation, (1 + state.num_random_actions, 1))
    q = target_q(state, observation, jnp.concatenate([action, uniform]))
    v = state.value.apply_fn(params, observation)
    chex.assert_equal_shape((q, v))
    z = (q - v) / state.hparams.temperature
    loss = jnp.mean(gumbel_loss(z, state.hparams.max_exponent))
    clipped = jnp.mean(z > state.hparams.max_exponent)
    return loss, {'value_loss': loss, 'value': jnp.mean(v), 'clipped': clipped}


def critic_loss(params, state: XQLState, batch: Transition) -> tuple[jax.Array, dict]:
    """Huber's loss of every critic's TD error, bootstrapped from V(s')."""
    next_v = state.value.apply_fn(state.value.params, batch.next_observation)
    target = batch.reward + state.hparams.gamma * batch.discount * next_v
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(jnp.mean(optax.huber_loss(error, delta=state.hparams.huber_delta), axis=1))
    return loss, {'critic_loss': loss, 'td_error': jnp.mean(jnp.abs(error))}


def actor_loss(params, state: XQLState, batch: Transition, key: jax.Array) -> tuple[jax.Array, dict]:
    """Advantage-weighted regression on the data's actions; `key` draws the dropout."""
    v = state.value.apply_fn(state.value.params, batch.observation)
    advantage = target_q(state, batch.observation, batch.action) - v
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


def target_q(state: XQLState, observation: jax.Array, action: jax.Array) -> jax.Array:
    """The smallest of the target critics, (batch,)."""
    return jnp.min(state.critic.apply_fn(state.target_critic_params, observation, action), axis=0)


class Noise(NamedTuple):
    """What the value's loss draws."""

    normal: jax.Array  # (batch, action_size), standard normal; of no use without action_noise
    uniform: jax.Array  # (num_random_actions, batch, action_size), in [-1, 1)


def draw_noise(key: jax.Array, state: XQLState, batch: Transition) -> Noise:
    normal_key, uniform_key = jax.random.split(key)
    shape = (state.num_random_actions, *batch.action.shape)
    return Noise(
        jax.random.normal(normal_key, batch.action.shape),
        jax.random.uniform(uniform_key, shape, minval=-1.0, maxval=1.0),
    )


def update(state: XQLState, batch: Transition) -> XQLState:
    """One gradient step of the policy and the critics after those of V, in the order of the authors'
    code."""
    hparams, before = state.hparams, state
    noise_key, dropout_key = jax.random.split(jax.random.fold_in(state.key, state.step))
    noise = draw_noise(noise_key, state, batch)

    for _ in range(state.num_value_updates):
        gradients, value_metrics = jax.grad(value_loss, has_aux=True)(
            state.value.params, state, batch, noise
        )
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


def compare_actions(state: XQLState, batch: Transition) -> dict:
    """The smallest critic's values of the data's and of the policy's actions, on a few rows."""
    observation, action = (array[:_ROWS_COMPARED] for array in (batch.observation, batch.action))
    q = state.critic.apply_fn(state.critic.params, observation, action)
    q_data = jnp.mean(jnp.min(q, axis=0))
    q_policy = jnp.mean(claimed_value(state, observation, state.key))
    return {'q_data': q_data, 'q_policy': q_policy, 'q_gap': q_policy - q_data}


def act(state: XQLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The policy's mean."""
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory


def explore(state: XQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """Actions sampled from the policy, to collect data with, clipped to the box."""
    return jnp.clip(state.actor.apply_fn(state.actor.params, observation).sample(key), -1, 1)


def claimed_value(state: XQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,)."""
    action = state.actor.apply_fn(state.actor.params, observation).mode()
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

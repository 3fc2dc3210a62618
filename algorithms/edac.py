"""EDAC and SAC-N  (An et al. 2021, https://arxiv.org/abs/2110.01548).

SAC on fixed data, made cautious by the number of its critics alone: the smallest of N values lies the
further below their mean the less the critics agree, which is where no data were. Hundreds may be needed
(SAC-N, eta = 0), because critics that learn the same data slope alike: EDAC asks that their gradients
at the data's actions point in different directions, and makes do with a tenth of them.

    L_Q(theta)   = sum_i E[ (r + gamma (min_j Q_targ,j(s', a') - alpha log pi(a' | s')) - Q_i(s, a))^2 ]
                   + eta ES(theta),   a' ~ pi(. | s')                            (Algorithm 1)
    ES(theta)    = E[ 1 / (N - 1) sum_{i != j} <g_i, g_j> ],   g_i the unit vector along
                   dQ_i(s, a) / da                                               (section 4)
    L_pi(phi)    = E[ alpha log pi(a | s) - min_j Q_j(s, a) ],   a ~ pi(. | s)   (Algorithm 1)
    L_alpha      = E[ -log alpha (log pi(a | s) + H) ],   H = -dim(A) by default

The sum over pairs is |sum_i g_i|^2 - sum_i |g_i|^2, which takes N steps where pairs take N^2.

This file follows the authors' code (snu-mllab/EDAC): every loss sees the networks as the update found
them, the temperature's the actions that the policy's has drawn; target critics go towards the new
ones. What is learned is log alpha, which stands in L_alpha itself; sigma is exp of an output clipped
to [-5, 2]. Left out are that code's options of a target from the best of ten actions (pen-cloned's)
and of cloning at first. log pi is exact, where that code adds 1e-6 to the derivative of tanh. Weights
start uniform in +-1/sqrt(fan-in), as do biases, which in that code start at 0.1, and last layers, which
there start uniform in +-0.001 (policy) and +-0.003 (critics).
"""

from collections.abc import Callable
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
from networks.policies import TanhGaussianPolicy
from networks.values import ActionValue, ensemble

NAME = 'EDAC'
ACTIONS = ('continuous',)
METRICS = (
    'critic_loss', 'actor_loss', 'temperature_loss', 'q_data', 'q_policy', 'q_gap', 'td_error',
    'diversity_penalty', 'entropy', 'temperature',
)  # fmt: skip
NETWORK = {'hidden_sizes': 'tuple of int [1, 1e5]', 'num_critics': 'int [2, 1e4]'}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    eta: Annotated[jax.Array, '[0, inf)']  # weight of the gradients' similarity; 0 is SAC-N
    target_entropy_per_dimension: Annotated[jax.Array, '(-inf, 0.6931)']  # H / dim(A), below log 2
    initial_temperature: Annotated[jax.Array, '(0, inf)']  # alpha before the first update
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    temperature_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's; at 0 alpha stays as it is


class EDACState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    critic: TrainState
    temperature: TrainState  # its parameter is log alpha
    target_critic_params: Any
    metrics: dict[str, jax.Array]
    # (parameters of one critic, observations, actions) -> its values.
    apply_one_critic: Callable = struct.field(pytree_node=False)


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> EDACState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = TanhGaussianPolicy(config.hidden_sizes, spec.action_size, log_std_min=-5.0)
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return EDACState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(policy.apply, policy.init(actor_key, observation)),
        critic=critic,
        temperature=adam(jnp.exp, jnp.log(hparams.initial_temperature)),
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
        apply_one_critic=ActionValue(config.hidden_sizes).apply,
    )


def bellman_loss(
    params, state: EDACState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Soft Bellman error of every critic: what SAC-N's critics descend.

    `noise` is standard normal, (batch, action_size), and stands for the next actions.
    """
    hparams = state.hparams
    policy = state.actor.apply_fn(state.actor.params, batch.next_observation)
    next_action, next_log_prob = policy.transform_and_log_prob(noise)
    next_q = jnp.min(
        state.critic.apply_fn(state.target_critic_params, batch.next_observation, next_action),
        axis=0,
    )
    alpha = state.temperature.apply_fn(state.temperature.params)
    next_v = next_q - alpha * next_log_prob
    target = batch.reward + hparams.gamma * batch.discount * next_v
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1))
    return loss, {
        'critic_loss': loss,
        'q_data': jnp.mean(jnp.min(q, axis=0)),
        'td_error': jnp.mean(jnp.abs(error)),
        'diversity_penalty': jnp.zeros(()),
    }


def critic_loss(
    params, state: EDACState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """The Bellman error, and eta times the similarity of the critics' gradients."""
    error, metrics = bellman_loss(params, state, batch, noise)
    penalty = state.hparams.eta * gradient_similarity(params, state, batch)
    loss = error + penalty
    return loss, metrics | {'critic_loss': loss, 'diversity_penalty': penalty}


def gradient_similarity(params, state: EDACState, batch: Transition) -> jax.Array:
    """ES: the cosines between the critics' gradients, of all pairs, over N - 1  (section 4)."""

    def value(params, action):
        return jnp.sum(state.apply_one_critic(params, batch.observation, action))

    gradient = jax.vmap(jax.grad(value, argnums=1), (0, None))(params, batch.action)
    chex.assert_equal_shape((gradient[0], batch.action))
    # Where no unit of a critic is active its gradient, and the derivative of its length, are 0.
    gradient /= optax.safe_norm(gradient, 0.0, axis=-1, keepdims=True) + 1e-10
    of_all_pairs = jnp.sum(jnp.square(jnp.sum(gradient, axis=0)), axis=-1)
    of_itself = jnp.sum(jnp.square(gradient), axis=(0, -1))
    return jnp.mean(of_all_pairs - of_itself) / (len(gradient) - 1)


def actor_loss(
    params, state: EDACState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Soft value of the policy by the smallest critic, negated; `noise` stands for its actions."""
    policy = state.actor.apply_fn(params, batch.observation)
    action, log_prob = policy.transform_and_log_prob(noise)
    q = jnp.min(state.critic.apply_fn(state.critic.params, batch.observation, action), axis=0)
    chex.assert_equal_shape((q, log_prob))
    alpha = state.temperature.apply_fn(state.temperature.params)
    loss = jnp.mean(alpha * log_prob - q)
    return loss, {
        'actor_loss': loss,
        'q_policy': jnp.mean(q),
        'entropy': -jnp.mean(log_prob),
    }


def temperature_loss(
    log_alpha, state: EDACState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Raises alpha where the entropy is below its target; `noise` stands for actions."""
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    _, log_prob = policy.transform_and_log_prob(noise)
    target_entropy = state.hparams.target_entropy_per_dimension * noise.shape[-1]
    loss = -log_alpha * jnp.mean(log_prob + target_entropy)
    return loss, {'temperature_loss': loss, 'temperature': state.temperature.apply_fn(log_alpha)}


def update(state: EDACState, batch: Transition) -> EDACState:
    """One gradient step of critics, policy and temperature, each from where the update began."""
    hparams = state.hparams
    keys = jax.random.split(jax.random.fold_in(state.key, state.step))
    critic_noise, actor_noise = (jax.random.normal(key, batch.action.shape) for key in keys)

    # Without vmap, as on a CPU, SAC-N is spared the second derivatives.
    gradients, critic_metrics = jax.lax.cond(
        hparams.eta > 0,
        jax.grad(critic_loss, has_aux=True),
        jax.grad(bellman_loss, has_aux=True),
        state.critic.params, state, batch, critic_noise,
    )  # fmt: skip
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)

    gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch, actor_noise
    )
    actor = descend(state.actor, gradients, hparams.actor_learning_rate)

    gradients, temperature_metrics = jax.grad(temperature_loss, has_aux=True)(
        state.temperature.params, state, batch, actor_noise
    )
    gap = actor_metrics['q_policy'] - critic_metrics['q_data']
    return state.replace(
        step=state.step + 1,
        actor=actor,
        critic=critic,
        temperature=descend(state.temperature, gradients, hparams.temperature_learning_rate),
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=critic_metrics | actor_metrics | temperature_metrics | {'q_gap': gap},
    )


def act(state: EDACState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """tanh of the policy's mean, which the paper evaluates."""
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory


def explore(state: EDACState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """Actions sampled from the policy, to collect data with."""
    return state.actor.apply_fn(state.actor.params, observation).sample(key)


def claimed_value(state: EDACState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,).

    It includes alpha times the entropy of the steps that follow, as every soft Q does.
    """
    action = state.actor.apply_fn(state.actor.params, observation).mode()
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

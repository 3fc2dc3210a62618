"""Advantage-Weighted Actor-Critic  (Nair et al. 2020, https://arxiv.org/abs/2006.09359).

The critics are those of an actor-critic: they evaluate the policy. The policy never climbs them: it is
the data's actions, weighted by how much better than its own they are, that it imitates, which keeps it
near the data without a model of the behaviour, and lets go of it as better data come in online.

    L_Q(theta)  = E[ (r + gamma min_j Q_targ,j(s', a') - Q(s, a))^2 ],              a' ~ pi(. | s')
    A(s, a)     = min_j Q_j(s, a) - min_j Q_j(s, a_pi),                           a_pi ~ pi(. | s)
    L_pi(phi)   = -E[ exp(A(s, a) / lambda) / Z log pi(a | s) ]                           (section 4)

As in the authors' code (rail-berkeley/rlkit, awac_trainer.py with the values of examples/awac) and
unlike the paper, Z is no constant: the weights are a softmax over the batch, times its size. All losses
see the parameters of before the update. The policy is a Gaussian with a mean within tanh and a standard
deviation that no state changes, on a sigmoid between exp(-6) and 1; the critics value its actions as
they are drawn, unclipped. Weight decay is an L2 term of the policy's gradient. For the hand's tasks
advantages are clipped at a half, and a_pi is the policy's mean (config.value_at_mean). Unlike that code:
weights start uniform in +-1/sqrt(fan-in) (rlkit: last layers in +-3e-3, the policy's in +-1e-3, biases
at 0).

Two more are widely used. jaxrl (ikostrikov) has the same softmax, but the policy sees the critics after
their step, and its decay is AdamW's; CORL's sees them so too, and weighs by exp(A / lambda), clipped at
100, of a policy whose mean is not bounded.
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
from networks.policies import GaussianPolicy
from networks.values import ActionValue, ensemble

NAME = 'AWAC'
ACTIONS = ('continuous',)
METRICS = (
    'critic_loss', 'actor_loss', 'q_data', 'q_policy', 'q_gap', 'td_error', 'advantage',
    'largest_weight',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]',  # of the critics
    'actor_hidden_sizes': 'tuple of int [1, 1e5]',
    'num_critics': 'int [1, 1e4]',
    'value_at_mean': 'bool',
}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    temperature: Annotated[jax.Array, '(0, inf)']  # lambda (the code's beta)
    max_advantage: Annotated[jax.Array, '(0, inf]']  # where A is clipped (the code's clip_score)
    weight_decay: Annotated[jax.Array, '[0, inf)']  # of the policy
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class AWACState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]
    value_at_mean: bool = struct.field(pytree_node=False)


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> AWACState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = GaussianPolicy(
        config.actor_hidden_sizes,
        spec.action_size,
        log_std_min=-6.0,
        log_std_max=0.0,
        sigmoid_log_std=True,
    )
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return AWACState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(policy.apply, policy.init(actor_key, observation)),
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
        value_at_mean=config.value_at_mean,
    )


def critic_loss(
    params, state: AWACState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Squared TD error of every critic, bootstrapped from the policy's next action.

    `noise` is standard normal, (batch, action_size), and stands for the next actions.
    """
    policy = state.actor.apply_fn(state.actor.params, batch.next_observation)
    next_q = smallest_q(
        state, state.target_critic_params, batch.next_observation, policy.transform(noise)
    )
    target = batch.reward + state.hparams.gamma * batch.discount * next_q
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1))
    return loss, {'critic_loss': loss, 'td_error': jnp.mean(jnp.abs(error))}


def actor_loss(
    params, state: AWACState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Advantage-weighted likelihood of the data's actions; `noise` stands for the policy's own."""
    hparams = state.hparams
    policy = state.actor.apply_fn(params, batch.observation)
    own = jax.lax.stop_gradient(policy.mode() if state.value_at_mean else policy.transform(noise))
    q_data = smallest_q(state, state.critic.params, batch.observation, batch.action)
    q_policy = smallest_q(state, state.critic.params, batch.observation, own)
    advantage = q_data - q_policy
    clipped = jnp.minimum(advantage, hparams.max_advantage)
    weight = jax.nn.softmax(clipped / hparams.temperature)
    log_prob = policy.log_prob(batch.action)
    chex.assert_equal_shape((weight, log_prob))
    loss = -jnp.sum(weight * log_prob)
    return loss, {
        'actor_loss': loss,
        'q_data': jnp.mean(q_data),
        'q_policy': jnp.mean(q_policy),
        'q_gap': jnp.mean(q_policy) - jnp.mean(q_data),
        'advantage': jnp.mean(advantage),
        'largest_weight': jnp.max(weight) * len(weight),
    }


def smallest_q(state: AWACState, params, observation: jax.Array, action: jax.Array) -> jax.Array:
    """The smallest critic's values, (batch,)."""
    return jnp.min(state.critic.apply_fn(params, observation, action), axis=0)


def update(state: AWACState, batch: Transition) -> AWACState:
    """One gradient step of critics and policy, at the parameters of before it."""
    hparams = state.hparams
    keys = jax.random.split(jax.random.fold_in(state.key, state.step))
    critic_noise, actor_noise = (jax.random.normal(key, batch.action.shape) for key in keys)

    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch, critic_noise
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)

    gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch, actor_noise
    )
    gradients = jax.tree.map(
        lambda gradient, weight: gradient + hparams.weight_decay * weight,
        gradients,
        state.actor.params,
    )
    actor = descend(state.actor, gradients, hparams.actor_learning_rate)

    return state.replace(
        step=state.step + 1,
        actor=actor,
        critic=critic,
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=critic_metrics | actor_metrics,
    )


def act(state: AWACState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The policy's mean."""
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory


def explore(state: AWACState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """Actions sampled from the policy, to collect data with, clipped to the box."""
    return jnp.clip(state.actor.apply_fn(state.actor.params, observation).sample(key), -1, 1)


def claimed_value(state: AWACState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,)."""
    action = state.actor.apply_fn(state.actor.params, observation).mode()
    return smallest_q(state, state.critic.params, observation, action)

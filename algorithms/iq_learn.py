"""Inverse soft Q-learning, IQ-Learn  (Garg et al. 2021, https://arxiv.org/abs/2106.12142).

A policy from demonstrations, without rewards. Inverse RL looks for rewards under which the expert is
optimal, and then for the policy of these rewards. For a soft Q function both are known in closed form:
the policy is its softmax, the rewards are what Bellman's equation leaves. So Q is learned alone:

    r_Q(s, a, s') = Q(s, a) - gamma V(s')                         (inverse Bellman operator, section 4)
    L_Q(theta)    = -E_expert[ r_Q ] + E[ V(s) - gamma V(s') ] + 1/(4 c) E[ r_Q^2 ]          (eq. 9)
    V(s)          = alpha log sum_a exp(Q(s, a) / alpha)                      of discrete actions
    V(s)          = Q(s, a) - alpha log pi(a | s),  a ~ pi(. | s)             of continuous ones
    L_pi(phi)     = E[ alpha log pi(a | s) - Q(s, a) ]                        (SAC's; alpha stays)

That is phi(r) = r - r^2 / (4 c) in eq. 9, the chi-squared divergence, and the values of initial states
written as differences along the data, which sum to them. If all rows are the expert's, V(s') drops out
of the first two terms, and what is left of them is -alpha log pi(a | s): cloning, with rewards kept
small by the third, which is where the dynamics come in.

`experts` says whose rows these are: 'all' the expert's (the authors' loss=value_expert and chi, with
which they learn offline), or those 'rewarded', with a reward above 0, the others standing where the
authors have steps of their policy (loss=value and regularize). Rewards are read for nothing else, and
no value is claimed: Q is one of r_Q, not of what the environment pays.

As in the authors' code (Div99/IQ-Learn): the critics first, then the policy with the new ones; every
critic's loss has the V of the smallest; gradients flow through V(s'), or, with `use_target`, do not,
and V(s') is one of slowly moving averages. log sigma is clipped to [-5, 2], where that code squashes
it, and what acts is the likeliest action, where that code draws discrete ones.
"""

from typing import Annotated, Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict, FrozenConfigDict

from data.types import Spec, Transition
from networks.optimization import adam, descend
from networks.policies import TanhGaussianPolicy
from networks.values import ActionValue, DiscreteActionValue, ensemble

NAME = 'IQ-Learn'
ACTIONS = ('continuous', 'discrete')
METRICS = ('critic_loss', 'actor_loss', 'reward_expert', 'reward_squared', 'value_difference', 'value')
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]',
    'num_critics': 'int [1, 1e4]',
    'use_target': 'bool',  # whether V(s') is of targets, without a gradient
    'experts': "'all' or 'rewarded'",  # whose rows are in the data
}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    temperature: Annotated[jax.Array, '(0, inf)']  # alpha
    reward_bound: Annotated[jax.Array, '(0, inf]']  # c: rewards beyond 2 c cost more than they bring
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's; without use if discrete


class IQLearnState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState | None  # None if actions are discrete: Q's softmax acts
    critic: TrainState
    target_critic_params: Any
    metrics: dict[str, jax.Array]
    network: FrozenConfigDict = struct.field(pytree_node=False)  # the config's


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> IQLearnState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, actor = jnp.zeros((1, spec.observation_size)), None
    if spec.discrete:
        action = jnp.zeros((1,), jnp.int32)
        q = ensemble(DiscreteActionValue, config.num_critics)(config.hidden_sizes, spec.action_size)
    else:
        action = jnp.zeros((1, spec.action_size))
        q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)
        policy = TanhGaussianPolicy(config.hidden_sizes, spec.action_size, log_std_min=-5.0)
        actor = adam(policy.apply, policy.init(actor_key, observation))
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return IQLearnState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=actor,
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
        network=FrozenConfigDict({name: config[name] for name in NETWORK}),
    )


def critic_loss(
    params, state: IQLearnState, batch: Transition, noise: tuple[jax.Array | None, jax.Array | None]
) -> tuple[jax.Array, dict]:
    """Rewards of the expert, above those of the policy, and all of them small  (eq. 9).

    Args:
        params: of the critics.
        state, batch: of the update.
        noise: standard normal, (batch, action_size), which stands for actions in s and in s'; None if
            actions are discrete.
    """
    hparams, network = state.hparams, state.network
    value = soft_value(params, state, batch.observation, noise[0])
    ahead = state.target_critic_params if network.use_target else params
    next_value = soft_value(ahead, state, batch.next_observation, noise[1])
    carried = hparams.gamma * batch.discount * next_value
    reward = state.critic.apply_fn(params, batch.observation, batch.action) - carried
    chex.assert_equal_shape((reward[0], value, carried))
    expert = (batch.reward > 0) | (network.experts == 'all')
    reward_expert = jnp.sum(jnp.where(expert, reward, 0)) / len(reward) / jnp.maximum(expert.sum(), 1)
    difference, squared = jnp.mean(value - carried), jnp.mean(jnp.square(reward))
    loss = -reward_expert + difference + squared / (4 * hparams.reward_bound)
    return loss, {
        'critic_loss': loss,
        'reward_expert': reward_expert,
        'reward_squared': squared,
        'value_difference': difference,
        'value': jnp.mean(value),
    }


def soft_value(
    params, state: IQLearnState, observation: jax.Array, noise: jax.Array | None
) -> jax.Array:
    """V(s) of the smallest critic, (batch,); `noise` stands for the policy's actions."""
    alpha = state.hparams.temperature
    if state.actor is None:
        return alpha * jax.nn.logsumexp(all_values(params, state, observation) / alpha, axis=-1)
    policy = state.actor.apply_fn(state.actor.params, observation)
    action, log_prob = policy.transform_and_log_prob(noise)
    q = jnp.min(state.critic.apply_fn(params, observation, action), axis=0)
    return q - alpha * log_prob


def all_values(params, state: IQLearnState, observation: jax.Array) -> jax.Array:
    """The smallest Q(s, .) of discrete actions, (batch, num_actions)."""
    return jnp.min(state.critic.apply_fn(params, observation, method='all_actions'), axis=0)


def actor_loss(
    params, state: IQLearnState, batch: Transition, noise: jax.Array
) -> tuple[jax.Array, dict]:
    """Soft value of the policy, negated; `noise` stands for its actions."""
    policy = state.actor.apply_fn(params, batch.observation)
    action, log_prob = policy.transform_and_log_prob(noise)
    q = jnp.min(state.critic.apply_fn(state.critic.params, batch.observation, action), axis=0)
    chex.assert_equal_shape((q, log_prob))
    loss = jnp.mean(state.hparams.temperature * log_prob - q)
    return loss, {'actor_loss': loss}


def update(state: IQLearnState, batch: Transition) -> IQLearnState:
    """One gradient step of the critics, then of the policy, in the order of the authors' code."""
    hparams, key = state.hparams, jax.random.fold_in(state.key, state.step)
    noise = (None, None, None)
    if state.actor is not None:
        noise = tuple(jax.random.normal(each, batch.action.shape) for each in jax.random.split(key, 3))

    gradients, metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch, noise[:2]
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)
    state = state.replace(critic=critic)

    if state.actor is None:
        # What the softmax of Q, which is the best policy, has of this loss.
        least = -jnp.mean(soft_value(critic.params, state, batch.observation, None))
        actor, actor_metrics = None, {'actor_loss': least}
    else:
        gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
            state.actor.params, state, batch, noise[2]
        )
        actor = descend(state.actor, gradients, hparams.actor_learning_rate)

    return state.replace(
        step=state.step + 1,
        actor=actor,
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=metrics | actor_metrics,
    )


def act(
    state: IQLearnState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array
):
    """tanh of the policy's mean, or the action of the highest value if discrete."""
    if state.actor is None:
        values = all_values(state.critic.params, state, observation)
        return jnp.argmax(values, axis=-1).astype(jnp.int32), memory
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory

"""Calibrated Q-learning, Cal-QL  (Nakamoto et al. 2023, https://arxiv.org/abs/2303.05479).

CQL pushes the values of the policy's actions down, below what any policy earns. Fine-tuning then starts
with unlearning: whatever is tried looks better. Cal-QL stops pushing at the value of a reference policy,
that of the data, which the returns of its episodes sample:

    penalty(theta) = E[ log int_a exp max(Q(s, a), G(s)) da - Q(s, a_data) ]            (section 5)
    L_Q(theta)     = alpha penalty + E[ (r + gamma Q_targ(s', a') - Q(s, a))^2 ],   a' ~ pi
    L_pi(phi)      = E[ temperature log pi(a | s) - min_i Q_i(s, a) ],   a ~ pi        (SAC's actor)

G(s) is batch.return_to_go, the rewards from s to the end of its episode, discounted; where that is -inf
this is CQL's penalty. As in the authors' code (nakamotoo/Cal-QL, JaxCQL/conservative_sac.py), of the
integral's samples the policy's in s and in s', both valued in s, are bounded, and uniform ones are not.

Where that code differs from CQL's besides, and this file from cql.py: all losses see the parameters of
before the update, the temperature too; the backup is the best of num_sampled_actions next actions by the
smaller critic (config.max_backup), where CQL's has each critic take its own best; the actor never
clones; log std is at least -20, and scaled and shifted by two learned numbers, from 1 and -1 on; with
config.lagrange the gap comes off before alpha multiplies, and in the loss too, and the multiplier begins
at e. Online nothing changes. Weights start uniform in +-1/sqrt(fan-in) (there: orthogonal, biases 0).
"""

from typing import Annotated, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import ReturnTransition, Spec
from networks.optimization import adam, descend
from networks.policies import TanhGaussianPolicy
from networks.values import ActionValue, ensemble, q_of_samples

NAME = 'Cal-QL'
ACTIONS = ('continuous',)
BATCH = ReturnTransition
METRICS = (
    'temperature_loss', 'actor_loss', 'critic_loss', 'temperature', 'entropy',
    'conservative_penalty', 'bound_rate', 'alpha', 'q_data', 'q_policy', 'q_gap', 'td_error',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]', 'actor_hidden_sizes': 'tuple of int [1, 1e5]',
    'num_critics': 'int [1, 1e4]', 'num_sampled_actions': 'int [1, 1e4]', 'lagrange': 'bool',
    'max_backup': 'bool',
}  # fmt: skip


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    cql_alpha: Annotated[jax.Array, '[0, inf)']  # alpha (the code's cql_min_q_weight)
    target_gap: Annotated[jax.Array, '(-inf, inf)']  # of the penalty, in the Lagrange version alone
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their critics per update
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's, also the temperature's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's, also the Lagrange multiplier's


class CalQLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    temperature: TrainState  # its parameter is the logarithm, as is the multiplier's
    actor: TrainState
    critic: TrainState
    target_critic_params: Any
    multiplier: TrainState
    metrics: dict[str, jax.Array]
    num_sampled_actions: int = struct.field(pytree_node=False)
    lagrange: bool = struct.field(pytree_node=False)
    max_backup: bool = struct.field(pytree_node=False)


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> CalQLState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = TanhGaussianPolicy(config.actor_hidden_sizes, spec.action_size, log_std_offset=-1.0)
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)
    critic = adam(q.apply, q.init(critic_key, observation, action))
    return CalQLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        temperature=adam(jnp.exp, jnp.zeros(())),
        actor=adam(policy.apply, policy.init(actor_key, observation)),
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        multiplier=adam(bounded_exp, jnp.ones(())),
        metrics={name: jnp.zeros(()) for name in METRICS},
        num_sampled_actions=config.num_sampled_actions,
        lagrange=config.lagrange,
        max_backup=config.max_backup,
    )


def critic_loss(
    params, state: CalQLState, batch: ReturnTransition, noise: 'Noise'
) -> tuple[jax.Array, dict]:
    """TD error of every critic and its weighted, calibrated penalty."""
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    target = backup(state, batch, noise)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    soft_max, q_policy, bound_rate = log_integral(params, state, batch, noise)
    penalty = jnp.mean(soft_max - q, axis=1)
    q_data = jnp.mean(jnp.min(q, axis=0))
    weight, excess = state.hparams.cql_alpha, penalty
    if state.lagrange:
        weight = weight * state.multiplier.apply_fn(state.multiplier.params)
        excess = penalty - state.hparams.target_gap
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1) + weight * excess)
    return loss, {
        'critic_loss': loss,
        'conservative_penalty': jnp.mean(penalty),
        'bound_rate': bound_rate,
        'alpha': weight,
        'q_data': q_data,
        'q_policy': q_policy,
        'q_gap': q_policy - q_data,
        'td_error': jnp.mean(jnp.abs(error)),
    }


def multiplier_loss(log_multiplier, state: CalQLState, penalty: jax.Array) -> jax.Array:
    """Dual ascent on the multiplier: the penalty, averaged over critics, against `target_gap`."""
    excess = state.hparams.cql_alpha * (penalty - state.hparams.target_gap)
    return -state.multiplier.apply_fn(log_multiplier) * excess


def bounded_exp(log_multiplier: jax.Array) -> jax.Array:
    """The Lagrange multiplier, which the authors' code stops at a million."""
    return jnp.minimum(jnp.exp(log_multiplier), 1e6)


def actor_loss(
    params, state: CalQLState, batch: ReturnTransition, noise: 'Noise'
) -> tuple[jax.Array, dict]:
    """SAC's policy improvement."""
    policy = state.actor.apply_fn(params, batch.observation)
    action, log_prob = policy.transform_and_log_prob(noise.actor)
    q = jnp.min(state.critic.apply_fn(state.critic.params, batch.observation, action), axis=0)
    chex.assert_equal_shape((log_prob, q, batch.reward))
    temperature = state.temperature.apply_fn(state.temperature.params)
    loss = jnp.mean(temperature * log_prob - q)
    return loss, {'actor_loss': loss, 'temperature': temperature}


def temperature_loss(
    log_temperature, state: CalQLState, batch: ReturnTransition, noise: 'Noise'
) -> tuple[jax.Array, dict]:
    """Moves the policy's entropy towards minus the number of action dimensions  (SAC)."""
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    _, log_prob = policy.transform_and_log_prob(noise.actor)
    target_entropy = -batch.action.shape[-1]
    loss = -log_temperature * jnp.mean(log_prob + target_entropy)
    return loss, {'temperature_loss': loss, 'entropy': -jnp.mean(log_prob)}


def backup(state: CalQLState, batch: ReturnTransition, noise: 'Noise') -> jax.Array:
    """r + gamma Q_targ(s', a'), (batch,): the smallest critic's value of the best of K actions."""
    policy = state.actor.apply_fn(state.actor.params, batch.next_observation)
    action, _ = policy.transform_and_log_prob(noise.backup)
    q = q_of_samples(state.critic.apply_fn, state.target_critic_params, batch.next_observation, action)
    next_q = jnp.max(jnp.min(q, axis=0), axis=0)
    return batch.reward + state.hparams.gamma * batch.discount * next_q


def log_integral(
    params, state: CalQLState, batch: ReturnTransition, noise: 'Noise'
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """log sum_a exp(max(Q(s, a), G(s)) - log density(a)), (critics, batch), where only the policy's
    actions have the bound G; mean smallest Q of the policy; the share of values that are bounded.

    One call of the policy on s and s', which gives a distribution for each, and one of the critics
    on all sampled actions. No gradient reaches the policy: only `params` are differentiated.
    """
    both = jnp.concatenate([batch.observation, batch.next_observation])
    policy = state.actor.apply_fn(state.actor.params, both)
    policy_noise = jnp.concatenate([noise.current, noise.following], axis=1)
    policy_action, policy_log_prob = policy.transform_and_log_prob(policy_noise)
    action = jnp.concatenate([noise.uniform, *jnp.split(policy_action, 2, axis=1)])
    uniform_log_prob = jnp.full(noise.uniform.shape[:2], action.shape[-1] * jnp.log(0.5))
    log_density = jnp.concatenate([uniform_log_prob, *jnp.split(policy_log_prob, 2, axis=1)])
    q = q_of_samples(state.critic.apply_fn, params, batch.observation, action)
    chex.assert_equal_shape((q[0], log_density))
    samples = state.num_sampled_actions
    uniform_q, policy_q = q[:, :samples], q[:, samples:]
    q_policy = jnp.mean(jnp.min(policy_q[:, :samples], axis=0))
    bound_rate = jnp.mean(policy_q < batch.return_to_go)
    q = jnp.concatenate([uniform_q, jnp.maximum(policy_q, batch.return_to_go)], axis=1)
    return jax.nn.logsumexp(q - log_density, axis=1), q_policy, bound_rate


class Noise(NamedTuple):
    """All that one update draws; standard normal but for `uniform`, which is in [-1, 1)."""

    actor: jax.Array  # (batch, action_size)
    backup: jax.Array  # (K, batch, action_size); K is num_sampled_actions with max_backup, else 1
    # The penalty's actions, (num_sampled_actions, batch, action_size): uniform ones, the policy's in s
    # and the policy's in s'.
    uniform: jax.Array
    current: jax.Array
    following: jax.Array


def draw_noise(key: jax.Array, state: CalQLState, batch: ReturnTransition) -> Noise:
    normal_key, uniform_key = jax.random.split(key)
    shape, samples = batch.action.shape, state.num_sampled_actions
    ends = np.cumsum([1, samples if state.max_backup else 1, samples, samples])
    normal = jax.random.normal(normal_key, (ends[-1], *shape))
    actor, backup, current, following = jnp.split(normal, ends[:-1])
    uniform = jax.random.uniform(uniform_key, (samples, *shape), minval=-1.0, maxval=1.0)
    return Noise(actor[0], backup, uniform, current, following)


def update(state: CalQLState, batch: ReturnTransition) -> CalQLState:
    """One gradient step of all networks, at the parameters of before it."""
    hparams = state.hparams
    noise = draw_noise(jax.random.fold_in(state.key, state.step), state, batch)

    gradient, temperature_metrics = jax.grad(temperature_loss, has_aux=True)(
        state.temperature.params, state, batch, noise
    )
    temperature = descend(state.temperature, gradient, hparams.actor_learning_rate)

    gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch, noise
    )
    actor = descend(state.actor, gradients, hparams.actor_learning_rate)

    gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch, noise
    )
    critic = descend(state.critic, gradients, hparams.critic_learning_rate)

    if state.lagrange:
        gradient = jax.grad(multiplier_loss)(
            state.multiplier.params, state, critic_metrics['conservative_penalty']
        )
        multiplier = descend(state.multiplier, gradient, hparams.critic_learning_rate)
        state = state.replace(multiplier=multiplier)

    return state.replace(
        step=state.step + 1,
        temperature=temperature,
        actor=actor,
        critic=critic,
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=temperature_metrics | actor_metrics | critic_metrics,
    )


def act(
    state: CalQLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array
):
    """tanh of the policy's mean."""
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory


def explore(state: CalQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """Actions sampled from the policy, to collect data with."""
    return state.actor.apply_fn(state.actor.params, observation).sample(key)


def claimed_value(state: CalQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,)."""
    action = state.actor.apply_fn(state.actor.params, observation).mode()
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

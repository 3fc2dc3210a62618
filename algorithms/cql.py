"""Conservative Q-Learning, CQL(H) on SAC  (Kumar et al. 2020, https://arxiv.org/abs/2006.04779).

A policy that maximises Q on a fixed dataset finds the actions at which Q errs upwards, and no
experience ever corrects it. CQL pushes Q down where the policy might go and up where the data is:
the soft maximum of Q(s, .) above the data's own action is a penalty beside the TD error, and with
enough of it the policy's value is a lower bound of the truth.

    penalty(theta) = E[ log int_a exp Q(s, a) da - Q(s, a_data) ]
    L_Q(theta)     = alpha penalty + E[ (r + gamma Q_targ(s', a') - Q(s, a))^2 ],  a' ~ pi   (eq. 4)
    L_pi(phi)      = E[ temperature log pi(a | s) - min_i Q_i(s, a) ],   a ~ pi          (SAC's actor)

The integral is an importance-weighted mean over actions drawn uniformly and from pi(. | s), the
logarithm of each one's density subtracted from its Q (appendix F). In the Lagrange
version (config.lagrange) the penalty's weight is learned: it grows while alpha * penalty is above
`target_gap` and shrinks below it.

Where paper and code differ this file follows the released code (aviralkumar2907/CQL, d4rl): actions of
pi(. | s') are among the samples; the TD error has no factor 1/2 beside alpha; the sum over samples is
not divided by their number, which shifts the penalty by a constant; log std is at least -5; the backup
carries no entropy; under the Lagrangian alpha still multiplies the penalty before the gap is taken off;
for the first `bc_warm_start_updates` the actor clones the data. All losses see the parameters of before
the update, but for the temperature, which moves first. The maximising backup (config.max_backup) is the
code's: each critic takes the best of its values at num_sampled_actions next actions.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import struct
from flax.training.train_state import TrainState

from data.types import Spec, Transition
from networks.optimization import descend
from networks.policies import TanhGaussianPolicy
from networks.values import ActionValue, ensemble

ACTIONS = ('continuous',)
METRICS = (
    'temperature_loss',
    'actor_loss',
    'critic_loss',
    'temperature',
    'entropy',
    'conservative_penalty',
    'alpha',
    'q_data',
    'q_policy',
    'q_gap',
    'td_error',
)

# Where the released code stops the Lagrange multiplier.
_MAX_MULTIPLIER = 1e6


class Hyperparameters(struct.PyTreeNode):
    """What a user may tune.

    Attributes:
        discount: gamma.
        cql_alpha: alpha of eq. 4, min_q_weight in the authors' code; 0 is SAC without entropy in
            the backup.
        target_gap: tau of the Lagrange version, unused without it.
        bc_warm_start_updates: updates for which the actor clones the data; 0 for none.
        target_rate: how far the target critics move towards the critics at each update.
        actor_learning_rate: Adam's, also the temperature's.
        critic_learning_rate: Adam's, also the Lagrange multiplier's.
    """

    discount: jax.Array
    cql_alpha: jax.Array
    target_gap: jax.Array
    bc_warm_start_updates: jax.Array
    target_rate: jax.Array
    actor_learning_rate: jax.Array
    critic_learning_rate: jax.Array


class CQLState(struct.PyTreeNode):
    """All that one learner is; temperature and multiplier are kept as logarithms."""

    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    temperature: TrainState
    actor: TrainState
    critic: TrainState
    target_critic_params: Any
    multiplier: TrainState
    metrics: dict[str, jax.Array]
    num_sampled_actions: int = struct.field(pytree_node=False)
    lagrange: bool = struct.field(pytree_node=False)
    max_backup: bool = struct.field(pytree_node=False)


class Noise(NamedTuple):
    """All that one update draws; standard normal but for `uniform`, which is in [-1, 1).

    Attributes:
        actor: (batch, action_size).
        backup: (K, batch, action_size); K is 1, or num_sampled_actions for the maximising backup.
        uniform, current, following: (num_sampled_actions, batch, action_size), the penalty's
            actions: uniform ones, the policy's in s and the policy's in s'.
    """

    actor: jax.Array
    backup: jax.Array
    uniform: jax.Array
    current: jax.Array
    following: jax.Array


def init(
    key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ml_collections.ConfigDict
) -> CQLState:
    """Builds a learner.

    Args:
        key: a PRNG key.
        spec: the problem's sizes.
        hparams: float scalars.
        config: hidden_sizes, num_critics, num_sampled_actions (of each of the penalty's three
            kinds), lagrange, max_backup.
    """
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation = jnp.zeros((1, spec.observation_size))
    action = jnp.zeros((1, spec.action_size))
    policy = TanhGaussianPolicy(config.hidden_sizes, spec.action_size, log_std_min=-5.0)
    q = ensemble(ActionValue, config.num_critics)(config.hidden_sizes)

    def train_state(apply_fn, params) -> TrainState:
        return TrainState.create(apply_fn=apply_fn, params=params, tx=optax.scale_by_adam())

    critic = train_state(q.apply, q.init(critic_key, observation, action))
    return CQLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        temperature=train_state(jnp.exp, jnp.zeros(())),
        actor=train_state(policy.apply, policy.init(actor_key, observation)),
        critic=critic,
        target_critic_params=jax.tree.map(jnp.copy, critic.params),
        multiplier=train_state(bounded_exp, jnp.zeros(())),
        metrics={name: jnp.zeros(()) for name in METRICS},
        num_sampled_actions=config.num_sampled_actions,
        lagrange=config.lagrange,
        max_backup=config.max_backup,
    )


def draw_noise(key: jax.Array, state: CQLState, batch: Transition) -> Noise:
    """All that one update draws."""
    normal_key, uniform_key = jax.random.split(key)
    shape, samples = batch.action.shape, state.num_sampled_actions
    sizes = np.array([1, samples if state.max_backup else 1, samples, samples])
    normal = jax.random.normal(normal_key, (sizes.sum(), *shape))
    actor, backup, current, following = jnp.split(normal, sizes.cumsum()[:-1])
    uniform = jax.random.uniform(uniform_key, (samples, *shape), minval=-1.0, maxval=1.0)
    return Noise(actor[0], backup, uniform, current, following)


def temperature_loss(
    log_temperature, state: CQLState, batch: Transition, noise: Noise
) -> tuple[jax.Array, dict]:
    """Moves the policy's entropy towards minus the number of action dimensions  (SAC)."""
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    _, log_prob = policy.transform_and_log_prob(noise.actor)
    target_entropy = -batch.action.shape[-1]
    loss = -log_temperature * jnp.mean(log_prob + target_entropy)
    return loss, {'temperature_loss': loss, 'entropy': -jnp.mean(log_prob)}


def actor_loss(params, state: CQLState, batch: Transition, noise: Noise) -> tuple[jax.Array, dict]:
    """SAC's policy improvement; during the warm start the likelihood of the data replaces Q."""
    policy = state.actor.apply_fn(params, batch.observation)
    action, log_prob = policy.transform_and_log_prob(noise.actor)
    q = jnp.min(state.critic.apply_fn(state.critic.params, batch.observation, action), axis=0)
    cloning = state.step < state.hparams.bc_warm_start_updates
    objective = jnp.where(cloning, policy.log_prob(batch.action), q)
    chex.assert_equal_shape((log_prob, objective, batch.reward))
    temperature = state.temperature.apply_fn(state.temperature.params)
    loss = jnp.mean(temperature * log_prob - objective)
    return loss, {'actor_loss': loss, 'temperature': temperature}


def critic_loss(params, state: CQLState, batch: Transition, noise: Noise) -> tuple[jax.Array, dict]:
    """TD error of every critic and its weighted penalty  (eq. 4)."""
    q = state.critic.apply_fn(params, batch.observation, batch.action)
    target = backup(state, batch, noise)
    chex.assert_equal_shape((q[0], target))
    error = q - target
    soft_max, q_policy = log_integral(params, state, batch, noise)
    penalty = jnp.mean(soft_max - q, axis=1)
    q_data = jnp.mean(jnp.min(q, axis=0))
    weight = state.hparams.cql_alpha
    if state.lagrange:
        weight = weight * state.multiplier.apply_fn(state.multiplier.params)
    loss = jnp.sum(jnp.mean(jnp.square(error), axis=1) + weight * penalty)
    return loss, {
        'critic_loss': loss,
        'conservative_penalty': jnp.mean(penalty),
        'alpha': weight,
        'q_data': q_data,
        'q_policy': q_policy,
        'q_gap': q_policy - q_data,
        'td_error': jnp.mean(jnp.abs(error)),
    }


def multiplier_loss(log_multiplier, state: CQLState, penalty: jax.Array) -> jax.Array:
    """Dual ascent on the multiplier: the penalty, averaged over critics, against its target."""
    excess = state.hparams.cql_alpha * penalty - state.hparams.target_gap
    return -state.multiplier.apply_fn(log_multiplier) * excess


def backup(state: CQLState, batch: Transition, noise: Noise) -> jax.Array:
    """r + gamma Q_targ(s', a'), (batch,): the smallest critic, each at its best of K actions."""
    policy = state.actor.apply_fn(state.actor.params, batch.next_observation)
    action, _ = policy.transform_and_log_prob(noise.backup)
    q = q_of_samples(state, state.target_critic_params, batch.next_observation, action)
    next_q = jnp.min(jnp.max(q, axis=1), axis=0)
    return batch.reward + state.hparams.discount * batch.discount * next_q


def log_integral(
    params, state: CQLState, batch: Transition, noise: Noise
) -> tuple[jax.Array, jax.Array]:
    """log sum_a exp(Q(s, a) - log density(a)), (critics, batch); mean smallest Q of the policy.

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
    q = q_of_samples(state, params, batch.observation, action)
    chex.assert_equal_shape((q[0], log_density))
    samples = state.num_sampled_actions
    q_policy = jnp.mean(jnp.min(q[:, samples : 2 * samples], axis=0))
    return jax.nn.logsumexp(q - log_density, axis=1), q_policy


def q_of_samples(state: CQLState, params, observation: jax.Array, action: jax.Array) -> jax.Array:
    """Values (critics, samples, batch) of actions (samples, batch, action_size), in one call."""
    samples, batch, action_size = action.shape
    rows = jnp.tile(observation, (samples, 1))
    q = state.critic.apply_fn(params, rows, action.reshape(-1, action_size))
    return q.reshape(-1, samples, batch)


def bounded_exp(log_multiplier: jax.Array) -> jax.Array:
    """The Lagrange multiplier, bounded as in the authors' code."""
    return jnp.minimum(jnp.exp(log_multiplier), _MAX_MULTIPLIER)


def update(state: CQLState, batch: Transition) -> CQLState:
    """One gradient step of temperature, policy, critics and multiplier."""
    hparams = state.hparams
    noise = draw_noise(jax.random.fold_in(state.key, state.step), state, batch)

    gradient, temperature_metrics = jax.grad(temperature_loss, has_aux=True)(
        state.temperature.params, state, batch, noise
    )
    temperature = descend(state.temperature, gradient, hparams.actor_learning_rate)
    state = state.replace(temperature=temperature)

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
        actor=actor,
        critic=critic,
        target_critic_params=optax.incremental_update(
            critic.params, state.target_critic_params, hparams.target_rate
        ),
        metrics=temperature_metrics | actor_metrics | critic_metrics,
    )


def init_memory(state: CQLState, num_envs: int) -> tuple:
    """A feed-forward policy carries nothing between steps."""
    return ()


def act(state: CQLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """tanh of the policy's mean."""
    return state.actor.apply_fn(state.actor.params, observation).mode(), memory


def explore(state: CQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """Actions sampled from the policy, to collect data with."""
    return state.actor.apply_fn(state.actor.params, observation).sample(key)


def claimed_value(state: CQLState, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The discounted return that the smallest critic expects of `act`, (batch,)."""
    action = state.actor.apply_fn(state.actor.params, observation).mode()
    return jnp.min(state.critic.apply_fn(state.critic.params, observation, action), axis=0)

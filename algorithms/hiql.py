"""HIQL  (Park, Ghosh, Eysenbach & Levine 2023, https://arxiv.org/abs/2307.11949).

Far from a goal the values of neighbouring states differ by less than they err, and a policy that is read
off them goes anywhere. HIQL reads off two: a high one says which state shall be reached some steps from
here, over which values do differ, a low one how to get there, which is near. Both are regressions onto
the data, weighted by what one value function, of states alone, says that they gain. The high policy's
actions are the vectors phi in which that value function meets its goals.

    L_V(psi)      = E[ L2^tau( r + gamma V_targ(s', g) - V(s, g) ) ]                         (eq. 4)
    J_high(theta) = E[ exp(beta_h (V(s_k, g) - V(s, g))) log pi_h(phi(s, s_k) | s, g) ]      (eq. 6)
    J_low(theta)  = E[ exp(beta_l (V(s', s_k) - V(s, s_k))) log pi_l(a | s, phi(s, s_k)) ]   (eq. 7)

with V(s, g) = V(s, phi(s, g)) and s_k the state k steps after s in its episode. This file follows
OGBench's code (seohongpark/ogbench, impls/agents/hiql.py): two values share phi; each regresses onto
its own target, and the sign that tau goes by is that of the smaller target less the mean of
V_targ(s, g); advantages are differences of the two values' mean, their weights are clipped at 100; phi,
(s, g) to vectors of length sqrt(d), learns from L_V alone; both policies are Gaussians of standard
deviation 1, and the high one's mean is brought to phi's length before the low one sees it. s_k is the
episode's last state if that is nearer, for the high policy also g itself if that is on the way. Values
and phi normalise their layers after the activation, which is gelu everywhere. All losses see the
parameters that an update finds, and the targets follow the values that it finds. Other than there,
V_targ has a phi of its own that follows as it does, and weights start uniform in +-1/sqrt(fan-in).
"""

from typing import Annotated, Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import Spec, SubgoalTransition
from networks.goals import SubgoalValue, of_one_length
from networks.optimization import adam, descend
from networks.policies import UnitGaussianPolicy

NAME = 'HIQL'
ACTIONS = ('continuous',)
BATCH = SubgoalTransition
METRICS = (
    'value_loss', 'actor_loss', 'high_actor_loss', 'value', 'advantage', 'high_advantage', 'td_error',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]',
    'vector_size': 'int [1, 1e5]',  # d, of phi
    'num_values': 'int [1, 1e4]',
    'layer_norm': 'bool',  # of the values and phi
    'subgoal_steps': 'int [1, 1e5]',  # k
}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # the discount factor
    expectile: Annotated[jax.Array, '(0, 1)']  # tau
    inverse_temperature: Annotated[jax.Array, '[0, inf)']  # beta_l
    high_inverse_temperature: Annotated[jax.Array, '[0, inf)']  # beta_h
    max_advantage_weight: Annotated[jax.Array, '(0, inf)']  # where weights are clipped
    target_rate: Annotated[jax.Array, '[0, 1]']  # how far targets go to their values per update
    value_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's, of the low policy
    high_actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class HIQLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    value: TrainState  # of states and goals, with phi
    actor: TrainState  # pi_l
    high_actor: TrainState
    target_value_params: Any
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> HIQLState:
    """NETWORK says what it reads of `config`."""
    key, value_key, actor_key, high_actor_key = jax.random.split(key, 4)
    observation = jnp.zeros((1, spec.observation_size))
    to_subgoal = jnp.zeros((1, spec.observation_size // 2 + config.vector_size))
    norm = 'after' if config.layer_norm else ''
    v = SubgoalValue(config.hidden_sizes, config.vector_size, config.num_values, norm)
    low = UnitGaussianPolicy(config.hidden_sizes, spec.action_size)
    high = UnitGaussianPolicy(config.hidden_sizes, config.vector_size)
    value = adam(v.apply, v.init(value_key, observation))
    return HIQLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        value=value,
        actor=adam(low.apply, low.init(actor_key, to_subgoal)),
        high_actor=adam(high.apply, high.init(high_actor_key, observation)),
        target_value_params=jax.tree.map(jnp.copy, value.params),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def value_loss(params, state: HIQLState, batch: SubgoalTransition) -> tuple[jax.Array, dict]:
    """Expectile regression of each value towards its own target, summed over them  (eq. 4)."""
    hparams = state.hparams
    next_v, v_before = (
        state.value.apply_fn(state.target_value_params, observation)
        for observation in (batch.next_observation, batch.observation)
    )
    target = batch.reward + hparams.gamma * batch.discount * next_v
    gain = jnp.min(target, axis=0) - jnp.mean(v_before, axis=0)
    v = state.value.apply_fn(params, batch.observation)
    chex.assert_equal_shape((v, target))
    chex.assert_equal_shape((gain, batch.reward))
    weight = jnp.where(gain < 0, 1 - hparams.expectile, hparams.expectile)
    error = target - v
    loss = jnp.sum(jnp.mean(weight * jnp.square(error), axis=1))
    return loss, {
        'value_loss': loss,
        'value': jnp.mean(v),
        'td_error': jnp.mean(jnp.abs(error)),
    }


def actor_loss(params, state: HIQLState, batch: SubgoalTransition) -> tuple[jax.Array, dict]:
    """Regression of the low policy onto actions that lead to the subgoal  (eq. 7)."""
    state_now, subgoal = jnp.split(batch.subgoal_observation, 2, axis=-1)
    next_state, _ = jnp.split(batch.next_observation, 2, axis=-1)
    after = jnp.concatenate([next_state, subgoal], axis=-1)
    gain, weight = advantage(
        state, after, batch.subgoal_observation, state.hparams.inverse_temperature
    )
    vector = represent(state, batch.subgoal_observation)
    policy = state.actor.apply_fn(params, jnp.concatenate([state_now, vector], axis=-1))
    log_prob = policy.log_prob(batch.action)
    chex.assert_equal_shape((weight, log_prob))
    loss = -jnp.mean(weight * log_prob)
    return loss, {'actor_loss': loss, 'advantage': jnp.mean(gain)}


def high_actor_loss(params, state: HIQLState, batch: SubgoalTransition) -> tuple[jax.Array, dict]:
    """Regression of the high policy onto later states that are nearer to the goal  (eq. 6)."""
    state_now, _ = jnp.split(batch.actor_observation, 2, axis=-1)
    waypoint, _ = jnp.split(batch.waypoint_observation, 2, axis=-1)
    gain, weight = advantage(
        state, batch.waypoint_observation, batch.actor_observation,
        state.hparams.high_inverse_temperature,
    )  # fmt: skip
    vector = represent(state, jnp.concatenate([state_now, waypoint], axis=-1))
    log_prob = state.high_actor.apply_fn(params, batch.actor_observation).log_prob(vector)
    chex.assert_equal_shape((weight, log_prob))
    loss = -jnp.mean(weight * log_prob)
    return loss, {'high_actor_loss': loss, 'high_advantage': jnp.mean(gain)}


def advantage(
    state: HIQLState, after: jax.Array, before: jax.Array, inverse_temperature: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What is gained between two observations of one goal, and its clipped weight, (batch,) each."""
    v_after, v_before = (
        jnp.mean(state.value.apply_fn(state.value.params, observation), axis=0)
        for observation in (after, before)
    )
    gain = v_after - v_before
    return gain, jnp.minimum(jnp.exp(inverse_temperature * gain), state.hparams.max_advantage_weight)


def represent(state: HIQLState, observation: jax.Array) -> jax.Array:
    """phi of [state, goal], (batch, d)."""
    return state.value.apply_fn(state.value.params, observation, method='represent')


def update(state: HIQLState, batch: SubgoalTransition) -> HIQLState:
    """One gradient step of the values and of both policies; the targets' towards the old values."""
    hparams, metrics, stepped = state.hparams, {}, {}
    for name, loss in (
        ('value', value_loss), ('actor', actor_loss), ('high_actor', high_actor_loss),
    ):  # fmt: skip
        network = getattr(state, name)
        gradients, found = jax.grad(loss, has_aux=True)(network.params, state, batch)
        stepped[name] = descend(network, gradients, getattr(hparams, f'{name}_learning_rate'))
        metrics |= found
    return state.replace(
        step=state.step + 1,
        target_value_params=optax.incremental_update(
            state.value.params, state.target_value_params, hparams.target_rate
        ),
        metrics=metrics,
        **stepped,
    )


def act(state: HIQLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The low policy's mean, clipped to the box, towards the mean of the high one."""
    vector = of_one_length(state.high_actor.apply_fn(state.high_actor.params, observation).mode())
    state_now, _ = jnp.split(observation, 2, axis=-1)
    policy = state.actor.apply_fn(state.actor.params, jnp.concatenate([state_now, vector], axis=-1))
    return jnp.clip(policy.mode(), -1, 1), memory

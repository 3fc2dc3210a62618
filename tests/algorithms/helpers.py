"""What the tests of several algorithms use."""

import functools
import importlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from data.types import (
    GoalTransition,
    NextActionTransition,
    ReturnTransition,
    SegmentPair,
    Sequence,
    Spec,
    SubgoalTransition,
    Transition,
)  # fmt: skip

CONFIGS = {name: importlib.import_module(f'launch.configs.{name}') for name in ALGORITHMS}
CONTINUOUS = Spec(observation_size=4, action_size=2, discrete=False)
DISCRETE = Spec(observation_size=4, action_size=3, discrete=True)


def random_batch(spec: Spec, size: int = 16, seed: int = 0) -> Transition:
    """A batch of noise with some terminations."""
    rng = np.random.default_rng(seed)
    if spec.discrete:
        action = rng.integers(spec.action_size, size=size).astype(np.int32)
    else:
        action = rng.uniform(-1, 1, (size, spec.action_size)).astype(np.float32)
    return jax.tree.map(
        jnp.asarray,
        Transition(
            observation=rng.standard_normal((size, spec.observation_size), np.float32),
            action=action,
            reward=rng.standard_normal(size, np.float32),
            discount=(rng.random(size) < 0.8).astype(np.float32),
            next_observation=rng.standard_normal((size, spec.observation_size), np.float32),
        ),
    )


def random_batch_with_next_actions(spec: Spec, size: int = 16, seed: int = 0):
    """A batch of noise in which terminations, and some rows besides, have no next action."""
    batch = random_batch(spec, size, seed)
    rng = np.random.default_rng(seed + 1)
    known = batch.discount * (rng.random(size) < 0.8)
    action = known[:, None] * rng.uniform(-1, 1, (size, spec.action_size)).astype(np.float32)
    return NextActionTransition(*batch, next_action=action, next_action_known=known)


def random_batch_with_returns(spec: Spec, size: int = 16, seed: int = 0) -> ReturnTransition:
    """A batch of noise of which some returns are not known."""
    rng = np.random.default_rng(seed + 1)
    returns = np.where(rng.random(size) < 0.8, rng.standard_normal(size), -np.inf)
    return ReturnTransition(*random_batch(spec, size, seed), return_to_go=jnp.float32(returns))


def random_batch_with_goals(spec: Spec, size: int = 16, seed: int = 0) -> GoalTransition:
    """A batch of noise with goals, some of them reached."""
    batch, rng = random_batch(spec, size, seed), np.random.default_rng(seed + 1)
    state, goal = jnp.split(batch.observation, 2, axis=-1)
    next_state, _ = jnp.split(batch.next_observation, 2, axis=-1)
    return GoalTransition(*batch, actor_observation=_towards(state, rng))._replace(
        reward=-batch.discount, next_observation=jnp.concatenate([next_state, goal], axis=-1)
    )


def random_batch_with_subgoals(spec: Spec, size: int = 16, seed: int = 0) -> SubgoalTransition:
    """The same with subgoals of noise."""
    batch, rng = random_batch_with_goals(spec, size, seed), np.random.default_rng(seed + 2)
    state, goal = jnp.split(batch.actor_observation, 2, axis=-1)
    waypoint = jnp.asarray(rng.standard_normal(state.shape, np.float32))
    return SubgoalTransition(
        *batch, _towards(state, rng), jnp.concatenate([waypoint, goal], axis=-1)
    )


def _towards(state: jax.Array, rng: np.random.Generator) -> jax.Array:
    return jnp.concatenate([state, rng.standard_normal(state.shape, np.float32)], axis=-1)


def random_windows(spec: Spec, size: int = 6, context: int = 5, seed: int = 0) -> Sequence:
    """Windows of noise; the first one has three steps of padding."""
    rng = np.random.default_rng(seed)
    if spec.discrete:
        action = rng.integers(spec.action_size, size=(size, context)).astype(np.int32)
    else:
        action = rng.uniform(-1, 1, (size, context, spec.action_size)).astype(np.float32)
    mask = np.ones((size, context), bool)
    mask[0, :3] = False
    first = rng.integers(0, 40, (size, 1)).astype(np.int32)
    return jax.tree.map(
        jnp.asarray,
        Sequence(
            observation=rng.standard_normal((size, context, spec.observation_size), np.float32),
            action=action,
            return_to_go=rng.normal(5, 3, (size, context)).astype(np.float32),
            timestep=first + np.arange(context, dtype=np.int32),
            mask=mask,
        ),
    )


def random_pairs(spec: Spec, size: int = 8, steps: int = 5, seed: int = 0) -> SegmentPair:
    """Pairs of noise with all labels; of the first pair, one segment is two steps shorter."""
    rng = np.random.default_rng(seed)
    shape = size, 2, steps
    if spec.discrete:
        action = rng.integers(spec.action_size, size=shape).astype(np.int32)
    else:
        action = rng.uniform(-1, 1, (*shape, spec.action_size)).astype(np.float32)
    mask = np.ones(shape, bool)
    mask[0, 1, 3:] = False
    return jax.tree.map(
        jnp.asarray,
        SegmentPair(
            observation=rng.standard_normal((*shape, spec.observation_size), np.float32),
            action=action,
            mask=mask,
            label=np.resize(np.float32([1, 0, 0.5, 0]), size),
        ),
    )


def make_state(algorithm, spec: Spec, seed: int = 0, network: dict | None = None, **hparams):
    """A learner with small networks and the config's hyperparameters but for those given."""
    config = CONFIGS[algorithm.__name__.split('.')[-1]].get_config()
    values = config.hparams.to_dict() | hparams
    if 'target_returns' in config and 'target_return' not in values:
        values['target_return'] = config.target_returns[0]
    small = {'hidden_sizes': (16, 16)} if 'hidden_sizes' in config.network else {}
    network = config.network.to_dict() | small | (network or {})
    hparams = algorithm.Hyperparameters(**{name: jnp.float32(v) for name, v in values.items()})
    return _init(algorithm, spec, tuple(network.items()))(jax.random.key(seed), hparams)


@functools.cache
def _init(algorithm, spec: Spec, network: tuple):
    return jax.jit(
        lambda key, hparams: algorithm.init(key, spec, hparams, ConfigDict(dict(network)))
    )


# For what runs for longer than it takes to compile; tests/conftest.py has the rule.
optimised = functools.partial(jax.jit, compiler_options={'xla_backend_optimization_level': 3})


def changed(before, after) -> bool:
    """Whether any leaf differs."""
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    return any(not np.array_equal(a, b) for a, b in pairs)


# Small where the config is large.
NETWORK = {
    'awac': {'actor_hidden_sizes': (16,)},
    'bcq': {'vae_hidden_sizes': (16,), 'num_backup_actions': 3, 'num_act_actions': 5},
    'cal_ql': {'actor_hidden_sizes': (16,), 'num_sampled_actions': 3, 'lagrange': True},
    'cpl': {'dropout_rate': 0.0},
    'cql': {'num_sampled_actions': 3, 'lagrange': True},
    'crl': {'vector_size': 8},
    'edac': {'num_critics': 3},
    'decision_transformer': {
        'context': 5, 'embedding_size': 16, 'num_layers': 1, 'dropout_rate': 0.0, 'max_timestep': 50,
    },
    'fql': {'flow_steps': 2},
    'hiql': {'vector_size': 4},
    'ifql': {'flow_steps': 2, 'num_act_actions': 4},
    'preference_reward': {'num_rewards': 2},
    'xql': {'num_random_actions': 2, 'action_noise': 0.1},
}  # fmt: skip
# So that the first update does all that an update can do.
EAGER = {
    'policy_delay': 1.0, 'target_period': 1.0, 'bc_warm_start_updates': 0.0, 'warmup_updates': 1.0,
    'bc_updates': 0.0,
}  # fmt: skip


class Case(NamedTuple):
    """An algorithm with one kind of actions."""

    name: str
    kind: str

    @property
    def algorithm(self):
        return ALGORITHMS[self.name]

    @property
    def spec(self):
        return DISCRETE if self.kind == 'discrete' else CONTINUOUS

    def batch(self, seed: int = 0, size: int = 16):
        made_by = {
            Transition: random_batch,
            ReturnTransition: random_batch_with_returns,
            NextActionTransition: random_batch_with_next_actions,
            GoalTransition: random_batch_with_goals,
            SubgoalTransition: random_batch_with_subgoals,
            Sequence: random_windows,
            SegmentPair: random_pairs,
        }
        return made_by[getattr(self.algorithm, 'BATCH', Transition)](self.spec, size, seed=seed)

    def state(self, seed: int = 0, **hparams):
        """A learner whose targets are not its networks; of `hparams`, what the algorithm has."""
        known = {
            name: value for name, value in (EAGER | hparams).items() if name in hyperparameters(self)
        }
        # One hidden layer compiles in three quarters of the time of two.
        shallow = {'hidden_sizes': (16,)} if 'hidden_sizes' in self.algorithm.NETWORK else {}
        network = shallow | NETWORK.get(self.name, {})
        state = make_state(self.algorithm, self.spec, seed, network, **known)
        other = make_state(self.algorithm, self.spec, seed + 100, network)
        return state.replace(**{
            field: getattr(other, network).params for field, network in targets(state).items()
        })


CASES = [Case(name, kind) for name, module in ALGORITHMS.items() for kind in module.ACTIONS]


def hyperparameters(case) -> list[str]:
    return list(case.algorithm.Hyperparameters.__dataclass_fields__)


def networks(state) -> dict:
    """Parameters by network."""
    return {
        name: getattr(state, name).params
        for name in state.__dataclass_fields__
        if isinstance(getattr(state, name), TrainState)
    }


def targets(state) -> dict[str, str]:
    """Networks by the fields that hold their targets' parameters."""
    return {
        field: field.removeprefix('target_').removesuffix('_params')
        for field in state.__dataclass_fields__
        if field.startswith('target_')
    }


def cases_with(condition):
    """Runs a test over the cases of which a condition holds."""
    return pytest.mark.parametrize('case', [case for case in CASES if condition(case)], ids='-'.join)

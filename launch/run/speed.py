"""How fast members learn, and how fast the same devices multiply matrices."""

import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.spaces import Box, Discrete
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from data import actions, batches, problem, teachers
from data.batches import Form
from data.loading import Dataset
from data.problem import Problem
from data.types import SegmentPair, Spec, Transition
from launch.run import learners
from launch.run.members import Member, with_target

_DATASET_STEPS, _EPISODE_STEPS = 100_000, 1_000
# Of those who learn from preferences.
_PAIRS, _SEGMENT_STEPS = 1_000, 50
# Calls that compile and warm up.
WARM_UP = 2


def measure(
    algorithm_name: str,
    spec: Spec,
    num_members: int,
    config: ConfigDict,
    updates: int,
    chunks: int,
    flops: float,
    matmul: float,
) -> dict[str, str | int | float]:
    """One row: rates in 1/s and FLOP/s, work in FLOP.

    Args:
        algorithm_name, spec, num_members, config: what is trained.
        updates, chunks: how long.
        flops: of one update of one member.
        matmul: FLOP/s of matrix products alone.
    """
    algorithm = ALGORITHMS[algorithm_name]
    members = [Member({}, seed) for seed in range(num_members)]
    learner = learners.build(
        algorithm, spec, problem.identity(spec.observation_size), members, hparams_of(config),
        config.network, config.batch_size, goals=learners.goals_of(config),
    )  # fmt: skip
    data = learners.place(random_data(learner.form, spec, _DATASET_STEPS), learner.mesh)

    def chunk(states):
        return learner.train_on_device(states, data, updates)

    rate = num_members * updates / time_chunks(chunk, learner.init(), chunks)
    return {
        'algorithm': algorithm_name,
        'observation_size': spec.observation_size,
        'action_size': spec.action_size,
        'discrete': spec.discrete,
        'batch_size': config.batch_size,
        'hidden_sizes': list(config.network.get('hidden_sizes', ())),
        'members': num_members,
        'device': device_name(),
        'devices': learner.mesh.size,
        'jax': jax.__version__,
        'updates_per_second': rate,
        'updates_per_second_per_member': rate / num_members,
        'flop_per_update': flops,
        'flops_per_second': rate * flops,
        'matmul_flops_per_second': matmul,
        'ratio_to_matmul': rate * flops / matmul,
    }


def hparams_of(config: ConfigDict) -> dict[str, float]:
    """The hyperparameters' values, a target return included where there is one."""
    return with_target(config.hparams.to_dict(), tuple(config.get('target_returns', ())))


def random_data(form: Form, spec: Spec, num_steps: int) -> Any:
    """A dataset of noise, as data.batches.sampled_from has it to gather batches of a form from.

    The values do not change the work, nor does where episodes end: here after 1,000 steps.
    """
    if form.goals:
        spec = spec._replace(observation_size=spec.observation_size // 2)
    acted = Discrete(spec.action_size) if spec.discrete else Box(-1, 1, (spec.action_size,))
    task = Problem(
        'noise', spec, (), actions.from_space(acted, 'noise'), None, None, {},
        problem.identity(spec.observation_size),
    )  # fmt: skip
    if form.kind is SegmentPair:
        num_steps = max(num_steps, _EPISODE_STEPS)
    offsets = np.append(np.arange(0, num_steps, _EPISODE_STEPS), num_steps)
    steps, cut = random_transitions(spec, num_steps), np.zeros(num_steps, bool)
    dataset = Dataset(task, steps, cut, offsets, {})
    if form.kind is SegmentPair:
        pairs = teachers.drawn(dataset, _PAIRS, _SEGMENT_STEPS, np.random.default_rng(0))
        dataset = dataset._replace(preferences=pairs)
    return batches.sampled_from(dataset, form, 0.99)


def random_transitions(spec: Spec, num_steps: int) -> Transition:
    """Steps of noise."""
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((num_steps + 1, spec.observation_size), np.float32)
    if spec.discrete:
        actions = rng.integers(spec.action_size, size=num_steps, dtype=np.int32)
    else:
        actions = rng.uniform(-1, 1, (num_steps, spec.action_size)).astype(np.float32)
    return Transition(
        observation=observations[:-1],
        action=actions,
        reward=rng.standard_normal(num_steps, np.float32),
        discount=np.ones(num_steps, np.float32),
        next_observation=observations[1:],
    )


def time_chunks(chunk: Callable, carry, chunks: int) -> float:
    """Median seconds of carry = chunk(carry), after calls that compile and warm up."""
    seconds = []
    for _ in range(chunks + WARM_UP):
        began = time.perf_counter()
        carry = jax.block_until_ready(chunk(carry))
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM_UP:])


def update_flops(algorithm: ModuleType, config: ConfigDict, spec: Spec, batch_size: int) -> float:
    """FLOP of one update of one member, as XLA counts the compiled program."""
    hparams = algorithm.Hyperparameters(
        **{name: jnp.float32(value) for name, value in hparams_of(config).items()}
    )
    state = jax.eval_shape(
        lambda key: algorithm.init(key, spec, hparams, config.network), jax.random.key(0)
    )
    form = learners.form_of(algorithm, config.network, goals=learners.goals_of(config))
    same = problem.identity(spec.observation_size)
    drawn = batches.drawer(form)(jax.random.key(0), batch_size, batch_size)
    gathered = batches.gatherer(form)(
        random_data(form, spec, batch_size), jax.tree.map(np.asarray, drawn)
    )
    batch = jax.eval_shape(
        lambda: batches.finished(jax.tree.map(jnp.asarray, gathered), form, same, 1.0)
    )
    return float(jax.jit(algorithm.update).lower(state, batch).compile().cost_analysis()['flops'])


def matmul_shape(config: ConfigDict) -> tuple[int, int]:
    """Rows and width of the products that an algorithm's networks are mostly made of."""
    network = config.network
    if 'context' in network:
        # Three tokens a step.
        return 3 * network.context * config.batch_size, network.embedding_size
    steps = 1
    if learners.form_of(ALGORITHMS[config.algorithm], network).kind is SegmentPair:
        steps = 2 * _SEGMENT_STEPS
    return steps * config.batch_size, max(network.hidden_sizes)


def matmul_rate(num_members: int, batch_size: int, width: int, chunks: int) -> float:
    """FLOP/s of (batch, width) x (width, width) products, one chain per member."""
    mesh = learners.make_mesh(num_members)
    num_members += -num_members % mesh.size
    members = PartitionSpec('member')
    products = max(1000 // num_members, 10)

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(members, members), out_specs=members)
    def chain(x, w):
        def product(x, _):
            return jnp.einsum('mbi,mij->mbj', x, w), None

        return jax.lax.scan(product, x, None, length=products)[0]

    # An orthogonal-like scale keeps the chain's values finite.
    w = jax.random.normal(jax.random.key(0), (num_members, width, width)) / width**0.5
    x = jnp.ones((num_members, batch_size, width))
    seconds = time_chunks(lambda x: chain(x, w), x, chunks)
    return 2.0 * num_members * products * batch_size * width * width / seconds


def device_name() -> str:
    """The accelerator's name, or the processor's."""
    device = jax.local_devices()[0]
    if device.platform != 'cpu':
        return device.device_kind
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()

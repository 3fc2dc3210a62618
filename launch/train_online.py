"""Trains in an environment: from nothing, or on from what an offline run learned.

    python -m launch.train_online --config=launch/configs/online.py:sac --config.env_id=Hopper-v5
    python -m launch.train_online --config=launch/configs/online.py:iql --from_run=runs/iql/...

The algorithms are those of offline training, the replay buffer's arrays and sampler those of the
datasets: where the data comes from is the only difference. Each step in the environment, after the
first random ones, is followed by one update. --from_run keeps the run's dataset in the batches
(config.offline_share of each).

At every evaluation the running episodes are cut, as by a time limit, and new ones begin from seeds of
that step: so a checkpoint needs no state of the simulator, and resuming is exact.
"""

import time
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from absl.flags import FLAGS
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict
from tqdm import tqdm

from algorithms import ALGORITHMS
from data import policies, replay, sampling
from data.replay import Replay
from data.types import Transition
from launch import cli, learners, members, problem, rollout, run_directory, schedule
from launch.actors import Actors
from launch.cli import UserError
from launch.configs import online
from launch.members import Member
from launch.problem import Problem
from launch.run_directory import Checkpoints, MetricsLog

# What an offline run and its continuation share.
_SHARED_KEYS = ('network', 'seed', 'num_seeds')


def main(config: ConfigDict) -> None:
    """Trains and prints the table."""
    cli.use_all_cores()
    if FLAGS.from_run:
        if 'from_run' not in config:
            raise UserError('--from_run needs --config=launch/configs/online.py:ALGORITHM.')
        config.from_run = FLAGS.from_run
    train_online(config)


def train_online(config: ConfigDict) -> Path:
    """Runs a config from wherever it stands to its summary; returns the run directory.

    Raises:
        UserError, DatasetError: the config, environment or run directory cannot be used.
    """
    if 'from_run' not in config:
        raise UserError('this config has no environment to act in: it is for launch.train.')
    source = Path(config.from_run).resolve() if config.from_run else None
    if source:
        _continue_members(config, source)
        task = problem.load(source / 'problem.json')
        config.env_id = task.env_spec.id
    else:
        task = problem.from_environment(config.env_id)
    validate(config)
    run = members.members(config)
    path = Path(config.run_dir or run_directory.default_path(config, f'online-{config.env_id}'))
    run_directory.prepare(path, config)
    problem.save(task, path / 'problem.json')
    checkpoints = Checkpoints(path)
    step = checkpoints.latest() or 0
    if step < config.num_updates:
        _learn(path, config, task, run, source, checkpoints, step)
    schedule.finish(path, config, task, run)
    return path


def validate(config: ConfigDict) -> None:
    """Raises UserError for values that no run can have."""
    schedule.validate(config)
    able = [name for name, module in ALGORITHMS.items() if hasattr(module, 'explore')]
    if config.algorithm not in able:
        raise UserError(
            f'algorithm {config.algorithm} does not say how to explore; valid: {", ".join(able)}.'
        )
    if not 0 <= config.offline_share < 1:
        raise UserError(f'config.offline_share is {config.offline_share}; valid: from 0 to below 1.')
    if config.replay_capacity < 1:
        raise UserError(f'config.replay_capacity is {config.replay_capacity}; at least 1 is needed.')
    if not 0 <= config.random_steps < config.num_updates:
        raise UserError(
            f'config.random_steps is {config.random_steps}; valid: from 0 to below '
            f'config.num_updates, {config.num_updates}.'
        )


def _continue_members(config: ConfigDict, source: Path) -> None:
    """Takes over the members and hyperparameters of an offline run, if it can be continued."""
    offline = run_directory.load_config(source)
    if 'dataset' not in offline or not (source / 'summary.json').exists():
        raise UserError(f'--from_run={source} is no finished offline run.')
    if offline.algorithm != config.algorithm:
        raise UserError(
            f'--from_run={source} is a run of {offline.algorithm}; give '
            f'--config=launch/configs/online.py:{offline.algorithm}.'
        )
    if offline.delayed_rewards:
        raise UserError(f'--from_run={source}: with delayed rewards it cannot go on online.')
    if any(offline.sweep.values()) or any(config.sweep.values()):
        raise UserError(f'--from_run={source}: with a sweep, offline or online, it cannot go on.')
    default = online.get_config(config.algorithm)
    given, usual, theirs = map(run_directory.identity, (config, default, offline))
    for key in _SHARED_KEYS:
        if given[key] not in (usual[key], theirs[key]):
            raise UserError(
                f'config.{key} is {given[key]}, but that of --from_run={source} is {theirs[key]}.'
            )
        config[key] = offline[key]
    for name in config.hparams:
        unchanged = config.hparams[name] == default.hparams[name]
        if unchanged and name not in online.HPARAMS.get(config.algorithm, {}):
            config.hparams[name] = offline.hparams[name]
    config.random_steps = 0


def _learn(
    path: Path,
    config: ConfigDict,
    task: Problem,
    run: list[Member],
    source: Path | None,
    checkpoints: Checkpoints,
    step: int,
) -> None:
    """Acts and trains from the last checkpoint, after `step` steps, to the last step."""
    learner = learners.build(
        ALGORITHMS[config.algorithm], config, task.spec, run, task.preprocessing
    )
    judge = schedule.Judge(config, task, run, learner)
    states = learner.init()
    offline = _offline_data(source, len(run)) if source and config.offline_share else None
    memory = build_memory(config, task, len(run), offline)
    buffer = memory.empty()
    diverged = np.zeros(len(run), bool)
    if step:
        kept = checkpoints.restore(states=states, replay=buffer, diverged=diverged)
        states, buffer, diverged = kept['states'], kept['replay'], kept['diverged']
        print(f'Resuming {path} after {step:,} of {config.num_updates:,} steps.')
    elif source:
        hparams = states.hparams
        states = Checkpoints(source).restore(states=states)['states'].replace(hparams=hparams)
    log = MetricsLog(path, config, step)
    actors = Actors(task, learner, len(run), config.random_steps)
    most_episodes = max(config.eval_episodes, config.final_eval_episodes)
    progress = tqdm(
        desc=f'{config.algorithm} x{len(run)}', total=config.num_updates, initial=step,
        unit='step', dynamic_ncols=True,
    )  # fmt: skip
    with rollout.Environments(task, len(run), most_episodes) as envs:
        while step < config.num_updates:
            _keep_actors(path, step, states, run)
            if step % config.eval_interval == 0:
                actors.restart(step)
            began = time.perf_counter()
            for _ in range(config.log_interval):
                transition = actors.step(states, step)
                buffer = memory.append(buffer, transition)
                if step >= config.random_steps:
                    batches = memory.sample(buffer, learner.seeds, states.step)
                    states = learner.train_on_batches(states, batches)
                step += 1
            jax.block_until_ready(states)
            progress.update(config.log_interval)
            rate = config.log_interval / (time.perf_counter() - began)
            diverged = schedule.watch(diverged, states, run, step, progress)
            log.write(schedule.training_rows(
                states, run, step,
                steps_per_second=np.full(len(run), rate), online_return=actors.mean_returns(),
            ))  # fmt: skip
            if step % config.eval_interval == 0 or step == config.num_updates:
                final = step == config.num_updates
                count = config.final_eval_episodes if final else config.eval_episodes
                score = judge.evaluate(log, envs, states, ~diverged, step, count)
                if final:
                    _keep_actors(path, step, states, run)
                checkpoints.save(step, states=states, replay=buffer, diverged=diverged)
                progress.set_postfix(score=f'{score:.1f}')
    actors.close()
    progress.close()
    log.close()


def _keep_actors(path: Path, step: int, states: Any, run: list[Member]) -> None:
    """The members' policies through the training, to collect data with."""
    params = jax.device_get(states.actor.params)
    each = {str(i): jax.tree.map(itemgetter(i), params) for i, _ in enumerate(run)}
    policies.write(path / 'actors' / f'{step:09d}.npz', each)


def _offline_data(source: Path, num_members: int) -> Transition:
    dataset = problem.load_dataset(run_directory.load_config(source))
    return learners.place(dataset.transitions, num_members)


class Memory(NamedTuple):
    """Compiled functions on the members' replay buffers, which have a leading axis of members.

    Attributes:
        empty: () -> replay.
        append: (replay, transitions (members, ...)) -> replay.
        sample: (replay, seeds, steps) -> batches (members, 1, batch, ...), some of each from the
            offline dataset if there is one.
    """

    empty: Callable[[], Replay]
    append: Callable[[Replay, Transition], Replay]
    sample: Callable[[Replay, np.ndarray, jax.Array], Transition]


def build_memory(
    config: ConfigDict, task: Problem, num_members: int, offline: Transition | None
) -> Memory:
    """Compiles nothing yet: each function is compiled when first called."""
    mesh = learners.make_mesh(num_members)
    size = len(learners.fill([None] * num_members, mesh))
    own = PartitionSpec('member')
    shard = partial(jax.shard_map, mesh=mesh, out_specs=own, check_vma=False)
    from_offline = 0 if offline is None else round(config.offline_share * config.batch_size)

    def sample_one(buffer, seed, step, offline):
        own_key, offline_key = jax.random.split(sampling.batch_key(seed, step))
        batch = replay.sample(buffer, own_key, config.batch_size - from_offline)
        if from_offline:
            others = sampling.sample(offline, offline_key, from_offline)
            batch = jax.tree.map(lambda *rows: jnp.concatenate(rows), batch, others)
        return jax.tree.map(lambda rows: rows[None], batch)

    def empty(numbers):
        return jax.vmap(lambda _: replay.empty(task.spec, config.replay_capacity))(numbers)

    sample_all = jax.jit(
        shard(
            jax.vmap(sample_one, (0, 0, 0, None)), in_specs=(own, own, own, PartitionSpec())
        )
    )
    return Memory(
        empty=partial(jax.jit(shard(empty, in_specs=own)), jnp.arange(size)),
        append=jax.jit(shard(jax.vmap(replay.append), in_specs=own), donate_argnums=0),
        sample=lambda buffer, seeds, steps: sample_all(buffer, seeds, steps, offline),
    )


if __name__ == '__main__':
    flags.DEFINE_string('from_run', None, 'directory of an offline run to continue')
    cli.run_with_config(main, 'launch/configs/online.py:sac')

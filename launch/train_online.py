"""Trains in an environment: from nothing, or on from what an offline run learned.

    python -m launch.train_online --config=launch/configs/online.py:sac --config.env_id=Hopper-v5
    python -m launch.train_online --config=launch/configs/online.py:iql --from_run=runs/iql/...
    python -m launch.train_online --config=launch/configs/online.py:rlpd \
        --config.dataset=local/hopper/medium-v0

The algorithms are those of offline training, the replay buffer's arrays and sampler those of the
datasets: where the data comes from is the only difference. Each step in the environment, after the
first random ones, is followed by config.updates_per_step updates. The dataset of the run that
--from_run names, or else config.dataset, is config.offline_share of each batch.

At every evaluation the running episodes are cut, as by a time limit, and new ones begin from seeds of
that step: so a checkpoint needs no state of the simulator, and resuming is exact.
"""

import sys
from contextlib import closing
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
from absl import flags
from absl.flags import FLAGS
from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from data import batches, decisions, disk, environments, judges, policies, problem
from data.loading import Dataset
from data.problem import Problem
from launch import cli
from launch.cli import UserError
from launch.configs import online
from launch.report import finished
from launch.run import directory, learners, loop, metrics, owner, replays, rollouts, validation
from launch.run.actors import Actors
from launch.run.checkpoints import Checkpoints
from launch.run.learners import Learners
from launch.run.loop import Advance
from launch.run.members import Member, make_members
from launch.run.replays import Replays
from launch.train import load_data

# What an offline run and its continuation share.
_SHARED_KEYS = ('network', 'seed', 'num_seeds')


def main(config: ConfigDict) -> None:
    """Trains and prints the table."""
    cli.use_all_cores()
    train_online(config)


def _merge(config: ConfigDict) -> None:
    if FLAGS.from_run:
        if 'from_run' not in config:
            raise UserError('--from_run needs --config=launch/configs/online.py:ALGORITHM.')
        config.from_run = FLAGS.from_run


def train_online(config: ConfigDict) -> Path:
    """Runs a config from wherever it stands to its summary; returns the run directory.

    Raises:
        UserError, DatasetError: the config, environment or run directory cannot be used.
    """
    if 'from_run' not in config:
        kind = 'launch.ope' if 'behaviour' in config else 'launch.train'
        raise UserError(f'this config has no environment to act in: it is for {kind}.')
    validation.run(config, online.RANGES)
    source = Path(config.from_run).resolve() if config.from_run else None
    if source:
        _continue_members(config, source)
    validate(config)
    config = directory.extended(config)
    members = make_members(config.hparams.to_dict(), config.sweep, config.seed, config.num_seeds)
    title = directory.title(config)
    place = f'online-{config.env_id or config.dataset}'
    path = Path(config.run_dir or directory.default_path(config, place))
    there = directory.holds(path, config, config.resume)
    there = there and not directory.is_extended_by(path, config)
    if not (there and finished.is_finished(path)):
        disk.check_directory(path)
        with owner.alone(path), cli.interruptible(partial(loop.standing, path, config.num_updates)):
            _train(path, config, title, members, source)
    finished.show(path, title)
    return path


def _train(
    path: Path, config: ConfigDict, title: str, members: list[Member], source: Path | None
) -> None:
    task, dataset = _faced(config, source)
    validation.actions(config.algorithm, task, config.chunk)
    limit = environments.time_limit(task.env_spec)
    if config.chunk > min(limit, config.replay_capacity):
        raise UserError(
            f'config.chunk is {config.chunk}; valid: at most the {limit} steps of an episode and the '
            f'{config.replay_capacity} of config.replay_capacity.'
        )
    for doubt in decisions.check(dataset, config.chunk) if dataset else []:
        print(f'WARNING: {doubt}.', file=sys.stderr)
    directory.begin(path, config, task, dataset)
    checkpoints = Checkpoints(path, len(members))
    metrics.rewind(path, checkpoints)
    learner = learners.build(
        ALGORITHMS[config.algorithm], task.spec, task.preprocessing, members,
        config.hparams.to_dict(), config.network, config.batch_size, config.n_step, config.chunk,
    )  # fmt: skip
    states, offline = learner.init(), None
    if source and checkpoints.latest() is None:
        _, before = Checkpoints(source, len(members)).restore_latest(states=states)
        states = before['states'].replace(hparams=states.hparams)
    if dataset:
        data = batches.sampled_from(dataset, learner.form, float(learner.gammas[0]))
        offline = learners.place(data, learner.mesh)
    buffers = replays.build(
        task.spec, learner, config.replay_capacity, config.batch_size, offline,
        config.offline_share, config.updates_per_step,
    )  # fmt: skip
    actors = Actors(task, learner, config.random_steps)
    advance = _acting(
        path, learner, actors, buffers, config.random_steps, config.eval_interval,
        config.num_updates,
    )  # fmt: skip
    wandb = directory.identity(config) if config.wandb else None
    with (
        closing(actors),
        rollouts.judging(
            learner, task, config.eval_episodes, config.final_eval_episodes
        ) as judge,
        loop.recording(path, checkpoints, judge, config.eval_interval, wandb) as record,
    ):
        loop.train(
            {'states': states, 'replay': buffers.empty()}, advance, members, config.num_updates,
            config.log_interval, config.algorithm, record, 'step',
        )  # fmt: skip
    finished.finish(path, title, task, config.num_updates)


def _faced(config: ConfigDict, source: Path | None) -> tuple[Problem, Dataset | None]:
    """What the policies face, and the dataset that is a part of each batch, if there is one."""
    dataset = None
    if source:
        task = problem.load(source / 'problem.json')
        task = problem.judged_in(task, max_episode_steps=config.max_episode_steps)
        judges.check(task)
        if config.offline_share:
            dataset = load_data(directory.load_config(source)).learned_from
            directory.check_data(source, dataset)
    elif config.dataset:
        acted_in = {'evaluate_in': 'environment', 'delayed_rewards': False}
        dataset = load_data(ConfigDict({**config} | acted_in)).learned_from
        for doubt in judges.check(dataset.problem, dataset):
            print(f'WARNING: {doubt}.', file=sys.stderr)
        task = judges.limited(dataset.problem, dataset)
    else:
        task = problem.from_environment(config.env_id, config.max_episode_steps)
        judges.check(task)
    if dataset and dataset.duration is not None:
        raise UserError(
            f'dataset {task.name}: its steps last for different times, those of an environment do not.'
        )
    return task, dataset if config.offline_share else None


def _acting(
    path: Path,
    learner: Learners,
    actors: Actors,
    buffers: Replays,
    random_steps: int,
    eval_interval: int,
    last_step: int,
) -> Advance:
    """Chunks of steps in the environment, updates after each but the random ones.

    The members' policies through the training are kept in `path`, to collect data with, if they are one
    network.
    """

    def keep_actors(states: Any, step: int) -> None:
        if not hasattr(states, 'actor'):
            return
        params = jax.device_get(states.actor.params)
        each = {str(i): jax.tree.map(itemgetter(i), params) for i, _ in enumerate(learner.members)}
        policies.write(path / 'actors' / f'{step:09d}.npz', each)

    def advance(carry, step, num_steps, alive, tick):
        states, buffer = carry['states'], carry['replay']
        keep_actors(states, step)
        # A run that was extended may go on between two evaluations.
        if step % eval_interval == 0 or not actors.running:
            actors.restart(step)
        for now in range(step, step + num_steps):
            buffer = buffers.append(buffer, actors.step(states, now, alive))
            if now >= random_steps:
                learning = alive & (buffers.decisions(buffer) > 0)
                given = buffers.sample(buffer, learner.seeds, states.step)
                states = learner.train_on_batches(states, given, 0, given.reward.shape[1], learning)
            tick(1)
        end = step + num_steps
        if (end % eval_interval == 0 or end == last_step) and (earned := actors.cut()):
            buffer = buffers.fill(buffer, *earned)
        if end == last_step:
            keep_actors(states, last_step)
        measures = {'online_return': actors.mean_returns()}
        return {'states': states, 'replay': buffer}, measures

    return advance


def validate(config: ConfigDict) -> None:
    """Raises UserError for values that do not go together."""
    able = [name for name, module in ALGORITHMS.items() if hasattr(module, 'explore')]
    if config.algorithm not in able:
        raise UserError(
            f'algorithm {config.algorithm} does not say how to explore; valid: {", ".join(able)}.'
        )
    if config.random_steps >= config.num_updates:
        raise UserError(
            f'config.random_steps is {config.random_steps}; valid: from 0 to below '
            f'config.num_updates, {config.num_updates}.'
        )
    validation.batches(config)
    if not (config.from_run or config.dataset or config.env_id):
        raise UserError(
            "config.env_id is '': --config.env_id=ID says which environment to act in, or that of "
            '--config.dataset=ID or --from_run=RUN is.'
        )


def _continue_members(config: ConfigDict, source: Path) -> None:
    """Takes over the members and hyperparameters of an offline run, if it can be continued."""
    offline = directory.load_config(source)
    if 'from_run' in offline or not (source / 'summary.json').exists():
        raise UserError(f'--from_run={source} is no finished offline run.')
    if offline.algorithm != config.algorithm:
        raise UserError(
            f'--from_run={source} is a run of {offline.algorithm}; give '
            f'--config=launch/configs/online.py:{offline.algorithm}.'
        )
    if offline.delayed_rewards:
        raise UserError(f'--from_run={source}: with delayed rewards it cannot go on online.')
    if 'goals' in offline and offline.goals.future:
        raise UserError(
            f'--from_run={source} learned from relabelled goals, which it cannot go on with online.'
        )
    if any(offline.sweep.values()) or any(config.sweep.values()):
        raise UserError(f'--from_run={source}: with a sweep, offline or online, it cannot go on.')
    default = online.get_config(config.algorithm)
    for key in online.DATA_KEYS:
        if config[key] != default[key]:
            raise UserError(
                f'config.{key} is {config[key]!r}, but the data of --from_run={source} stay as they are '
                f'there; only {default[key]!r} is valid.'
            )
    given, usual, theirs = map(directory.identity, (config, default, offline))
    for key in _SHARED_KEYS:
        if given[key] not in (usual[key], theirs[key]):
            raise UserError(
                f'config.{key} is {given[key]}, but that of --from_run={source} is {theirs[key]}.'
            )
        config[key] = offline[key]
    for key in ('n_step', 'chunk'):
        there = offline.get(key, 1)
        if key == 'chunk' and config.chunk not in (1, there):
            raise UserError(
                f'config.chunk is {config.chunk}, but that of --from_run={source} is {there}.'
            )
        config[key] = there if config[key] == 1 else config[key]
    for name in config.hparams:
        unchanged = config.hparams[name] == default.hparams[name]
        if unchanged and name not in online.HPARAMS.get(config.algorithm, {}):
            config.hparams[name] = offline.hparams[name]
    config.random_steps = 0
    task = problem.load(source / 'problem.json')
    if task.env_spec is None:
        raise UserError(f'--from_run={source}: its dataset names no environment to act in.')
    config.env_id = task.env_spec.id


if __name__ == '__main__':
    flags.DEFINE_string('from_run', None, 'directory of an offline run to continue')
    cli.start_with_config(main, 'online.py:sac', merge=_merge)

"""Trains all members of a config on a dataset, and judges them.

    python -m launch.train --config=launch/configs/iql.py:sepsis
    python -m launch.train --config=launch/configs/iql.py:log --config.dataset=clinic/visits-v0

They are judged in the dataset's environment, or, where there is none, from episodes of the log that
they do not learn from. Several processes, here or on many machines, may train them (run/processes.py).
"""

import json
import sys
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from data import batches, decisions, disk, inspection, judges, preferences, problem, transforms
from data.loading import Dataset
from data.problem import Problem
from data.recipes import storage
from launch import cli, ope
from launch.cli import UserError
from launch.configs import base
from launch.estimate import behaviour, held_out, judging, pairs, support
from launch.estimate.behaviour import Model
from launch.estimate.estimators import ESTIMATORS
from launch.estimate.judging import Method
from launch.report import estimates, finished
from launch.run import (
    directory,
    documents,
    feeds,
    learners,
    logs,
    loop,
    metrics,
    owner,
    policies,
    processes,
    ranges,
    rollouts,
    sharing,
    spread,
    validation,
)  # fmt: skip
from launch.run.checkpoints import Checkpoints
from launch.run.learners import Learners
from launch.run.loop import Judge
from launch.run.members import Member, make_members, with_target


class Data(NamedTuple):
    """What a run has of its dataset.

    Attributes:
        learned_from: the steps that batches are of.
        not_held_out: all steps that they could be of.
        held_out: what policies, or rewards, are judged from; None if that is an environment.
        log: what the dataset itself earned (estimates.of_log); None if that is on another scale than
            what policies earn.
    """

    learned_from: Dataset
    not_held_out: Dataset
    held_out: Dataset | None
    log: dict[str, Any] | None


def main(config: ConfigDict) -> None:
    """Trains and prints the table."""
    cli.use_all_cores()
    with processes.joined():
        train(config)


def train(config: ConfigDict) -> Path:
    """Runs a config from wherever it stands to its summary; returns the run directory.

    Raises:
        UserError, DatasetError: the config, dataset, environment or run directory cannot be used.
    """
    validate(config)
    config = logs.measured(directory.extended(config))
    processes.agree({'config': json.loads(config.to_json_best_effort())})
    members = make_members(config.hparams.to_dict(), config.sweep, config.seed, config.num_seeds)
    path = Path(config.run_dir or directory.default_path(config, config.dataset))
    title = directory.title(config)
    if processes.by_first(lambda: _is_finished(path, config)):
        processes.part()
    else:
        processes.by_first(lambda: disk.check_directory(path))
        standing = partial(loop.standing, path, config.num_updates)
        with processes.in_first(partial(owner.alone, path)), cli.interruptible(standing):
            _train(path, config, title, members)
    finished.show(path, title)
    return path


def _is_finished(path: Path, config: ConfigDict) -> bool:
    there = directory.holds(path, config, config.resume)
    if not there or directory.is_extended_by(path, config) or not finished.is_finished(path):
        return False
    # Where its data are, they may have changed, and it be meant to learn from them as they are now.
    if directory.knows_data(path) and storage.is_stored(config.dataset):
        directory.check_data(path, logs.stored(config))
    return True


def _train(path: Path, config: ConfigDict, title: str, members: list[Member]) -> None:
    mesh = spread.mesh(len(members))
    algorithm, hparams = ALGORITHMS[config.algorithm], config.hparams.to_dict()
    targets = tuple(config.get('target_returns', ()))
    data = load_data(config)
    dataset = data.learned_from
    processes.agree({f'dataset {config.dataset}': dataset.fingerprint})
    # The first holds it by now: who does not see that is on another file system.
    processes.agree({f'run directory {path}': owner.holder(path)})
    task = dataset.problem
    validation.actions(config.algorithm, task, config.chunk)
    for doubt in decisions.check(dataset, config.chunk):
        print(f'WARNING: {doubt}.', file=sys.stderr)
    if data.held_out is not None:
        decisions.check(data.held_out, config.chunk, ' that is held out')
    method = judging.method_of(config.ope)
    if data.held_out is None:
        for doubt in judges.check(task, data.not_held_out):
            print(f'WARNING: {doubt}.', file=sys.stderr)
        task = judges.limited(task, data.not_held_out)
        task = problem.towards_goals(task) if config.goals.future else task
    processes.by_first(lambda: directory.begin(path, config, task, dataset))
    judged_from = data.held_out if policies.are_learned(config.algorithm) else None
    model = None if judged_from is None else _behaviour_model(data, method)
    checkpoints = Checkpoints(path, len(members), config.keep_checkpoints)
    processes.by_first(lambda: metrics.rewind(path, checkpoints))
    build = partial(
        learners.build, algorithm, task.spec, task.preprocessing,
        hparams=with_target(hparams, targets), network=config.network, batch_size=config.batch_size,
        n_step=config.n_step, chunk=config.chunk, goals=learners.goals_of(config),
    )  # fmt: skip
    learner = build(members, mesh=mesh)
    own = sharing.own(learner, build)
    steps = batches.sampled_from(dataset, learner.form, float(learner.gammas[0]))
    advance = feeds.of(config.dataset_on, learner, steps, config.batch_size)
    episodes = config.eval_episodes, config.final_eval_episodes
    wandb = directory.identity(config) if config.wandb else None
    with (
        _judge(own, task, data, episodes, model, config.batch_size, targets) as judge_own,
        loop.recording(
            path, checkpoints, sharing.judge(judge_own, learner), config.eval_interval, wandb
        ) as record,
    ):
        loop.train(
            {'states': learner.init()}, advance, members, config.num_updates,
            config.log_interval, config.algorithm, record,
        )  # fmt: skip
    processes.part()
    if model is not None:
        _estimate(path, data, method, model, config)
    finished.finish(path, title, task, config.num_updates, data.log)


def _judge(
    learner: Learners, task: Problem, data: Data, episodes: tuple[int, int], model: Model | None,
    batch_size: int, targets: tuple[float, ...],
) -> AbstractContextManager[Judge]:  # fmt: skip
    if data.held_out is None:
        return rollouts.judging(learner, task, *episodes, targets)
    if model is None:
        return pairs.judging(learner, data.held_out)
    supported = support.measure(model, data.held_out)
    return held_out.judging(learner, data.held_out, supported, batch_size, targets)


def _behaviour_model(data: Data, method: Method) -> Model:
    everything = np.ones(len(data.not_held_out.episode_lengths), bool)
    return behaviour.fit(
        data.not_held_out, everything, method.model_hparams, method.model_network,
        method.model_schedule, method.seed,
    )  # fmt: skip


def _estimate(
    path: Path, data: Data, method: Method, model: Model, config: ConfigDict
) -> None:
    """Writes what the held-out episodes say that the policies earn, in the units of the log."""
    held, task = data.held_out, data.held_out.problem
    maps = task.preprocessing._replace(reward_scale=np.float32(1), reward_shift=np.float32(0))
    held = held._replace(problem=task._replace(preprocessing=maps))
    held = transforms.discount_durations(held, method.gamma)
    found = policies.of_restored(policies.restore(path))
    judged = judging.judge(held, found, method, model) if found else []
    members = [member for each in found for member in each.members]
    documents.write(path / estimates.FILE, {
        'config': json.loads(config.ope.to_json_best_effort()),
        'estimator': config.ope.estimator,
        'log': estimates.of_log(held, method.gamma) | {'fitted_q': judging.of_log(held, method)},
        'policies': [
            {'setting': member.setting, 'seed': member.seed} | each
            for member, each in zip(members, ope.as_json(judged))
        ],
    })  # fmt: skip


def load_data(config: ConfigDict) -> Data:
    """The data of a config, its preprocessing measured on what is learned from.

    Raises:
        DatasetError: there is no such dataset, or it is not what the config takes it for.
    """
    dataset = logs.stored(config)
    for sentence in inspection.changes(dataset):
        print(f'WARNING: dataset {config.dataset}: {sentence}.', file=sys.stderr)
    limit = 0 if config.evaluate_in == 'log' else config.max_episode_steps
    if config.env_id or limit:
        judged = problem.judged_in(dataset.problem, config.env_id, limit)
        dataset = dataset._replace(problem=judged)
    if config.cut_at_goal:
        dataset = transforms.cut_at_goal(dataset)
    if config.delayed_rewards:
        dataset = transforms.delay_rewards(dataset)
    if 'gamma' in config.hparams and dataset.duration is not None:
        if config.sweep.gamma:
            raise UserError(
                f'config.sweep.gamma is {config.sweep.gamma}; the steps of dataset {config.dataset} '
                'last for different times, which one gamma has to discount.'
            )
        dataset = transforms.discount_durations(dataset, config.hparams.gamma)
    held, gamma = None, config.hparams.get('gamma', 1.0)
    log, relabelled = None, 'goals' in config and config.goals.future
    if policies.are_learned(config.algorithm) and judges.comparable(dataset) and not relabelled:
        log = estimates.of_log(dataset, gamma)
    if not policies.are_learned(config.algorithm):
        dataset, held = preferences.hold_out(dataset, config.holdout_fraction, config.seed)
    elif judged_from_log(config, dataset.problem):
        validation.judged_from_log(config)
        dataset, held = transforms.hold_out(dataset, config.holdout_fraction, config.seed)
        held = held_out.judged_from(held)
    whole, dataset = dataset, transforms.top_episodes(dataset, config.top_fraction)
    dataset = transforms.preprocess(
        dataset,
        config.standardize_observations,
        config.normalize_rewards,
        config.reward_scale,
        config.reward_shift,
        config.standardize_returns,
    )
    task = dataset.problem
    return Data(
        dataset, whole._replace(problem=task), held and held._replace(problem=task), log
    )


def judged_from_log(config: ConfigDict, task: Problem) -> bool:
    """Whether a config's policies are judged from held-out episodes, not in an environment."""
    return config.evaluate_in == 'log' or (config.evaluate_in == 'auto' and task.env_spec is None)


def validate(config: ConfigDict) -> None:
    """Raises UserError for values that no run can have."""
    if 'from_run' in config:
        raise UserError('this config acts in an environment: it is for launch.train_online.')
    if 'behaviour' in config:
        raise UserError('this config judges policies: it is for launch.ope.')
    validation.run(config, base.RANGES)
    if not config.dataset:
        raise UserError("config.dataset is '': --config.dataset=ID says which log to learn from.")
    if config.normalize_rewards and config.standardize_returns:
        raise UserError(
            'config.normalize_rewards and config.standardize_returns both scale rewards; set one.'
        )
    if config.ope.estimator not in ESTIMATORS:
        shown = ranges.shown(config.ope.estimator)
        raise UserError(f'config.ope.estimator is {shown}; valid: {", ".join(ESTIMATORS)}.')
    validation.batches(config)
    validation.goals(config)


if __name__ == '__main__':
    processes.define_flags()
    cli.start_with_config(main, 'iql.py:sepsis')

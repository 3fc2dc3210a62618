"""The policies that runs have learned, restored."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from algorithms import ALGORITHMS
from data import problem
from data.loading import Dataset
from data.problem import Problem
from launch.cli import UserError
from launch.run import directory, learners
from launch.run.learners import Learners
from launch.run.members import Member, make_members, with_target

# Observations given to the policies at a time.
_ROWS = 16_384


class Restored(NamedTuple):
    """A run as its last checkpoint has it.

    Attributes:
        path: its directory.
        title: as tables have it.
        updates: done by each member.
        problem: that it faced.
        learner, states: of its members.
        target_returns: that return-conditioned policies are asked for; () for all others.
        finite: bool (members,), those that have not diverged.
    """

    path: Path
    title: str
    updates: int
    problem: Problem
    learner: Learners
    states: Any
    target_returns: tuple[float, ...]
    finite: np.ndarray


def restore(path: Path) -> Restored:
    """What a run directory holds of its learners.

    Raises:
        UserError, DatasetError: there is no run, no checkpoint, or a damaged one.
    """
    config = directory.load_config(path)
    task = problem.load(path / 'problem.json')
    targets = tuple(config.get('target_returns', ()))
    hparams = config.hparams.to_dict()
    learner = learners.build(
        ALGORITHMS[config.algorithm],
        task.spec,
        task.preprocessing,
        make_members(hparams, config.sweep, config.seed, config.num_seeds),
        with_target(hparams, targets),
        config.network,
        config.batch_size,
    )
    checkpoints = directory.Checkpoints(path)
    step = checkpoints.latest()
    if step is None:
        raise UserError(f'{path} has no checkpoint yet.')
    states = checkpoints.restore(states=learner.init())['states']
    return Restored(
        path,
        directory.title(config.algorithm, config.get('top_fraction', 1.0)),
        step,
        task,
        learner,
        states,
        targets,
        learners.all_finite(states, len(learner.members)),
    )


class Policies(NamedTuple):
    """The policies of a run that read the observation alone, those that are finite.

    Attributes:
        run: whose they are.
        members: of the run, those whose policies these are.
        indices: which of its members those are.
    """

    run: Restored
    members: list[Member]
    indices: np.ndarray

    @property
    def names(self) -> list[str]:
        """Of the policies."""
        return [
            ' '.join(filter(None, (str(self.run.path), member.label, f'seed {member.seed}')))
            for member in self.members
        ]

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """What each policy does, in the log's own units (Problem.actions), (n, policies, ...).

        Args:
            observations: as the environment gives them, (n, observation_size).
        """
        return self.run.problem.actions(self.normalized_actions(observations))

    def normalized_actions(self, observations: np.ndarray) -> np.ndarray:
        """The same in [-1, 1]^n, (n, policies, action_size), or as int32 indices (n, policies)."""
        learner, count = self.run.learner, len(self.run.learner.members)
        keys, parts = learner.keys(), []
        for begin in range(0, len(observations), _ROWS):
            rows = np.asarray(observations[begin : begin + _ROWS])
            given = len(rows)
            # One shape, one compilation.
            rows = np.pad(rows, [(0, min(_ROWS, len(observations)) - given), (0, 0)])
            actions, _ = learner.act(
                self.run.states,
                (),
                np.broadcast_to(rows, (count, *rows.shape)),
                np.zeros((count, len(rows))),
                keys,
                begin,
            )
            parts.append(actions[self.indices, :given])
        return np.moveaxis(np.concatenate(parts, axis=1), 0, 1)


def stateless(path: Path) -> Policies:
    """The policies in a run directory, at its last checkpoint.

    Raises:
        UserError, DatasetError: there is no run or no checkpoint, no policy of it is finite, or they
            are no functions of the observation alone.
    """
    run = restore(path)
    if jax.tree.leaves(run.learner.init_memory(run.states, 1)):
        raise UserError(
            f'{path} is a run of {run.title}, whose policies also read the steps before; only '
            'policies that read the observation alone can be judged here.'
        )
    finite = np.flatnonzero(run.finite)
    if not len(finite):
        raise UserError(f'{path}: all of its policies have diverged.')
    return Policies(run, [run.learner.members[i] for i in finite], finite)


def check(policies: Policies, dataset: Dataset) -> None:
    """Raises UserError if policies do not act on what a dataset holds."""
    theirs, ours = (
        {'spec': task.spec, 'observation_keys': task.observation_keys,
         'action bounds': (task.action_map.low, task.action_map.high),
         'first action': task.action_map.start}
        for task in (policies.run.problem, dataset.problem)
    )  # fmt: skip
    for name in theirs:
        if not np.array_equal(theirs[name], ours[name]):
            raise UserError(
                f'{policies.names[0]} cannot be judged from dataset {dataset.problem.name}: its '
                f"{name} is {theirs[name]}, the dataset's {ours[name]}."
            )

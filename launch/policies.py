"""The policies that runs have learned: as the trainer has them, and as functions of observations."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import ALGORITHMS
from data.loading import Dataset
from launch import learners, members, problem, run_directory, schedule
from launch.cli import UserError
from launch.learners import Learners
from launch.members import Member
from launch.problem import Problem

# Observations given to the policies at a time.
_ROWS = 16_384


def load(path: Path, target_returns: tuple[float, ...] | None = None):
    """What a run directory holds of its learners, at its last checkpoint.

    Args:
        path: the run directory.
        target_returns: to ask a return-conditioned policy for, if not those of its config.

    Returns:
        learner, states, problem, members as they are evaluated, config and the number of updates
        done.

    Raises:
        UserError: there is no run, no checkpoint, or a damaged one.
    """
    config = run_directory.load_config(path)
    if target_returns is not None:
        config.target_returns = target_returns
    run = members.members(config)
    task = problem.load(path / 'problem.json')
    learner = learners.build(
        ALGORITHMS[config.algorithm], config, task.spec, run, task.preprocessing
    )
    checkpoints = run_directory.Checkpoints(path)
    step = checkpoints.latest()
    if step is None:
        raise UserError(f'{path} has no checkpoint yet.')
    states = checkpoints.restore(states=learner.init())['states']
    judge = schedule.Judge(config, task, run, learner)
    return *judge.policies(states), task, judge.members, config, step


class Policies(NamedTuple):
    """The policies of a run that read the observation alone, those that are finite.

    Attributes:
        run: its directory.
        title: of the run, as tables have it.
        updates: done by each.
        problem: of the run.
        members: of the run, those whose policies these are.
        learner, states: of the run, all its members'.
        indices: which of those the policies are.
    """

    run: Path
    title: str
    updates: int
    problem: Problem
    members: list[Member]
    learner: Learners
    states: Any
    indices: np.ndarray

    @property
    def names(self) -> list[str]:
        """Of the policies."""
        return [
            ' '.join(filter(None, (str(self.run), member.label, f'seed {member.seed}')))
            for member in self.members
        ]

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """What each policy does, (n, policies, action_size), or int32 (n, policies) if discrete.

        Args:
            observations: as the environment gives them, (n, observation_size).
        """
        mesh_members = len(self.learner.seeds)
        keys = jax.vmap(jax.random.key)(self.learner.seeds)
        parts = []
        for begin in range(0, len(observations), _ROWS):
            rows = np.asarray(observations[begin : begin + _ROWS])
            count = len(rows)
            # One shape, one compilation.
            rows = np.pad(rows, [(0, min(_ROWS, len(observations)) - count), (0, 0)])
            actions, _ = self.learner.act(
                self.states,
                (),
                jnp.broadcast_to(jnp.asarray(rows), (mesh_members, *rows.shape)),
                jnp.zeros((mesh_members, len(rows))),
                jax.vmap(jax.random.fold_in, (0, None))(keys, begin),
            )
            parts.append(np.asarray(actions)[self.indices, :count])
        return np.moveaxis(np.concatenate(parts, axis=1), 0, 1)


def stateless(run: Path) -> Policies:
    """The policies in a run directory, at its last checkpoint.

    Raises:
        UserError: there is no run or no checkpoint, no policy of it is finite, or they are no
            functions of the observation alone.
    """
    learner, states, task, judged, config, step = load(run)
    if jax.tree.leaves(learner.init_memory(states, 1)):
        raise UserError(
            f'{run} is a run of {config.algorithm}, whose policies also read the steps before; only '
            'policies that read the observation alone can be judged here.'
        )
    finite = np.flatnonzero(np.asarray(learners.all_finite(states))[: len(judged)])
    if not len(finite):
        raise UserError(f'{run}: all of its policies have diverged.')
    members_left = [judged[i] for i in finite]
    title = run_directory.title(config)
    return Policies(run, title, step, task, members_left, learner, states, finite)


def check(policies: Policies, dataset: Dataset) -> None:
    """Raises UserError if policies do not act on what a dataset holds."""
    for name in ('spec', 'observation_keys', 'action_start', 'action_low', 'action_high'):
        theirs, ours = getattr(policies.problem, name), getattr(dataset, name)
        if not np.array_equal(theirs, ours):
            raise UserError(
                f'{policies.names[0]} cannot be judged from dataset {dataset.id}: its {name} is '
                f"{theirs}, the dataset's {ours}."
            )

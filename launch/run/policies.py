"""The policies that runs have learned, restored."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from algorithms import ALGORITHMS
from data import problem
from data.columns import Columns
from data.loading import Dataset
from data.problem import Problem
from launch.cli import UserError
from launch.run import directory, learners, rollouts
from launch.run.checkpoints import Checkpoints
from launch.run.learners import Learners
from launch.run.members import Member, make_members, with_target

# Observations given to the policies at a time.
_ROWS = 16_384
# Episodes that policies which remember are led along at a time.
_EPISODES = 2_048


class Restored(NamedTuple):
    """A run as a checkpoint has it.

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


def are_learned(algorithm: str) -> bool:
    """Whether an algorithm learns a policy, and not what rewards are."""
    return hasattr(ALGORITHMS[algorithm], 'act')


def restore(path: Path) -> Restored:
    """What a run directory holds of its learners, at its last checkpoint.

    Raises:
        UserError, DatasetError: there is no run, no checkpoint, or a damaged one, or it learned no
            policy.
    """
    return _restore(path, last_alone=True)[0]


def restore_rewards(path: Path) -> Restored:
    """The same of a run that learned rewards.

    Raises:
        UserError, DatasetError: as `restore`, or it learned a policy.
    """
    return _restore(path, last_alone=True, learned='rewards')[0]


def _restore(path: Path, last_alone: bool, learned: str = 'a policy') -> list[Restored]:
    """The run at every checkpoint that is kept, the oldest first, or at the last alone."""
    config = directory.load_config(path)
    there = 'a policy' if are_learned(config.algorithm) else 'rewards'
    if there != learned:
        raise UserError(
            f'{path} is a run of {directory.title(config)}, which learned {there}; one that learned '
            f'{learned} is needed.'
        )
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
        chunk=config.get('chunk', 1),
    )
    checkpoints, like = Checkpoints(path, len(learner.members)), learner.init()
    if last_alone:
        kept = [checkpoints.restore_latest(states=like)]
    else:
        kept = checkpoints.restore_all(states=like)
    found = []
    for step, trees in kept:
        states = trees['states']
        found.append(Restored(
            path,
            directory.title(config),
            step,
            task,
            learner,
            states,
            targets,
            learners.all_finite(states, len(learner.members)),
        ))  # fmt: skip
    return found


class Policies(NamedTuple):
    """The policies of a run at one of its checkpoints, those that are finite.

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
            f'{" ".join(filter(None, (str(self.run.path), member.label)))} seed {member.seed} after '
            f'{self.run.updates:,} updates'
            for member in self.members
        ]

    @property
    def remember(self) -> bool:
        """Whether they also go by the steps before, if only to execute the rest of a chunk."""
        return bool(jax.tree.leaves(self.run.learner.init_memory(self.run.states, 1)))

    @property
    def in_chunks(self) -> bool:
        """Whether they decide on several actions at once."""
        return self.run.learner.form.chunk > 1

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """What each policy does, in the log's own units (Problem.actions), (n, policies, ...).

        Args:
            observations: as the environment gives them, (n, observation_size).
        """
        return self.run.problem.actions(self.normalized_actions(observations))

    def normalized_actions(self, observations: np.ndarray) -> np.ndarray:
        """The same in [-1, 1]^n, (n, policies, action_size), or as int32 indices (n, policies)."""
        rows = _chunks(np.asarray(observations), min(_ROWS, len(observations)))
        parts = [
            self._act((), each, np.zeros(len(each)), number * _ROWS)[0]
            for number, each in enumerate(rows)
        ]
        return np.concatenate(parts)[: len(observations)]

    def actions_along(self, dataset: Dataset) -> np.ndarray:
        """What each policy does at each step of a log's own episodes, as normalized_actions has it.

        A policy that remembers is told what the log's earlier steps were and earned, and that it took
        its own actions there: where these are not the log's, the rest of the episode is another's.

        Args:
            dataset: the log of N steps.

        Returns:
            (N, policies, action_size), or int32 (N, policies) if discrete.
        """
        observations = dataset.transitions.observation
        if not self.remember:
            return self.normalized_actions(observations)
        lengths, offsets = dataset.episode_lengths, dataset.episode_offsets[:-1]
        rewards = np.asarray(dataset.transitions.reward)
        if self.run.problem.delayed_rewards:
            rewards = np.zeros_like(rewards)
        width, found = min(_EPISODES, len(lengths)), None
        # Episodes of one length together: what is padded is computed for nothing.
        for episodes in _chunks(np.argsort(lengths, kind='stable'), width):
            memory = self.run.learner.init_memory(self.run.states, width)
            before = np.zeros(width, np.float32)
            for step in range(lengths[episodes].max()):
                there = offsets[episodes] + np.minimum(step, lengths[episodes] - 1)
                actions, memory = self._act(memory, observations[there], before, step)
                if found is None:
                    found = np.empty((len(rewards), *actions.shape[1:]), actions.dtype)
                inside = step < lengths[episodes]
                found[there[inside]] = actions[inside]
                before = rewards[there]
        return found

    def _act(
        self, memory: Any, observations: np.ndarray, rewards: np.ndarray, step: int
    ) -> tuple[np.ndarray, Any]:
        """(n, policies, ...), and the memory."""
        learner = self.run.learner
        count = len(learner.members)
        actions, memory = learner.act(
            self.run.states,
            memory,
            np.broadcast_to(observations, (count, *observations.shape)),
            np.broadcast_to(rewards, (count, len(rewards))),
            learner.keys(),
            step,
        )
        return np.moveaxis(actions[self.indices], 0, 1), memory


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows by the size, the last repeated to fill: one shape, one compilation."""
    filled = np.pad(rows, [(0, -len(rows) % size)] + [(0, 0)] * (rows.ndim - 1), 'edge')
    return np.split(filled, len(filled) // size)


def of_run(path: Path, all_checkpoints: bool = False) -> list[Policies]:
    """The policies in a run directory, at its last checkpoint or at each that is kept.

    Those of a run whose policies are asked for returns come once for each of them.

    Raises:
        UserError, DatasetError: there is no run or no checkpoint, or no policy of it is finite.
    """
    found = [
        each for run in _restore(path, last_alone=not all_checkpoints) for each in of_restored(run)
    ]
    if not found:
        raise UserError(f'{path}: all of its policies have diverged.')
    return found


def of_restored(run: Restored) -> list[Policies]:
    """Those of a restored run, once for each return that they are asked for; none if all diverged."""
    if not run.finite.any():
        return []
    return [_asked(run, target) for target in run.target_returns or (None,)]


def _asked(run: Restored, target: float | None) -> Policies:
    indices = np.flatnonzero(run.finite)
    members = [run.learner.members[i] for i in indices]
    if target is not None:
        run = run._replace(states=rollouts.asked_for(run.states, target))
        members = [each._replace(setting=each.setting | {'target_return': target}) for each in members]
    return Policies(run, members, indices)


def stateless(path: Path) -> Policies:
    """The policies in a run directory, at its last checkpoint.

    Raises:
        UserError, DatasetError: there is no run or no checkpoint, no policy of it is finite, or they
            are no functions of the observation alone.
    """
    found = of_run(path)[0]
    if found.remember:
        raise UserError(
            f'{path} is a run of {found.run.title}, whose policies also read the steps before; only '
            'policies that read the observation alone can be judged here.'
        )
    return found


def check(policies: Policies, dataset: Dataset) -> None:
    """Raises UserError if policies do not act on what a dataset holds."""
    theirs, ours = (
        {'spec': task.spec, 'observation_keys': task.observation_keys,
         'action bounds': (task.action_map.low, task.action_map.high),
         'first action': task.action_map.start} | _named(task.columns)
        for task in (policies.run.problem, dataset.problem)
    )  # fmt: skip
    for name in theirs:
        # What is no table's has no names.
        if name in ours and not np.array_equal(theirs[name], ours[name]):
            raise UserError(
                f'{policies.names[0]} cannot be judged from dataset {dataset.problem.name}: its '
                f"{name} is {theirs[name]}, the dataset's {ours[name]}."
            )


def _named(columns: Columns | None) -> dict[str, Any]:
    """Each entry of an observation and each action by what a table calls it."""
    if columns is None:
        return {}
    entries = ((each.name, each.kind, each.origin) for each in columns.features)
    named = {f'entry {number} of the observation': entry for number, entry in enumerate(entries)}
    return named | {f'action {number}': label for number, label in enumerate(columns.labels)}

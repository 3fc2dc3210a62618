"""What a dataset holds, in numbers, and what of it should worry whoever learns from it."""

import hashlib
from typing import NamedTuple

import numpy as np

from data import blocks, judges
from data.loading import Dataset
from data.problem import Problem

ACTION_BINS = 50
# A squashed policy reaches its bounds only in the limit; this near to ±1 an action counts as there.
_BOUND_MARGIN = 1e-3
_MANY_AT_BOUNDS = 0.1
# Shorter episodes may well be equal by chance where observations and actions are few.
_COPY_LENGTH = 10


class Statistics(NamedTuple):
    """What a dataset of E episodes holds.

    Attributes:
        problem: what it is a log of.
        returns: undiscounted, float64 (E,).
        lengths: steps, int64 (E,).
        terminated: bool (E,), whether the last step is a termination.
        truncated: bool (E,), whether it is a truncation and no termination.
        action_shares: of all steps; (action_size,) if discrete, else (action_size, ACTION_BINS)
            over equal bins of [-1, 1].
        action_counts: steps with each action, (action_size,); None if continuous.
        at_bounds: share of steps with this action dimension at -1 or 1, (action_size,); None if
            discrete.
        ranges: min, mean and max of each feature, float64 (observation_size, 3).
        comparable: whether the log was recorded under the conditions that the problem's reference
            returns refer to.
    """

    problem: Problem
    returns: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    action_shares: np.ndarray
    action_counts: np.ndarray | None
    at_bounds: np.ndarray | None
    ranges: np.ndarray
    comparable: bool


def statistics(dataset: Dataset) -> Statistics:
    """Measures a dataset."""
    last = dataset.episode_offsets[1:] - 1
    terminated = dataset.transitions.discount[last] == 0
    return Statistics(
        problem=dataset.problem,
        returns=dataset.episode_returns,
        lengths=dataset.episode_lengths,
        terminated=terminated,
        truncated=dataset.truncation[last] & ~terminated,
        action_shares=_action_shares(dataset),
        action_counts=_action_counts(dataset) if dataset.problem.spec.discrete else None,
        at_bounds=None if dataset.problem.spec.discrete else _at_bounds(dataset),
        ranges=_ranges(dataset),
        comparable=judges.comparable(dataset),
    )


def feature_names(task: Problem) -> list[str]:
    """Of the entries of an observation: the table's, or their numbers."""
    if task.columns is None:
        return [str(index) for index in range(task.spec.observation_size)]
    return [feature.name for feature in task.columns.features]


def action_names(task: Problem) -> list[str]:
    """Of discrete actions their labels, of continuous ones their columns; else their numbers."""
    if task.columns is None:
        return [str(index) for index in range(task.spec.action_size)]
    return [str(name) for name in task.columns.labels or task.columns.actions]


def warnings(dataset: Dataset) -> list[str]:
    """What an experimenter should know before trusting a result on this dataset."""
    checks = (
        _uninformative_rewards,
        _constant_features,
        _steps_after_termination,
        _steps_after_truncation,
        _copied_episodes,
        _actions_at_bounds,
        _missing_actions,
    )
    found = (_no_scores(dataset), *_judge(dataset), *(check(dataset) for check in checks))
    return [*changes(dataset), *(warning for warning in found if warning)]


def changes(dataset: Dataset) -> list[str]:
    """What of the recorded numbers is otherwise once it is loaded, a sentence each; among `warnings`."""
    measured = _measured_bounds(dataset)
    return [*dataset.losses, *([measured] if measured else [])]


def _action_shares(dataset: Dataset) -> np.ndarray:
    actions = dataset.transitions.action
    if dataset.problem.spec.discrete:
        return _action_counts(dataset) / len(actions)
    counts = [np.histogram(column, ACTION_BINS, (-1, 1))[0] for column in actions.T]
    return np.array(counts) / len(actions)


def _action_counts(dataset: Dataset) -> np.ndarray:
    taken, size = dataset.transitions.action, dataset.problem.spec.action_size
    return sum(np.bincount(taken[steps], minlength=size) for steps in blocks.of_steps(len(taken)))


def _ranges(dataset: Dataset) -> np.ndarray:
    observations = dataset.transitions.observation
    mean = observations.mean(axis=0, dtype=np.float64)
    return np.stack([observations.min(axis=0), mean, observations.max(axis=0)], axis=1)


def _at_bounds(dataset: Dataset) -> np.ndarray:
    taken = dataset.transitions.action
    there = sum(
        np.sum(np.abs(taken[steps]) >= 1 - _BOUND_MARGIN, axis=0)
        for steps in blocks.of_steps(len(taken))
    )
    return there / len(taken)


def _measured_bounds(dataset: Dataset) -> str | None:
    action_map = dataset.problem.action_map
    if not action_map.measured:
        return None
    where = list(action_map.measured)
    names = _listed(where, action_names(dataset.problem))
    return (
        f'actions have no bounds that say anything in dimensions {names}: the range of the log stands '
        f'for them, {np.array2string(action_map.low[where], threshold=8)} to '
        f'{np.array2string(action_map.high[where], threshold=8)}, and no policy leaves it'
    )


def _no_scores(dataset: Dataset) -> str | None:
    if dataset.problem.scores or dataset.problem.score_by_success:
        return None
    return 'no reference scores: returns, no scores'


def _judge(dataset: Dataset) -> list[str]:
    if dataset.problem.env_spec is None:
        return ['no environment recorded: policies are judged from held-out episodes of the log']
    faults, doubts = judges.compare(dataset.problem, dataset)
    return [f'policies cannot be evaluated: {fault}' for fault in faults] + doubts


def _uninformative_rewards(dataset: Dataset) -> str | None:
    if not np.any(dataset.transitions.reward):
        return 'all rewards are zero'
    returns = dataset.episode_returns
    if len(returns) > 1 and returns.min() == returns.max():
        return f'all episodes have the return {returns[0]:,.3f}: none is better than another'
    return None


def _constant_features(dataset: Dataset) -> str | None:
    observations = dataset.transitions.observation
    constant = np.flatnonzero(observations.min(axis=0) == observations.max(axis=0))
    if not len(constant):
        return None
    return (
        f'observation features that never change: {len(constant)} of '
        f'{dataset.problem.spec.observation_size} '
        f'({_listed(constant, feature_names(dataset.problem))}); standardised, the slightest change of '
        'them in evaluation is huge'
    )


def _steps_after_termination(dataset: Dataset) -> str | None:
    episodes = _going_on(dataset, dataset.transitions.discount == 0)
    if not len(episodes):
        return None
    return f'episodes that go on after a termination: {len(episodes):,} ({_listed(episodes)})'


def _steps_after_truncation(dataset: Dataset) -> str | None:
    episodes = _going_on(dataset, dataset.truncation)
    if not len(episodes):
        return None
    return (
        f'episodes that go on after a truncation: {len(episodes):,} ({_listed(episodes)}); if others '
        'begin there, their first observations are learned to follow the last steps of those before'
    )


def _going_on(dataset: Dataset, ended: np.ndarray) -> np.ndarray:
    """The indices of episodes with steps after one at which they `ended`, a mark of each step."""
    early = np.setdiff1d(np.flatnonzero(ended), dataset.episode_offsets[1:] - 1)
    return np.unique(np.searchsorted(dataset.episode_offsets, early, side='right') - 1)


def _copied_episodes(dataset: Dataset) -> str | None:
    arrays = dataset.transitions[:3]
    seen, copies = set(), []
    for index, (begin, end) in enumerate(zip(dataset.episode_offsets, dataset.episode_offsets[1:])):
        if end - begin < _COPY_LENGTH:
            continue
        digest = hashlib.sha256(b''.join(array[begin:end].tobytes() for array in arrays)).digest()
        if digest in seen:
            copies.append(index)
        seen.add(digest)
    if not copies:
        return None
    return f'episodes that are copies of earlier ones: {len(copies):,} ({_listed(copies)})'


def _actions_at_bounds(dataset: Dataset) -> str | None:
    if dataset.problem.spec.discrete:
        return None
    shares = _at_bounds(dataset)
    many = np.flatnonzero(shares > _MANY_AT_BOUNDS)
    if not len(many):
        return None
    return (
        f'up to {shares.max():.0%} of the actions are at their bounds (dimensions '
        f'{_listed(many, action_names(dataset.problem))}), where the log-probability of '
        'a tanh-Gaussian diverges'
    )


def _missing_actions(dataset: Dataset) -> str | None:
    actions = dataset.transitions.action
    if dataset.problem.spec.discrete:
        unused = np.flatnonzero(_action_shares(dataset) == 0)
        problem = 'actions never taken'
    else:
        unused = np.flatnonzero(actions.min(axis=0) == actions.max(axis=0))
        problem = 'action dimensions that never change'
    if not len(unused):
        return None
    names = _listed(unused, action_names(dataset.problem))
    return f'{problem}: {len(unused)} of {dataset.problem.spec.action_size} ({names})'


def _listed(indices, names: list[str] | None = None, most: int = 8) -> str:
    text = ', '.join(str(index) if names is None else names[index] for index in indices[:most])
    return f'{text}, …' if len(indices) > most else text

"""Estimates from ratios of visits rather than of episodes (algorithms/marginalised.py)."""

from collections.abc import Callable

import numpy as np

from algorithms import marginalised
from algorithms.marginalised import Estimated, Log
from data.loading import Dataset
from launch.estimate import estimators
from launch.estimate.estimators import Estimate

# A model by frequencies needs observations that come again; so often, on average.
_MIN_VISITS = 5
# Of standardised features; and of how many, times actions, two cores solve for in a second or two.
_RIDGE = 0.2
_MAX_FEATURES = 4_000


def log_of(dataset: Dataset, gamma: float) -> Log:
    """A dataset as algorithms/marginalised.py reads it; its floor is the least return-to-go."""
    steps, lengths = dataset.transitions, dataset.episode_lengths
    reward, discount = (np.asarray(each, np.float64) for each in (steps.reward, steps.discount))
    discount = gamma * discount
    pad = estimators.padder(lengths, np.ones(len(lengths), bool))
    rewards, discounts = pad(reward, 0.0), pad(discount, 0.0)
    to_go, floor = np.zeros(len(lengths)), np.inf
    for step in range(rewards.shape[1] - 1, -1, -1):
        to_go = rewards[:, step] + discounts[:, step] * to_go
        floor = min(floor, to_go[lengths > step].min())
    episode = np.repeat(np.arange(len(lengths)), lengths)
    return Log(np.asarray(steps.action), reward, discount, episode, float(floor))


def by_tabular_model(
    dataset: Dataset, log: Log, actions: Callable[[np.ndarray], np.ndarray]
) -> list[Estimate]:
    """Of every policy, where observations come again and again.

    Args:
        dataset: the log.
        log: the same.
        actions: of the policies at observations (n, observation_size), (n, P).
    """
    steps = dataset.transitions
    observations = np.concatenate([steps.observation, steps.next_observation])
    unique, states = np.unique(observations, axis=0, return_inverse=True)
    num_steps, chosen = len(log.reward), actions(unique)
    if num_steps < _MIN_VISITS * len(unique):
        reason = (
            f'does not apply: an observation comes {num_steps / len(unique):.1f} times on average, '
            f'and a model by frequencies needs {_MIN_VISITS}.'
        )
        return [estimators.refused(reason)] * chosen.shape[1]
    state, next_state = states[:num_steps], states[num_steps:]
    initial = state[dataset.episode_offsets[:-1]]
    return [
        _by_influence(marginalised.tabular(log, state, next_state, initial, policy), log)
        for policy in chosen.T
    ]


def by_linear_ratios(
    dataset: Dataset,
    log: Log,
    next_actions: np.ndarray,
    next_tried: np.ndarray,
    initial_actions: np.ndarray,
    initial_tried: np.ndarray,
) -> tuple[list[Estimate], np.ndarray]:
    """Of every policy, and its `untried`.

    Args:
        dataset: the log.
        log: the same.
        next_actions, next_tried: what each policy does at each next observation, and whether the log
            tries that, (N, P).
        initial_actions, initial_tried: likewise at the first observations, (E, P).
    """
    steps, spec = dataset.transitions, dataset.problem.spec
    policies, size = next_actions.shape[1], 1 + spec.observation_size
    if size * spec.action_size > _MAX_FEATURES:
        reason = (
            f'does not apply: {size} features for each of {spec.action_size} actions are more than '
            f'{_MAX_FEATURES:,}.'
        )
        return [estimators.refused(reason)] * policies, np.full(policies, np.nan)
    mean = np.mean(steps.observation, axis=0, dtype=np.float64)
    std = np.std(steps.observation, axis=0, dtype=np.float64)
    std = np.where(std > 1e-6 * np.abs(mean), std, 1.0)

    def features(observations: np.ndarray) -> np.ndarray:
        ones = np.ones((len(observations), 1))
        return np.concatenate([ones, (observations - mean) / std], axis=1) / np.sqrt(size)

    prepared = marginalised.prepare(
        log, features(steps.observation), features(steps.next_observation),
        features(steps.observation[dataset.episode_offsets[:-1]]), spec.action_size, _RIDGE,
    )  # fmt: skip
    found = [
        marginalised.linear(prepared, *policy)
        for policy in zip(next_actions.T, next_tried.T, initial_actions.T, initial_tried.T)
    ]
    return [_by_influence(each, log) for each in found], np.array([each.untried for each in found])


def _by_influence(estimated: Estimated, log: Log) -> Estimate:
    value, spread = estimated.value, 1.96 * marginalised.standard_error(estimated.influence)
    if not np.isfinite(value + spread):
        return estimators.refused('diverged: its values ran away.')
    if estimators.alike(spread, value, log.reward):
        # All episodes say the same, as where none of a few earned anything: no sign of certainty.
        spread = np.nan
    return Estimate(value, value - spread, value + spread, influence=estimated.influence)


def difference(better: Estimate, worse: Estimate) -> tuple[float, float] | None:
    """The 95 % interval of what one policy earns more than another, judged from the same episodes.

    None if the estimator has no influences.
    """
    if better.influence is None or worse.influence is None:
        return None
    middle = better.value - worse.value
    spread = 1.96 * marginalised.standard_error(better.influence - worse.influence)
    return middle - spread, middle + spread

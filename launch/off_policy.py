"""Estimates of what policies would earn, from a dataset that another policy collected."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import scipy.stats
from ml_collections import ConfigDict

from algorithms import bc, importance_sampling
from algorithms.importance_sampling import Episodes
from data import behaviour, loading, transforms
from data.loading import Dataset
from launch import fitted_q, learners, members, policies, schedule
from launch.cli import UserError
from launch.fitted_q import FittedQ

# By the names that tables and files have for them.
IMPORTANCE_SAMPLING = {
    'ordinary IS': importance_sampling.ordinary,
    'weighted IS': importance_sampling.weighted,
    'per-decision IS': importance_sampling.per_decision,
    'weighted DR': importance_sampling.weighted_doubly_robust,
}
ESTIMATORS = ('FQE', *IMPORTANCE_SAMPLING)
_BOOTSTRAP_SAMPLES = 200
# Of those, how many at a time.
_BLOCK = 100


class Estimate(NamedTuple):
    """Of a policy's value, with a 95 % interval, whose ends are NaN if it has none.

    Attributes:
        value, low, high: NaN if there is a reason not to give them.
        refusal: the reason, a sentence; '' if there is none.
    """

    value: float
    low: float
    high: float
    refusal: str = ''


class Judged(NamedTuple):
    """A policy and what the log says of it.

    Attributes:
        name: of the policy.
        algorithm: of its run, as tables name it.
        updates: that it did.
        estimates: of its value by the name of the estimator.
        mean_weight: of the log's episodes in importance sampling; 1 is expected of a policy that does
            only what the behaviour policy might do. NaN if actions are continuous.
        effective_sample_size: of importance sampling with whole episodes, likewise.
    """

    name: str
    algorithm: str
    updates: int
    estimates: dict[str, Estimate]
    mean_weight: float
    effective_sample_size: float


def evaluate(config: ConfigDict, runs: list[Path]) -> list[Judged]:
    """Judges every policy of the runs from the config's dataset.

    Raises:
        UserError: the config has values that cannot be, a run's policies cannot be judged from it.
        DatasetError: the dataset cannot be used, or lacks the behaviour policy's probabilities.
    """
    validate(config, runs)
    found = [policies.stateless(run) for run in runs]
    dataset = loading.load(config.dataset)
    for each in found:
        policies.check(each, dataset)
    offsets, steps = dataset.episode_offsets, dataset.transitions

    def actions(observations: np.ndarray) -> np.ndarray:
        return np.concatenate([each.actions(observations) for each in found], axis=1)

    rng = np.random.default_rng(config.seed)
    counts = np.concatenate(
        [np.ones((1, len(offsets) - 1)), _resamples(rng, len(offsets) - 1, config.num_refits)]
    )
    fitted = fitted_q.fit(config, dataset, actions(steps.next_observation), counts.T)
    fqe_estimates = _fitted_q_estimates(
        fitted, np.asarray(steps.observation[offsets[:-1]]), actions, counts
    )
    names = [(name, each) for each in found for name in each.names]
    if not dataset.spec.discrete:
        refused = _refused(
            'does not apply: a policy with one continuous action for each observation has no '
            'density for the actions of the log.'
        )
        sampled = [(dict.fromkeys(IMPORTANCE_SAMPLING, refused), np.nan, np.nan)] * len(names)
    else:
        sampled = _sampling_estimates(config, dataset, fitted, actions(steps.observation), rng)
    judged = [
        Judged(name, each.title, each.updates, {'FQE': estimate} | estimates, weight, size)
        for (name, each), estimate, (estimates, weight, size) in zip(names, fqe_estimates, sampled)
    ]
    return [believe(each, config) for each in judged]


def believe(judged: Judged, config: ConfigDict) -> Judged:
    """A policy's estimates without those for which the log holds too little.

    Where a policy does what the log never has, importance sampling misses what follows, and Q is what a
    network extrapolates.
    """
    if judged.mean_weight < config.min_mean_weight:
        reason = (
            f'cannot say: the episodes weigh {judged.mean_weight:.2f} on average where 1 is expected, '
            'so that much of what the policy does is not in the log.'
        )
        unsure = ESTIMATORS
    elif judged.effective_sample_size < config.min_effective_sample_size:
        reason = (
            'cannot say: the episodes that follow the policy are worth '
            f'{judged.effective_sample_size:.1f} of its own, fewer than '
            f'{config.min_effective_sample_size:g}.'
        )
        unsure = tuple(IMPORTANCE_SAMPLING)
    else:
        return judged
    return judged._replace(estimates=judged.estimates | dict.fromkeys(unsure, _refused(reason)))


def _refused(reason: str) -> Estimate:
    return Estimate(np.nan, np.nan, np.nan, reason)


def validate(config: ConfigDict, runs: list[Path]) -> None:
    """Raises UserError for values with which there is no evaluation."""
    if 'behaviour' not in config:
        raise UserError('this config trains; launch.ope takes --config=launch/configs/ope.py:DOMAIN.')
    if not runs:
        raise UserError('which runs? Name their directories.')
    if config.behaviour not in ('recorded', 'fitted'):
        raise UserError(
            f"config.behaviour is {config.behaviour!r}; valid: 'recorded', 'fitted'."
        )
    schedule.validate_counts(
        config, ('num_updates', 'batch_size', 'log_interval'), ('num_updates',)
    )
    if config.num_refits < 0 or config.num_refits == 1:
        raise UserError(f'config.num_refits is {config.num_refits}; valid: 0, and 2 or more.')


def _resamples(rng: np.random.Generator, num_episodes: int, number: int) -> np.ndarray:
    """How often each of `number` draws with replacement has each episode, (number, num_episodes)."""
    drawn = rng.integers(num_episodes, size=(number, num_episodes))
    counts = [np.bincount(each, minlength=num_episodes) for each in drawn]
    return np.array(counts, np.float64).reshape(number, num_episodes)


def _fitted_q_estimates(
    fitted: FittedQ,
    initial: np.ndarray,
    actions: Callable[[np.ndarray], np.ndarray],
    counts: np.ndarray,
) -> list[Estimate]:
    """Mean values of the first observations; the refits' spread around them, by Student's t."""
    first_actions = actions(initial)
    values = np.array(
        [
            count @ fitted.values(initial, first_actions, resample) / count.sum()
            for resample, count in enumerate(counts)
        ]
    )
    estimates = []
    for value, refits in zip(values[0], values[1:].T):
        if not np.isfinite(value):
            estimates.append(_refused('diverged: its values ran away.'))
            continue
        spread = np.nan
        if len(refits):
            spread = np.std(refits, ddof=1) * scipy.stats.t.ppf(0.975, len(refits) - 1)
        estimates.append(Estimate(float(value), float(value - spread), float(value + spread)))
    return estimates


def _sampling_estimates(
    config: ConfigDict,
    dataset: Dataset,
    fitted: FittedQ,
    actions: np.ndarray,
    rng: np.random.Generator,
) -> list[tuple[dict[str, Estimate], float, float]]:
    """Of every policy, by importance sampling; its mean weight and its effective sample size."""
    behaviour_log_probs, used = _behaviour(config, dataset, rng)
    observations = dataset.transitions.observation
    logged = np.asarray(dataset.transitions.action)
    q = fitted.values(observations, np.repeat(logged[:, None], actions.shape[1], axis=1), 0)
    v = fitted.values(observations, actions, 0)
    pad = _padder(dataset.episode_lengths, used)
    reward = pad(dataset.transitions.reward, 0.0)
    counts = np.concatenate([np.ones((1, len(reward))),
                             _resamples(rng, len(reward), _BOOTSTRAP_SAMPLES)])  # fmt: skip
    found = []
    for policy in range(actions.shape[1]):
        # The policies are deterministic: probability 1 or 0.
        ratio = np.where(actions[:, policy] == logged, np.exp(-behaviour_log_probs), 0.0)
        episodes = Episodes(reward, pad(ratio, 1.0), pad(q[:, policy], 0.0), pad(v[:, policy], 0.0))
        size = importance_sampling.effective_sample_size(episodes)
        if size == 0:
            unknown = _refused('cannot say: no episode follows the policy.')
            found.append((dict.fromkeys(IMPORTANCE_SAMPLING, unknown), 0.0, 0.0))
            continue
        estimates = {}
        for name, estimator in IMPORTANCE_SAMPLING.items():
            value, *again = np.concatenate(
                [estimator(episodes, config.hparams.discount, counts[begin : begin + _BLOCK])
                 for begin in range(0, len(counts), _BLOCK)]
            )  # fmt: skip
            low, high = np.nanpercentile(again, [2.5, 97.5])
            estimates[name] = Estimate(float(value), float(low), float(high))
        found.append((estimates, float(np.mean(np.prod(episodes.ratio, axis=1))), size))
    return found


def _behaviour(
    config: ConfigDict, dataset: Dataset, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of all actions, (N,), and the episodes to use them on, bool (E,)."""
    num_episodes = len(dataset.episode_lengths)
    if config.behaviour == 'recorded':
        return behaviour.recorded_log_probs(dataset), np.ones(num_episodes, bool)
    used = rng.permuted(np.arange(num_episodes) % 2 == 0)
    learned_from = np.repeat(~used, dataset.episode_lengths)
    model = ConfigDict(config.behaviour_model.to_dict() | {'seed': config.seed, 'num_seeds': 1,
                                                           'sweep': {}})  # fmt: skip
    run = members.members(model)
    preprocessing = transforms.preprocessing(
        dataset, config.standardize_observations, False, 1.0, 0.0
    )
    learner = learners.build(bc, model, dataset.spec, run, preprocessing)
    rows = jax.tree.map(lambda array: np.asarray(array)[learned_from], dataset.transitions)
    states = learner.train_on_device(
        learner.init(), learners.place(rows, len(run)), model.num_updates
    )
    state = jax.tree.map(lambda leaf: leaf[0], states)
    policy = state.actor.apply_fn(
        state.actor.params, preprocessing.observation(np.asarray(dataset.transitions.observation))
    )
    return np.asarray(policy.log_prob(np.asarray(dataset.transitions.action)), np.float64), used


def _padder(lengths: np.ndarray, used: np.ndarray):
    """(values (N,), filling) -> float64 (episodes used, longest): episodes as rows."""
    inside = np.arange(lengths[used].max()) < lengths[used][:, None]
    kept = np.repeat(used, lengths)

    def pad(values: np.ndarray, filling: float) -> np.ndarray:
        padded = np.full(inside.shape, filling)
        padded[inside] = np.asarray(values)[kept]
        return padded

    return pad

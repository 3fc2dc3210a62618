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
from launch import fitted_q, learners, members, policies
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
_BOOTSTRAP_SAMPLES = 500
# Of those, how many at a time.
_BLOCK = 50


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
        agreement: share of the log's actions that are the policy's; NaN if they are continuous.
        effective_sample_size: of importance sampling with whole episodes, likewise.
    """

    name: str
    algorithm: str
    updates: int
    estimates: dict[str, Estimate]
    agreement: float
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
        refused = Estimate(np.nan, np.nan, np.nan, (
            'does not apply: a policy with one continuous action for each observation has no '
            'density for the actions of the log.'
        ))  # fmt: skip
        sampled = [(dict.fromkeys(IMPORTANCE_SAMPLING, refused), np.nan)] * len(names)
        agreements = [np.nan] * len(names)
    else:
        theirs = actions(steps.observation)
        agreements = np.mean(theirs == np.asarray(steps.action)[:, None], axis=0).tolist()
        fqe_estimates = [
            _refuse_if_untried(estimate, agreement, config.min_agreement)
            for estimate, agreement in zip(fqe_estimates, agreements)
        ]
        sampled = _sampling_estimates(config, dataset, fitted, theirs, rng)
    return [
        Judged(name, each.title, each.updates, {'FQE': estimate} | estimates, agreement, size)
        for (name, each), estimate, (estimates, size), agreement in zip(
            names, fqe_estimates, sampled, agreements
        )
    ]


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
    for key in ('num_updates', 'batch_size', 'log_interval'):
        if config[key] < 1:
            raise UserError(f'config.{key} is {config[key]}; at least 1 is needed.')
    if config.num_updates % config.log_interval:
        raise UserError(
            f'config.num_updates is {config.num_updates}, no multiple of config.log_interval, '
            f'{config.log_interval}.'
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
            estimates.append(Estimate(np.nan, np.nan, np.nan, 'diverged: its values ran away.'))
            continue
        spread = np.nan
        if len(refits):
            spread = np.std(refits, ddof=1) * scipy.stats.t.ppf(0.975, len(refits) - 1)
        estimates.append(Estimate(float(value), float(value - spread), float(value + spread)))
    return estimates


def _refuse_if_untried(estimate: Estimate, agreement: float, least: float) -> Estimate:
    """Q of actions that the log hardly has is what a network extrapolates."""
    if estimate.refusal or agreement >= least:
        return estimate
    return Estimate(np.nan, np.nan, np.nan, (
        f'cannot say: {100 * agreement:.1f} % of the actions in the log are the policy\'s, fewer than '
        f'{100 * least:g} %.'
    ))  # fmt: skip


def _sampling_estimates(
    config: ConfigDict,
    dataset: Dataset,
    fitted: FittedQ,
    actions: np.ndarray,
    rng: np.random.Generator,
) -> list[tuple[dict[str, Estimate], float]]:
    """Of every policy, by importance sampling, and its effective sample size."""
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
        if size < config.min_effective_sample_size:
            refused = Estimate(np.nan, np.nan, np.nan, (
                f'cannot say: of {len(reward):,} episodes those that follow the policy are worth '
                f'{size:.1f}, fewer than {config.min_effective_sample_size:g} of its own.'
            ))  # fmt: skip
            found.append((dict.fromkeys(IMPORTANCE_SAMPLING, refused), size))
            continue
        estimates = {}
        for name, estimator in IMPORTANCE_SAMPLING.items():
            value, *again = np.concatenate(
                [estimator(episodes, config.hparams.discount, counts[begin : begin + _BLOCK])
                 for begin in range(0, len(counts), _BLOCK)]
            )  # fmt: skip
            low, high = np.nanpercentile(again, [2.5, 97.5])
            estimates[name] = Estimate(float(value), float(low), float(high))
        found.append((estimates, size))
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

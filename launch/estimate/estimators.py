"""Estimates of what policies would earn, from a dataset that another policy collected."""

from typing import NamedTuple

import numpy as np
import scipy

from algorithms import importance_sampling
from algorithms.importance_sampling import Episodes
from data.loading import Dataset
from launch.estimate.behaviour import Behaviour
from launch.estimate.fitted_q import FittedQ

# By the names that tables and files have for them.
IMPORTANCE_SAMPLING = {
    'ordinary IS': importance_sampling.ordinary,
    'weighted IS': importance_sampling.weighted,
    'per-decision IS': importance_sampling.per_decision,
    'weighted DR': importance_sampling.weighted_doubly_robust,
}
MARGINALISED = ('tabular model', 'linear MWL')
# Those that read Q or V of a state, which a policy that remembers has not.
OF_STATES = ('FQE', *MARGINALISED, 'weighted DR')
ESTIMATORS = ('FQE', *MARGINALISED, *IMPORTANCE_SAMPLING)
_BOOTSTRAP_SAMPLES = 200
# Of those, how many at a time.
_BLOCK = 100
# Relative to values and rewards, which are kept as float32.
_ROUNDING = 1e-9


class Estimate(NamedTuple):
    """Of a policy's value, with a 95 % interval, whose ends are NaN if it has none.

    Attributes:
        value, low, high: NaN if there is a reason not to give them.
        refusal: the reason, a sentence; '' if there is none.
        influence: of each episode of the log on it (algorithms/marginalised.py), float64 (E,); None if
            the estimator has none.
    """

    value: float
    low: float
    high: float
    refusal: str = ''
    influence: np.ndarray | None = None


class Judged(NamedTuple):
    """A policy and what the log says of it.

    Attributes:
        name: of the policy.
        run: path of its run directory.
        member: its index among the members of its run.
        algorithm: of its run, as tables name it.
        updates: that it did.
        estimates: of its value by the name of the estimator.
        mean_weight: of the log's episodes in importance sampling; 1 is expected of a policy that does
            only what the behaviour policy might do. NaN if actions are continuous.
        effective_sample_size: of importance sampling with whole episodes, likewise.
        untried: how often, discounted, an episode comes to where the policy does what the log never
            tries, by the linear estimator; NaN if it does not apply.
        support: share of its actions at the log's observations that the log supports (support.py).
    """

    name: str
    run: str
    member: int
    algorithm: str
    updates: int
    estimates: dict[str, Estimate]
    mean_weight: float
    effective_sample_size: float
    untried: float = np.nan
    support: float = np.nan


def believe(
    judged: Judged, min_mean_weight: float, min_effective_sample_size: float, min_support: float
) -> Judged:
    """A policy's estimates without those for which the log holds too little.

    Where a policy does what the log never has, importance sampling misses what follows, and what stands
    for it in Q is the least that the log would allow.
    """
    if judged.support < min_support:
        reason = (
            'cannot say: of what the policy does where the log has been, the log supports '
            f'{judged.support:.0%}.'
        )
        unsure = ESTIMATORS
    elif judged.mean_weight < min_mean_weight:
        reason = (
            f'cannot say: the episodes weigh {judged.mean_weight:.2f} on average where 1 is expected, '
            'so that much of what the policy does is not in the log.'
        )
        unsure = ESTIMATORS
    elif judged.effective_sample_size < min_effective_sample_size:
        reason = (
            'cannot say: the episodes that follow the policy are worth '
            f'{judged.effective_sample_size:.1f} of its own, fewer than '
            f'{min_effective_sample_size:g}.'
        )
        unsure = tuple(IMPORTANCE_SAMPLING)
    else:
        return judged
    return judged._replace(estimates=judged.estimates | dict.fromkeys(unsure, refused(reason)))


def refused(reason: str) -> Estimate:
    return Estimate(np.nan, np.nan, np.nan, reason)


def resamples(rng: np.random.Generator, num_episodes: int, number: int) -> np.ndarray:
    """How often each of `number` draws with replacement has each episode, (number, num_episodes)."""
    drawn = rng.integers(num_episodes, size=(number, num_episodes))
    counts = [np.bincount(each, minlength=num_episodes) for each in drawn]
    return np.array(counts, np.float64).reshape(number, num_episodes)


def bootstrap(rng: np.random.Generator, num_episodes: int) -> np.ndarray:
    """The log itself and the resamples of `of_episodes`, (1 + resamples, num_episodes)."""
    drawn = resamples(rng, num_episodes, _BOOTSTRAP_SAMPLES)
    return np.concatenate([np.ones((1, num_episodes)), drawn])


def by_fitted_q(
    fitted: FittedQ,
    initial: np.ndarray,
    actions: np.ndarray,
    tried: np.ndarray,
    floor: float,
    counts: np.ndarray,
) -> list[Estimate]:
    """Mean values of the first observations; the refits' spread around them, by Student's t.

    Args:
        fitted: to the log, and to its resamples.
        initial: the first observations of the E episodes.
        actions: what each policy does there, (E, policies, ...).
        tried: bool (E, policies), whether the log tries that.
        floor: value of what it does not try.
        counts: how often each resample has each episode, (resamples, E), the first the log itself.
    """
    values = np.array([
        count @ np.where(tried, fitted.values(initial, actions, resample), floor) / count.sum()
        for resample, count in enumerate(counts)
    ])  # fmt: skip
    # Of resamples of a single episode, all are that episode.
    return of_refits(values if len(initial) > 1 else values[:1])


def of_refits(values: np.ndarray) -> list[Estimate]:
    """Of each policy, from the means of Q by its fit to the log and to its resamples, (1 + B, P)."""
    estimates = []
    for value, refits in zip(values[0], values[1:].T):
        if not np.isfinite(value):
            estimates.append(refused('diverged: its values ran away.'))
            continue
        spread = np.nan
        if len(refits):
            # Student's t: that of scipy.stats is the same, and takes long to import.
            spread = np.std(refits, ddof=1) * scipy.special.stdtrit(len(refits) - 1, 0.975)
        estimates.append(Estimate(float(value), float(value - spread), float(value + spread)))
    return estimates


def by_importance_sampling(
    dataset: Dataset,
    actions: np.ndarray,
    q: np.ndarray,
    v: np.ndarray,
    behaviour: Behaviour,
    gamma: float,
    rng: np.random.Generator,
) -> list[tuple[dict[str, Estimate], float, float]]:
    """Of every policy, where actions are discrete; its mean weight and its effective sample size.

    Args:
        dataset: the log.
        actions: what each policy does at each step of the log, (N, policies).
        q, v: of the log's actions and of the policies', for the doubly robust estimator, (N, policies);
            NaN for a policy that has none.
        behaviour: who collected the log.
        gamma: the discount of a step.
        rng: draws the bootstrap's episodes.
    """
    logged = np.asarray(dataset.transitions.action)
    pad = padder(dataset.episode_lengths, behaviour.used)
    reward = pad(dataset.transitions.reward, 0.0)
    discount = pad(gamma * np.asarray(dataset.transitions.discount, np.float64), 0.0)
    counts = bootstrap(rng, len(reward))
    found = []
    for policy in range(actions.shape[1]):
        # The policies are deterministic: probability 1 or 0.
        log_ratio = np.where(actions[:, policy] == logged, -behaviour.log_probs, -np.inf)
        episodes = Episodes(
            reward, discount, pad(log_ratio, 0.0), pad(q[:, policy], 0.0), pad(v[:, policy], 0.0)
        )
        found.append(of_episodes(episodes, counts))
    return found


def of_episodes(
    episodes: Episodes, counts: np.ndarray
) -> tuple[dict[str, Estimate], float, float]:
    """Of one policy, deterministic or not; its mean weight and its effective sample size.

    Args:
        episodes: E of the log, weighed for the policy; q and v are NaN if it has none.
        counts: how often each resample has each episode, (resamples, E), the first the log itself.
    """
    size = importance_sampling.effective_sample_size(episodes)
    if size == 0:
        unknown = refused('cannot say: no episode follows the policy.')
        return dict.fromkeys(IMPORTANCE_SAMPLING, unknown), 0.0, 0.0
    estimates = {}
    for name, estimator in IMPORTANCE_SAMPLING.items():
        if name == 'weighted DR' and not np.isfinite(episodes.q).all():
            estimates[name] = refused('cannot say: there is no finite Q for it.')
            continue
        value, *again = np.concatenate(
            [estimator(episodes, counts[begin : begin + _BLOCK])
             for begin in range(0, len(counts), _BLOCK)]
        )  # fmt: skip
        if not np.isfinite(value):
            estimates[name] = refused('cannot say: the weights of its episodes are beyond float64.')
            continue
        low, high = np.nanpercentile(again, [2.5, 97.5])
        if alike(high - low, value, episodes.reward):
            # Where all that follow the policy earned the same, as where none of a few is rewarded, how
            # often others would earn something else is not to be seen in resamples of them.
            low = high = np.nan
        estimates[name] = Estimate(float(value), float(low), float(high))
    return estimates, importance_sampling.mean_weight(episodes), size


def alike(spread: float, value: float, rewards: np.ndarray) -> bool:
    """Whether the width of an interval is what rounding makes of none: all episodes say the same."""
    return not spread > _ROUNDING * max(abs(value), np.abs(rewards).max())


def of_single_steps(
    reward: np.ndarray, ratio: np.ndarray, q: np.ndarray, v: np.ndarray, counts: np.ndarray
) -> tuple[dict[str, Estimate], float, float]:
    """`of_episodes` of one step each; arrays (E,), what they are as in Episodes, the ratio itself."""
    with np.errstate(divide='ignore'):
        columns = (reward, np.zeros_like(reward), np.log(ratio), q, v)
    return of_episodes(Episodes(*(column[:, None] for column in columns)), counts)


def padder(lengths: np.ndarray, used: np.ndarray):
    """(values (N,), filling) -> float64 (episodes used, longest): episodes as rows."""
    inside = np.arange(lengths[used].max()) < lengths[used][:, None]
    kept = np.repeat(used, lengths)

    def pad(values: np.ndarray, filling: float) -> np.ndarray:
        padded = np.full(inside.shape, filling)
        padded[inside] = np.asarray(values)[kept]
        return padded

    return pad

"""Importance sampling: what a policy would earn, from the episodes of another.

An episode of T steps that the behaviour policy mu took stands for those of a policy pi in proportion to

    rho_t = prod_{k <= t} pi(a_k | s_k) / mu(a_k | s_k),   rho_{-1} = 1,   rho_t = rho_{T-1} for t >= T

and estimates of V_pi are means over n episodes i of what they earned, so weighted:

    ordinary      1/n sum_i rho_{T-1} sum_t D_t r_t                               (Precup et al. 2000)
    weighted      sum_i rho_{T-1} sum_t D_t r_t / sum_i rho_{T-1}                 (Precup et al. 2000)
    per decision  1/n sum_i sum_t D_t rho_t r_t                                   (Precup et al. 2000)
    weighted doubly robust
                  sum_i sum_t D_t (w_t r_t - w_t Q(s_t, a_t) + w_{t-1} V(s_t)),
                  w_t = rho_t / sum_i rho_t,  w_{-1} = 1/n       (Thomas & Brunskill 2016, their WDR)

D_t = gamma^t where every step lasts as long as any other; else the product of the discounts of the steps
before t. Precup, Sutton & Singh 2000, "Eligibility traces for off-policy policy evaluation"; Thomas &
Brunskill 2016, https://arxiv.org/abs/1604.00923. Ordinary and per-decision are unbiased, the weighted
ones consistent, whatever Q and V are: good ones, from FQE, lower its variance.

All is float64 NumPy, and products are sums of logarithms: over thousands of steps a product of ratios is
beyond float64, where a quotient of two such products need not be. What is no quotient, ordinary and
per-decision importance sampling, is infinite or NaN where it is beyond float64.

Every estimator takes `counts` (B, n), how often each episode counts, and returns (B,) estimates: ones
give the estimate itself, multinomial draws its bootstrap.
"""

from typing import NamedTuple

import numpy as np

# Sums of weights of which the largest is 1, that have lost digits.
_TINY = 1e-290


class Episodes(NamedTuple):
    """n episodes, padded to T steps, float64 (n, T)."""

    reward: np.ndarray  # 0 where an episode is over
    discount: np.ndarray  # of what follows a step, gamma included; 0 where an episode is over
    log_ratio: np.ndarray  # log pi(a | s) / mu(a | s), -inf for no; 0 where an episode is over
    q: np.ndarray  # Q(s_t, a_t) of pi; 0 where an episode is over
    v: np.ndarray  # V(s_t) of pi, likewise


def _log_rho(episodes: Episodes) -> np.ndarray:
    """log rho_t, (n, T)."""
    return np.cumsum(episodes.log_ratio, axis=1)


def _log_discounts(episodes: Episodes) -> np.ndarray:
    """log D_t, (n, T)."""
    with np.errstate(divide='ignore'):
        before = np.cumsum(np.log(episodes.discount[:, :-1]), axis=1)
    return np.concatenate([np.zeros((len(before), 1)), before], axis=1)


def _times(log_factor: np.ndarray, values: np.ndarray) -> np.ndarray:
    """exp(log_factor) values, of which either alone may be beyond float64."""
    with np.errstate(divide='ignore', over='ignore'):
        return np.sign(values) * np.exp(log_factor + np.log(np.abs(values)))


def ordinary(episodes: Episodes, counts: np.ndarray) -> np.ndarray:
    """Ordinary importance sampling."""
    log_weights = _log_rho(episodes)[:, -1:] + _log_discounts(episodes)
    return _sum(counts, _times(log_weights, episodes.reward)) / counts.sum(axis=1)


def weighted(episodes: Episodes, counts: np.ndarray) -> np.ndarray:
    """Weighted importance sampling; NaN where no episode that counts has any weight."""
    returns = _times(_log_discounts(episodes), episodes.reward).sum(axis=1, keepdims=True)
    return _mean(counts, _log_rho(episodes)[:, -1:], returns)[:, 0]


def per_decision(episodes: Episodes, counts: np.ndarray) -> np.ndarray:
    """Per-decision importance sampling."""
    log_weights = _log_rho(episodes) + _log_discounts(episodes)
    return _sum(counts, _times(log_weights, episodes.reward)) / counts.sum(axis=1)


def weighted_doubly_robust(episodes: Episodes, counts: np.ndarray) -> np.ndarray:
    """Weighted doubly robust estimator; NaN where no episode that counts has any weight."""
    log_rho, log_discounts = _log_rho(episodes), _log_discounts(episodes)
    log_before = np.concatenate([np.zeros_like(log_rho[:, :1]), log_rho[:, :-1]], axis=1)
    corrections = _mean(counts, log_rho, _times(log_discounts, episodes.reward - episodes.q))
    values = _mean(counts, log_before, _times(log_discounts, episodes.v))
    return (corrections + values).sum(axis=1)


def effective_sample_size(episodes: Episodes) -> float:
    """(sum_i rho)^2 / sum_i rho^2 over whole episodes: how many of pi's own they are worth."""
    log_weights = _log_rho(episodes)[:, -1]
    largest = log_weights.max()
    if largest == -np.inf:
        return 0.0
    weights = np.exp(log_weights - largest)
    return float(np.square(np.sum(weights)) / np.sum(np.square(weights)))


def mean_weight(episodes: Episodes) -> float:
    """1/n sum_i rho over whole episodes, infinite beyond float64; 1 is expected."""
    with np.errstate(over='ignore'):
        return float(np.mean(np.exp(_log_rho(episodes)[:, -1])))


def _sum(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """sum_i count_i sum_t x_it, (B,)."""
    with np.errstate(invalid='ignore', over='ignore'):
        return counts @ values.sum(axis=1)


def _mean(counts: np.ndarray, log_weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """sum_i w_it x_it / sum_i w_it over what counts, (B, T); NaN where that weighs nothing."""
    largest = log_weights.max(axis=0)
    weights = np.exp(log_weights - np.where(largest == -np.inf, 0, largest))
    above, below = counts @ (weights * values), counts @ weights
    mean = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    # Without the heaviest, the weights of the others may be too small beside it for a float64.
    weighs = (counts > 0).astype(np.float64) @ (log_weights > -np.inf) > 0
    again = (below < _TINY) & weighs
    for step in np.flatnonzero(again.any(axis=0)):
        rows = again[:, step]
        ours = np.where(counts[rows] > 0, log_weights[:, step], -np.inf)
        weights = counts[rows] * np.exp(ours - ours.max(axis=1, keepdims=True))
        mean[rows, step] = weights @ values[:, step] / weights.sum(axis=1)
    return mean

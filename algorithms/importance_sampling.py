"""Importance sampling: what a policy would earn, from the episodes of another.

An episode of T steps that the behaviour policy mu took stands for those of a policy pi in proportion to

    rho_t = prod_{k <= t} pi(a_k | s_k) / mu(a_k | s_k),   rho_{-1} = 1,   rho_t = rho_{T-1} for t >= T

and estimates of V_pi are means over n episodes i of what they earned, so weighted:

    ordinary      1/n sum_i rho_{T-1} sum_t gamma^t r_t                           (Precup et al. 2000)
    weighted      sum_i rho_{T-1} sum_t gamma^t r_t / sum_i rho_{T-1}             (Precup et al. 2000)
    per decision  1/n sum_i sum_t gamma^t rho_t r_t                               (Precup et al. 2000)
    weighted doubly robust
                  sum_i sum_t gamma^t (w_t r_t - w_t Q(s_t, a_t) + w_{t-1} V(s_t)),
                  w_t = rho_t / sum_i rho_t,  w_{-1} = 1/n       (Thomas & Brunskill 2016, their WDR)

Precup, Sutton & Singh 2000, "Eligibility traces for off-policy policy evaluation"; Thomas & Brunskill
2016, https://arxiv.org/abs/1604.00923. Ordinary and per-decision are unbiased, the weighted ones
consistent, whatever Q and V are: good ones, from FQE, lower its variance. All is float64 NumPy: products
of ratios leave float32's range.

Every estimator takes `counts` (B, n), how often each episode counts, and returns (B,) estimates: ones
give the estimate itself, multinomial draws its bootstrap.
"""

from typing import NamedTuple

import numpy as np


class Episodes(NamedTuple):
    """n episodes, padded to T steps, float64 (n, T)."""

    reward: np.ndarray  # 0 where an episode is over
    ratio: np.ndarray  # pi(a | s) / mu(a | s); 1 where an episode is over
    q: np.ndarray  # Q(s_t, a_t) of pi; 0 where an episode is over
    v: np.ndarray  # V(s_t) of pi, likewise


def _rho(episodes: Episodes) -> np.ndarray:
    """rho_t, (n, T)."""
    return np.cumprod(episodes.ratio, axis=1)


def _discounts(episodes: Episodes, gamma: float) -> np.ndarray:
    """gamma^t, (T,)."""
    return gamma ** np.arange(episodes.reward.shape[1])


def ordinary(episodes: Episodes, gamma: float, counts: np.ndarray) -> np.ndarray:
    """Ordinary importance sampling."""
    returns = episodes.reward @ _discounts(episodes, gamma)
    return counts @ (_rho(episodes)[:, -1] * returns) / counts.sum(axis=1)


def weighted(episodes: Episodes, gamma: float, counts: np.ndarray) -> np.ndarray:
    """Weighted importance sampling; NaN where no episode that counts has any weight."""
    weights = _rho(episodes)[:, -1]
    returns = episodes.reward @ _discounts(episodes, gamma)
    return _quotient(counts @ (weights * returns), counts @ weights)


def per_decision(episodes: Episodes, gamma: float, counts: np.ndarray) -> np.ndarray:
    """Per-decision importance sampling."""
    earned = (_rho(episodes) * episodes.reward) @ _discounts(episodes, gamma)
    return counts @ earned / counts.sum(axis=1)


def weighted_doubly_robust(episodes: Episodes, gamma: float, counts: np.ndarray) -> np.ndarray:
    """Weighted doubly robust estimator; NaN where no episode that counts has any weight."""
    weights = _rho(episodes)
    before = np.concatenate([np.ones_like(weights[:, :1]), weights[:, :-1]], axis=1)
    corrections = _quotient(counts @ (weights * (episodes.reward - episodes.q)), counts @ weights)
    values = _quotient(counts @ (before * episodes.v), counts @ before)
    return (corrections + values) @ _discounts(episodes, gamma)


def effective_sample_size(episodes: Episodes) -> float:
    """(sum_i rho)^2 / sum_i rho^2 over whole episodes: how many of pi's own they are worth."""
    weights = _rho(episodes)[:, -1]
    total = np.sum(np.square(weights))
    return float(np.square(np.sum(weights)) / total) if total else 0.0


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)

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
ones consistent, whatever Q and V are: good ones, from FQE, lower its variance. All is float64 NumPy:
products of ratios leave float32's range.

Every estimator takes `counts` (B, n), how often each episode counts, and returns (B,) estimates: ones
give the estimate itself, multinomial draws its bootstrap.
"""

from typing import NamedTuple

import numpy as np


class Episodes(NamedTuple):
    """n episodes, padded to T steps, float64 (n, T)."""

    reward: np.ndarray  # 0 where an episode is over
    discount: np.ndarray  # of what follows a step, gamma included; 0 where an episode is over
    ratio: np.ndarray  # pi(a | s) / mu(a | s); 1 where an episode is over
    q: np.ndarray  # Q(s_t, a_t) of pi; 0 where an episode is over
    v: np.ndarray  # V(s_t) of pi, likewise


def _rho(episodes: Episodes) -> np.ndarray:
    """rho_t, (n, T)."""
    return np.cumprod(episodes.ratio, axis=1)


def _discounted(episodes: Episodes, values: np.ndarray) -> np.ndarray:
    """D_t times values, (n, T)."""
    before = np.cumprod(episodes.discount[:, :-1], axis=1)
    return np.concatenate([np.ones_like(values[:, :1]), before], axis=1) * values


def ordinary(episodes: Episodes, counts: np.ndarray) -> np.ndarray:
    """Ordinary importance sampling."""
    returns = _discounted(episodes, episodes.reward).sum(axis=1)
    return counts @ (_rho(episodes)[:, -1] * returns) / counts.sum(axis=1)


def weighted(episodes: Episodes, counts: np.ndarray) -> np.ndarray:
    """Weighted importance sampling; NaN where no episode that counts has any weight."""
    weights = _rho(episodes)[:, -1]
    returns = _discounted(episodes, episodes.reward).sum(axis=1)
    return _quotient(counts @ (weights * returns), counts @ weights)


def per_decision(episodes: Episodes, counts: np.ndarray) -> np.ndarray:
    """Per-decision importance sampling."""
    earned = _discounted(episodes, _rho(episodes) * episodes.reward).sum(axis=1)
    return counts @ earned / counts.sum(axis=1)


def weighted_doubly_robust(episodes: Episodes, counts: np.ndarray) -> np.ndarray:
    """Weighted doubly robust estimator; NaN where no episode that counts has any weight."""
    weights = _rho(episodes)
    before = np.concatenate([np.ones_like(weights[:, :1]), weights[:, :-1]], axis=1)
    errors = _discounted(episodes, weights * (episodes.reward - episodes.q))
    corrections = _quotient(counts @ errors, counts @ weights)
    values = _quotient(counts @ _discounted(episodes, before * episodes.v), counts @ before)
    return (corrections + values).sum(axis=1)


def effective_sample_size(episodes: Episodes) -> float:
    """(sum_i rho)^2 / sum_i rho^2 over whole episodes: how many of pi's own they are worth."""
    weights = _rho(episodes)[:, -1]
    total = np.sum(np.square(weights))
    return float(np.square(np.sum(weights)) / total) if total else 0.0


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)

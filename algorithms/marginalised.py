"""Marginalised importance sampling in closed form: what a policy would earn, step by step.

Ratios of whole episodes multiply over their steps. The ratio of how often pi and the log visit a pair

    w(s, a) = d_pi(s, a) / d_log(s, a),   d_pi = E_pi sum_t gamma_t 1[s_t = s, a_t = a]

does not, and V_pi = 1/E sum_t w(s_t, a_t) r_t over the steps of E episodes  (Liu et al. 2018). MWL
(Uehara et al. 2020) asks it to balance the Bellman flow of every function of a class; if w and these
functions are linear in features phi(s, a), the answer is closed, and the same as that of LSTD's Q:

    A = sum_t phi_t (phi_t - gamma_t phi(s_t+1, pi(s_t+1)))^T + lambda I,     b = sum_t phi_t r_t
    Q = phi^T A^-1 b,    w_t = E phi_t^T A^-T phi_0,    phi_0 the mean of phi(s_0, pi(s_0))
    V_pi = phi_0^T A^-1 b                               (= 1/E sum_t w_t r_t)

`tabular` has a feature for each pair of a state and an action: V_pi is then what pi earns in the model
that the log's frequencies make (the plug-in estimate: Yin & Wang 2020). `linear` has the features of the
observation, for each action its own.

What the log never tries it says nothing of. There Q is the least that the log would allow, `floor`, and
both estimators learn the excess Q - floor, so that lambda draws what is rarely tried to the floor too:
the estimates are pessimistic, as is a model that ends where it knows nothing (Kidambi et al. 2020).
`untried` says how often that happens.

To first order an episode i moves V_pi by its influence over E,

    psi_i = V(s_0) - V_pi + sum_t w_t (r_t + gamma_t V(s_t+1) - Q(s_t, a_t))       (Kallus & Uehara 2020)

so that V_pi has the standard error std(psi) / sqrt(E), and the difference of two policies that of the
difference of their psi, which share the log's chances.

https://arxiv.org/abs/1810.12429, https://arxiv.org/abs/1910.12809, https://arxiv.org/abs/2001.10742,
https://arxiv.org/abs/2005.05951, https://arxiv.org/abs/1909.05850. All is float64 NumPy.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from scipy.linalg import lu_factor, lu_solve
from scipy.sparse.linalg import splu

# Of a discount, by which loops that a policy never leaves have a value too.
_LEAK = 1e-9


class Log(NamedTuple):
    """N steps of E episodes with discrete actions.

    Attributes:
        action: int (N,), of A.
        reward: float64 (N,).
        discount: float64 (N,), gamma and the environment's; 0 where it terminated.
        episode: int (N,), whose step it is, from 0, in order.
        floor: the least value that the log would allow.
    """

    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    episode: np.ndarray
    floor: float

    @property
    def excess_reward(self) -> np.ndarray:
        """Rewards whose returns are those of the log less the floor."""
        return self.reward - self.floor * (1 - self.discount)


class Estimated(NamedTuple):
    """V_pi.

    Attributes:
        value: the estimate.
        influence: psi, (E,); its mean is 0.
        untried: how often, discounted, an episode of the policy comes to do what the log never tries.
    """

    value: float
    influence: np.ndarray
    untried: float


def tabular(
    log: Log, state: np.ndarray, next_state: np.ndarray, initial: np.ndarray, policy: np.ndarray
) -> Estimated:
    """Where observations are few: by the log's frequencies.

    Args:
        log: the steps.
        state, next_state: int (N,), of S.
        initial: int (E,), the first states of the episodes.
        policy: int (S,), the action in each state.
    """
    size, episodes = len(policy), len(initial)
    follows = log.action == policy[state]
    visits = np.bincount(state[follows], minlength=size).astype(float)
    share = 1 / np.maximum(visits, 1)
    flow = scipy.sparse.csr_array(
        (share[state[follows]] * log.discount[follows] * (1 - _LEAK),
         (state[follows], next_state[follows])), (size, size),
    )  # fmt: skip
    reward = share * np.bincount(state[follows], log.excess_reward[follows], size)
    solver = splu(scipy.sparse.csc_array(scipy.sparse.eye_array(size) - flow))
    v = solver.solve(reward)
    visited = solver.solve(np.bincount(initial, minlength=size) / episodes, trans='T')
    weight = np.where(follows, episodes * visited[state] * share[state], 0.0)
    error = log.excess_reward + log.discount * v[next_state] - v[state]
    return _estimated(log, v[initial], weight * error, visited[visits == 0].sum())


class Prepared(NamedTuple):
    """What `linear` needs of a log, whatever the policy: see `prepare`."""

    log: Log
    features: np.ndarray
    next_features: np.ndarray
    initial: np.ndarray
    gram: np.ndarray
    steps_of: list[np.ndarray]


def prepare(
    log: Log,
    features: np.ndarray,
    next_features: np.ndarray,
    initial: np.ndarray,
    num_actions: int,
    ridge: float,
) -> Prepared:
    """What all policies share: lambda I + sum_t phi_t phi_t^T, a block for each action.

    Args:
        log: the steps.
        features, next_features: (N, d), of the observations.
        initial: (E, d), of the episodes' first.
        num_actions: A.
        ridge: lambda, against features of about 1.
    """
    size = features.shape[1]
    gram = ridge * np.eye(num_actions * size)
    steps_of = [np.flatnonzero(log.action == action) for action in range(num_actions)]
    for action, steps in enumerate(steps_of):
        block = slice(action * size, (action + 1) * size)
        gram[block, block] += features[steps].T @ features[steps]
    return Prepared(log, features, next_features, initial, gram, steps_of)


def linear(
    prepared: Prepared,
    next_action: np.ndarray,
    next_tried: np.ndarray,
    initial_action: np.ndarray,
    initial_tried: np.ndarray,
) -> Estimated:
    """By a linear function of the observation for each action.

    Args:
        prepared: the log.
        next_action, next_tried: the policy's int action at each next observation, and bool whether the
            log tries it there, (N,).
        initial_action, initial_tried: likewise at the first observations, (E,).
    """
    log, phi, next_phi, first, gram, steps_of = prepared
    size, episodes = phi.shape[1], len(first)
    a, b = gram.copy(), np.zeros(len(gram))
    going_on = log.discount * next_tried
    for action, steps in enumerate(steps_of):
        rows = slice(action * size, (action + 1) * size)
        b[rows] = phi[steps].T @ log.excess_reward[steps]
        for other in np.unique(next_action[steps]):
            chosen = steps[next_action[steps] == other]
            columns = slice(other * size, (other + 1) * size)
            a[rows, columns] -= phi[chosen].T @ (next_phi[chosen] * going_on[chosen, None])
    start = np.zeros_like(b)
    tried = np.flatnonzero(initial_tried)
    np.add.at(start.reshape(-1, size), initial_action[tried], first[tried] / episodes)
    factors = lu_factor(a, overwrite_a=True)
    theta = lu_solve(factors, b).reshape(-1, size)
    omega = episodes * lu_solve(factors, start, trans=1).reshape(-1, size)

    def at(parameters, features, actions):
        return np.einsum('nd,nd->n', features, parameters[actions])

    weight = at(omega, phi, log.action)
    following = going_on * at(theta, next_phi, next_action)
    error = log.excess_reward + following - at(theta, phi, log.action)
    leaves = weight @ (log.discount * ~next_tried) / episodes + np.mean(~initial_tried)
    v = initial_tried * at(theta, first, initial_action)
    return _estimated(log, v, weight * error, leaves)


def _estimated(
    log: Log, initial_values: np.ndarray, weighted_errors: np.ndarray, untried: float
) -> Estimated:
    corrections = np.bincount(log.episode, weighted_errors, len(initial_values))
    influence = initial_values - initial_values.mean() + corrections
    return Estimated(
        float(initial_values.mean() + log.floor), influence - influence.mean(), float(untried)
    )


def standard_error(influence: np.ndarray) -> float:
    """Of an estimate, or of a difference of two whose influences' difference this is."""
    return float(np.std(influence) / np.sqrt(len(influence)))

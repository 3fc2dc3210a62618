"""Potential-based shaping: other rewards with the same optimal policies  (Ng, Harada & Russell 1999).

    r'(s, a, s') = r + gamma Phi(s') - Phi(s)

Every policy's Q'(s, a) is Q(s, a) - Phi(s): what is better stays better, by as much, for any Phi. That
takes the learners' own discount, and a Phi of 0 where an episode terminated, from where nothing follows.
Where it was truncated learners bootstrap, and Phi(s') stays.
"""

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

from data import blocks, returns, transforms
from data.loading import Dataset
from data.types import DatasetError

# (n, observation_size) as recorded -> (n,).
Potential = Callable[[np.ndarray], np.ndarray]
# Of a log's returns: steps that are asked, and how many of them for each observation.
_STEPS, _NEIGHBOURS = 50_000, 32


def shaped(dataset: Dataset, potential: Potential, gamma: float) -> np.ndarray:
    """The shaped rewards of all steps, float64 (N,).

    Args:
        dataset: as loaded, of N steps.
        potential: Phi.
        gamma: the discount that learners will have, of a step or, of a log with durations, of a unit of
            time.
    """
    steps = transforms.discount_durations(dataset, gamma).transitions
    found = np.empty(len(steps.reward))
    for rows in blocks.of_steps(len(found)):
        carried = gamma * np.asarray(steps.discount[rows], np.float64)
        now, ahead = potential(steps.observation[rows]), potential(steps.next_observation[rows])
        # Not zero times it: where an episode ends a potential need not be finite.
        ahead = np.multiply(carried, ahead, out=np.zeros(len(carried)), where=carried > 0)
        # What is not finite is refused where it is written.
        with np.errstate(invalid='ignore'):
            found[rows] = steps.reward[rows] + ahead - now
    return found


def of_returns(dataset: Dataset, gamma: float) -> Potential:
    """What the log's episodes earned from about there on: a value of the policy that collected it.

    The mean of returns-to-go over the nearest steps, in standardised observations, of episodes from all
    over the log. What would have followed a truncation is left out.

    Args:
        dataset: as loaded.
        gamma: the discount of the returns.

    Raises:
        DatasetError: no step's return is known (`returns.discounted_to_go`).
    """
    few = transforms.preprocess(transforms.thin(dataset, _STEPS), standardize_observations=True)
    to_go = returns.discounted_to_go(transforms.discount_durations(few, gamma), gamma)
    known = np.isfinite(to_go)
    if not known.any():
        raise DatasetError(
            f'dataset {dataset.problem.name}: what its episodes would earn is not known without a '
            'discount; give one below 1.'
        )
    seen = few.problem.preprocessing.observation
    tree, values = KDTree(seen(few.transitions.observation[known])), np.float64(to_go[known])

    def potential(observations: np.ndarray) -> np.ndarray:
        number = min(_NEIGHBOURS, len(values))
        _, nearest = tree.query(seen(observations), number, workers=-1)
        return values[nearest].reshape(len(observations), number).mean(axis=1)

    return potential

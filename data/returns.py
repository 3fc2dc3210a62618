"""What is still to be earned from every step of a log on."""

import numpy as np

from data import blocks, disk
from data.loading import Dataset


def discounted_to_go(dataset: Dataset, gamma: float) -> np.ndarray:
    """Preprocessed rewards from every step to the end of its episode, discounted, float32 (N,).

    An episode that does not terminate, and each of whose steps earns and lasts the same, is taken to go
    on like that for ever, as in Cal-QL's released code where rewards are sparse (nakamotoo/Cal-QL,
    JaxCQL/replay_buffer.py, calc_return_to_go); what it earns without a discount is not known, which is
    -inf. Of others that were cut, what would have followed is left out, as there.

    Args:
        dataset: of N steps, whose discounts have their durations.
        gamma: the discount of a step.
    """
    steps, offsets = dataset.transitions, dataset.episode_offsets
    maps = dataset.problem.preprocessing
    found = disk.scratch(np.float32, steps.reward.shape)
    for episodes, rows in blocks.of_episodes(offsets):
        first, last = (each[episodes] - rows.start for each in (offsets[:-1], offsets[1:] - 1))
        reward = maps.reward(np.asarray(steps.reward[rows], np.float64))
        carried = gamma * np.asarray(steps.discount[rows], np.float64)
        found[rows] = of_episodes(reward, carried, first, last)
    return found


def of_episodes(
    reward: np.ndarray, carried: np.ndarray, first: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """What is still to be earned in episodes, as `discounted_to_go` has it, float64 (n,).

    Args:
        reward: of all steps, one episode after the other, float64 (n,).
        carried: the discount of each step, 0 at a termination, float64 (n,).
        first, last: steps of each episode, (episodes,).
    """
    goes_on = (carried[last] > 0) & _alike(reward, first) & _alike(carried, first)
    for_ever = _for_ever(reward[first], carried[last])
    ends = np.zeros(len(reward), bool)
    ends[last] = True
    return np.where(
        np.repeat(goes_on, last - first + 1),
        np.repeat(for_ever, last - first + 1),
        summed(reward, np.where(ends, 0, carried)),
    )


def summed(reward: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """G_i = reward_i + carried_i G_{i+1} of all steps, float64 (n,), carried 0 with the last of them.

    In as many rounds as the longest run of steps that carry has bits, each of which sums twice as many.
    """
    to_go, carried, ahead = np.array(reward, np.float64), np.array(carried, np.float64), 1
    while carried.any():
        to_go[:-ahead] += carried[:-ahead] * to_go[ahead:]
        carried[:-ahead] *= carried[ahead:]
        carried[-ahead:] = 0
        ahead *= 2
    return to_go


def _alike(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Whether all values of each episode are the same, bool (episodes,)."""
    return np.minimum.reduceat(values, first) == np.maximum.reduceat(values, first)


def _for_ever(reward: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """The G that is reward + carried G."""
    endless = np.where(reward == 0, 0, -np.inf)
    return np.divide(reward, 1 - carried, out=endless, where=carried < 1)

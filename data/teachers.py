"""Scripted teachers, who prefer by the rewards of a log (B-Pref: Lee et al. 2021, 2111.03026).

A teacher prefers the first of two segments with the probability

    P[s1 > s2] = exp(beta G1) / (exp(beta G1) + exp(beta G2)),   G = sum_t gamma^(H - t) r_t    (eq. 3)

of sums over their H steps, and then errs with the probability epsilon. The kinds are those of section
4.1: `return` is the oracle, beta infinite; `noisy` has beta 1, in the units of the log's rewards;
`mistaken` errs once in ten times; `myopic` forgets early steps, gamma 0.9. Where both sums are equal an
oracle sees no difference (0.5); the released code (rll-research/BPref, reward_model.py) takes the first.
"""

from typing import NamedTuple

import numpy as np
import scipy

from data.loading import Dataset
from data.types import DatasetError, Preferences


class Teacher(NamedTuple):
    """How somebody prefers: beta, gamma and epsilon as above; beta 0 stands for an infinite one."""

    beta: float = 0.0
    gamma: float = 1.0
    epsilon: float = 0.0


TEACHERS = {
    'return': Teacher(),
    'noisy': Teacher(beta=1.0),
    'mistaken': Teacher(epsilon=0.1),
    'myopic': Teacher(gamma=0.9),
}


def drawn(dataset: Dataset, pairs: int, length: int, rng: np.random.Generator) -> Preferences:
    """Pairs of two different segments, uniform among all of so many steps, without labels yet (0.5).

    An episode that is shorter is a segment as a whole.

    Raises:
        DatasetError: the dataset has only one segment.
    """
    lengths = dataset.episode_lengths
    ends = np.cumsum(np.maximum(lengths - length, 0) + 1)
    if ends[-1] < 2:
        raise DatasetError(
            f'dataset {dataset.problem.name}: it has one segment of {length} steps, and none to compare '
            'it with.'
        )
    first = rng.integers(ends[-1], size=pairs)
    other = (first + rng.integers(1, ends[-1], size=pairs)) % ends[-1]
    chosen = np.stack([first, other], axis=1)
    episode = np.searchsorted(ends, chosen, side='right')
    begin = chosen - np.append(0, ends)[episode]
    width = np.minimum(lengths[episode], length)
    return Preferences(episode, begin, width, np.full(pairs, 0.5, np.float32))


def returns(dataset: Dataset, stated: Preferences, gamma: float) -> np.ndarray:
    """G of each segment, float64 (P, 2)."""
    first = dataset.episode_offsets[:-1][stated.episode] + stated.begin
    width = int(stated.length.max())
    # The last step of each segment counts in full.
    place = np.arange(width)
    mask = place < stated.length[..., None]
    steps = first[..., None] + np.where(mask, place, 0)
    reward = np.asarray(dataset.transitions.reward[steps], np.float64)
    weight = np.where(mask, gamma ** np.maximum(stated.length[..., None] - 1 - place, 0), 0.0)
    return np.sum(weight * reward, axis=-1)


def labelled(
    dataset: Dataset, stated: Preferences, teacher: Teacher, rng: np.random.Generator
) -> Preferences:
    """The same pairs with what a teacher prefers.

    Raises:
        DatasetError: the log's rewards tell no pair's segments apart.
    """
    first, second = returns(dataset, stated, teacher.gamma).T
    if np.array_equal(first, second):
        raise DatasetError(
            f'dataset {dataset.problem.name}: both segments of all {len(first):,} pairs earn the same, '
            'and a scripted teacher has only rewards to go by.'
        )
    if teacher.beta:
        label = rng.random(len(first)) < scipy.special.expit(teacher.beta * (first - second))
    else:
        label = (1 + np.sign(first - second)) / 2
    mistaken = rng.random(len(label)) < teacher.epsilon
    return stated._replace(label=np.where(mistaken, 1 - label, label).astype(np.float32))

"""One task's rewards for episodes that were collected without one, as OGBench gives them.

A task (of OGBench, Park et al. 2024, https://arxiv.org/abs/2410.20092; with rewards, Park, Li & Levine
2025, https://arxiv.org/abs/2502.02538) has parts, such as cubes or buttons. The step from an observation
earns the number of parts that are solved there, less the number of parts: 0 where all are, and there the
task ends. What is left of an episode goes on as the next one, so that no transition is lost; a stay at
the goal becomes episodes of one step each.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from minari.data_collector import EpisodeBuffer

from data.recipes.recipe import part


def cut_where_solved(
    episode: EpisodeBuffer, rewards: np.ndarray, solved: np.ndarray
) -> Iterator[EpisodeBuffer]:
    """An episode of T steps with the rewards of a task, cut after each step from where it is solved.

    Args:
        episode: its own rewards and ends are dropped.
        rewards: (T,), of its steps.
        solved: bool (T,), whether the task is solved at the observation that a step is taken from.

    Yields:
        Its pieces in order, T steps in all; each is terminated but the last, if its last step is from
        where the task is not solved: that one is truncated.
    """
    rewarded = dataclasses.replace(episode, rewards=np.asarray(rewards, np.float64))
    begin = 0
    for end in 1 + np.flatnonzero(solved):
        yield part(rewarded, begin, end, terminated=True)
        begin = end
    if begin < len(episode):
        yield part(rewarded, begin, len(episode), terminated=False)

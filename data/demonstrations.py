"""Rewards for a log without any, from a few demonstrations of how it is done well.

How near an episode stays to a demonstration pays: with the cost of each of its steps, of d features, and
squashed as OTR's authors do (ethanluoyc/optimal_transport_reward; 5 and 5 on D4RL's locomotion),

    r_t = 5 exp(-5 cost_t / d),    cost_t = sum_j P_tj C_tj / sum_j P_tj,  C_tj = 1 - cos(s_t, s*_j).

Optimal transport (OTR, Luo et al. 2023, https://arxiv.org/abs/2303.13971): P is the plan that carries
the episode's steps to the demonstration's at the least cost, every step of either weighing the same,
regularised by 0.01 times its entropy (at most 100 rounds of Sinkhorn's). Of several demonstrations each
episode has the one under which it earns the most.

Nearest neighbour (minimum distance, Dong, Omori & Ross 2025, https://arxiv.org/abs/2506.06793): all of
P_t is on the demonstrations' nearest step, whichever it is.

Observations are standardised over the log, as OTR's code does with what it has seen of it so far. That
code weighs steps by 1 / 1000, here it is by an episode's own length, and divides by d where the paper
has the dimensions of an action.
"""

from collections.abc import Iterator
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from data import transforms
from data.loading import Dataset
from data.types import DatasetError

_SCALE, _STEEPNESS = 5.0, 5.0
# Sinkhorn's: weight of the entropy, when the plan's shares are near enough, and rounds at most.
_ENTROPY, _TOLERANCE, _ROUNDS = 1e-2, 1e-9, 100
# Entries of a matrix of costs that are there at a time, and the shortest of the lengths that episodes
# are filled to, each twice the one before: for every length something is compiled.
_ENTRIES, _SHORTEST = 1 << 22, 16


def best_episodes(dataset: Dataset, number: int) -> np.ndarray:
    """The numbers of the episodes of highest return, in recorded order, int64 (number,).

    Raises:
        DatasetError: there are not so many episodes, or their returns do not tell which are best.
    """
    returns = dataset.episode_returns
    if not 1 <= number <= len(returns):
        raise DatasetError(
            f'dataset {dataset.problem.name}: it has {len(returns):,} episodes; its best {number:,} '
            'cannot be taken.'
        )
    if number < len(returns) and returns.min() == returns.max():
        raise DatasetError(
            f'dataset {dataset.problem.name}: all episodes have the return {returns[0]:g}, which does '
            'not say which are best; name them by their numbers.'
        )
    return np.sort(np.argsort(-returns, kind='stable')[:number])


def check_alike(dataset: Dataset, demonstrations: Dataset) -> None:
    """Raises DatasetError if demonstrations do not observe what a log observes."""
    for name in ('observation_keys', 'columns'):
        ours, theirs = (getattr(each.problem, name) for each in (dataset, demonstrations))
        if name == 'columns':
            ours, theirs = ([f.name for f in each.features] if each else None for each in (ours, theirs))
        sizes = [each.problem.spec.observation_size for each in (dataset, demonstrations)]
        if ours != theirs or sizes[0] != sizes[1]:
            raise DatasetError(
                f'dataset {demonstrations.problem.name} observes {sizes[1]} features ({theirs}), '
                f'dataset {dataset.problem.name} {sizes[0]} ({ours}): its episodes demonstrate nothing '
                'there.'
            )


def nearest_rewards(dataset: Dataset, demonstrations: Dataset) -> np.ndarray:
    """Of each step by how near the demonstrations' nearest step is, float32 (N,).

    Args:
        dataset: of N steps.
        demonstrations: all of whose episodes are such.
    """
    directions = _directions(dataset)
    shown = directions(demonstrations.transitions.observation)
    observed, size = dataset.transitions.observation, max(_ENTRIES // len(shown), 1)
    costs = [
        1 - np.max(directions(observed[begin : begin + size]) @ shown.T, axis=1)
        for begin in tqdm(range(0, len(observed), size), 'nearest steps', unit=' blocks', disable=None)
    ]
    return _squashed(np.concatenate(costs), observed.shape[1])


def transport_rewards(dataset: Dataset, demonstrations: Dataset) -> np.ndarray:
    """Of each step by what carrying it to a demonstration costs, float32 (N,).

    Args:
        dataset: of N steps.
        demonstrations: all of whose episodes are such; for each episode the one that pays most counts.

    Raises:
        DatasetError: the package that solves for plans is not installed.
    """
    if find_spec('ott') is None:
        raise DatasetError(
            "optimal transport needs the package ott-jax, which pip install -e '.[rewards]' installs."
        )
    directions, size = _directions(dataset), dataset.problem.spec.observation_size
    shown = [
        directions(demonstrations.transitions.observation[begin:end])
        for begin, end in zip(demonstrations.episode_offsets, demonstrations.episode_offsets[1:])
    ]
    longest = max(map(len, shown))
    shown, of_shown = _filled(shown, longest)
    rewards, offsets = np.empty(len(dataset.transitions.reward), np.float32), dataset.episode_offsets
    lengths = dataset.episode_lengths
    with tqdm(total=len(lengths), desc='optimal transport', unit=' episodes', disable=None) as progress:
        for episodes, width in _alike_in_length(lengths, longest * len(shown)):
            rows = [slice(offsets[episode], offsets[episode + 1]) for episode in episodes]
            observed, weights = _filled(
                [directions(dataset.transitions.observation[each]) for each in rows], width
            )
            # (episodes, demonstrations, steps); what an episode is filled with earns nothing.
            paid = _squashed(np.asarray(_transport_costs(observed, weights, shown, of_shown)), size)
            paid = np.where(weights[:, None] > 0, paid, 0)
            best = np.argmax(paid.sum(axis=2), axis=1)
            for row, each in enumerate(rows):
                rewards[each] = paid[row, best[row], : each.stop - each.start]
            progress.update(len(episodes))
    return rewards


def _directions(dataset: Dataset):
    """(n, d) observations -> standardised over a dataset and of length 1, the cosine being all."""
    maps = transforms.preprocess(dataset, standardize_observations=True).problem.preprocessing

    def of(observations: np.ndarray) -> np.ndarray:
        standardised = maps.observation(np.asarray(observations))
        length = np.linalg.norm(standardised, axis=1, keepdims=True)
        return standardised / np.maximum(length, 1e-8)

    return of


def _squashed(costs: np.ndarray, size: int) -> np.ndarray:
    return _SCALE * np.exp(-_STEEPNESS / size * costs)


def _filled(episodes: list[np.ndarray], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Episodes (n, width, d) filled with zeros, and the weights of their steps, (n, width)."""
    filled = np.stack([np.pad(each, [(0, width - len(each)), (0, 0)]) for each in episodes])
    weights = np.stack([np.arange(width) < len(each) for each in episodes]) / np.array(
        [[len(each)] for each in episodes]
    )
    return filled, weights.astype(np.float32)


def _alike_in_length(lengths: np.ndarray, steps_shown: int) -> Iterator[tuple[np.ndarray, int]]:
    """Episodes that are filled to one length, as many as fit, and the length; each episode once."""
    widths = np.maximum(2 ** np.ceil(np.log2(lengths)).astype(int), _SHORTEST)
    for width in np.unique(widths):
        episodes = np.flatnonzero(widths == width)
        number = max(_ENTRIES // int(width * steps_shown), 1)
        for begin in range(0, len(episodes), number):
            yield episodes[begin : begin + number], int(width)


@jax.jit
def _transport_costs(observed, weights, shown, weights_shown):
    """cost_t of each step under the plan to each demonstration, (episodes, demonstrations, steps)."""
    over_shown = jax.vmap(_transport_cost, (None, None, 0, 0))
    return jax.vmap(over_shown, (0, 0, None, None))(observed, weights, shown, weights_shown)


def _transport_cost(observed, weights, shown, weights_shown):
    # Three seconds that only this needs.
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    costs = 1 - observed @ shown.T
    problem = LinearProblem(Geometry(costs, epsilon=_ENTROPY), weights, weights_shown)
    plan = Sinkhorn(threshold=_TOLERANCE, max_iterations=_ROUNDS)(problem).matrix
    return jnp.sum(plan * costs, axis=1) / jnp.maximum(jnp.sum(plan, axis=1), 1e-30)

"""Crossroads: a log whose best way is in no trajectory, only in parts of two.

    s  where policies are judged from            ###########
    b  where other journeys begin                #####g#####
    g  pays 1                                    #####.#####
    r  pays 0.3                                  #s.......d#
    d  pays nothing                              #.###.#####
                                                 #.###.#####
                                                 #r###b#####
                                                 ###########

Half of the journeys go from s to r, a third from s past the crossing to d, a sixth from b over the
crossing to g. The best return that follows s in the log is 0.3; the way from s over the crossing to g
earns 1. Whoever imitates what was done from s goes to r, as most did; whoever values states by what can
follow them stitches the way to g together.
"""

import dataclasses
import functools
from collections.abc import Iterator

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer

from data import environments
from data.recipes.recipe import Recipe, rollout, seeds
from data.recipes.waypoints import Cell, shortest_path
from data.types import DatasetError

BEST_LOGGED_RETURN = 0.3

_MAP = (
    '###########',
    '#####g#####',
    '#####.#####',
    '#s.......d#',
    '#.###.#####',
    '#.###.#####',
    '#r###b#####',
    '###########',
)
_REWARDS = {'g': 1.0, 'r': BEST_LOGGED_RETURN, 'd': 0.0}
_MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
# How often a journey moves at random within its way, so that no two need be alike.
_HESITATION = 0.3


class Crossroads(gym.Env):
    """The grid: actions are up, down, left, right; the observation is the cell, one-hot.

    A move into a wall stays. An episode ends where something is paid, and at d.

    Args:
        starts: letters of the cells to begin in, one of them drawn at each reset.
    """

    def __init__(self, starts: str = 's', render_mode: str | None = None):
        if render_mode is not None:
            env_id = environments.CROSSROADS_ID
            raise DatasetError(f'environment {env_id} draws nothing: it has no render modes')
        self._starts = [cell_of(letter) for letter in starts]
        self.observation_space = gym.spaces.Box(0, 1, (len(_cells()),))
        self.action_space = gym.spaces.Discrete(len(_MOVES))

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self._cell, self._steps = self._starts[self.np_random.integers(len(self._starts))], 0
        return self._observed()

    def step(self, action):
        self._cell, self._steps = neighbour(self._cell, int(action)), self._steps + 1
        letter = letter_at(self._cell)
        observation, info = self._observed()
        return observation, _REWARDS.get(letter, 0.0), letter in _REWARDS, False, info

    def _observed(self) -> tuple[np.ndarray, dict]:
        one_hot = np.zeros(len(_cells()), np.float32)
        one_hot[_cells().index(self._cell)] = 1
        return one_hot, {'cell': self._cell, 'steps': self._steps}


@functools.cache
def _cells() -> list[Cell]:
    return [
        (row, column)
        for row, cells in enumerate(_MAP)
        for column, letter in enumerate(cells)
        if letter != '#'
    ]


def cell_of(letter: str) -> Cell:
    """(row, column) of a letter of the map."""
    return next(cell for cell in _cells() if letter_at(cell) == letter)


def letter_at(cell: Cell) -> str:
    """What the map has there."""
    return _MAP[cell[0]][cell[1]]


def neighbour(cell: Cell, action: int) -> Cell:
    """Where an action leads."""
    row, column = cell[0] + _MOVES[action][0], cell[1] + _MOVES[action][1]
    return cell if _MAP[row][column] == '#' else (row, column)


@functools.cache
def journey(start: str, end: str) -> tuple[Cell, ...]:
    """The cells of the shortest way between two letters of the map, both ends included."""
    walls = [[1 if letter == '#' else 0 for letter in row] for row in _MAP]
    return (cell_of(start), *shortest_path(walls, cell_of(start), cell_of(end)))


def _episodes(env: gym.Env, size: int, seed: int) -> Iterator[EpisodeBuffer]:
    env_seed, rng = seeds(seed)
    way: tuple[Cell, ...] = ()

    def act(observation, info):
        nonlocal way
        cell = info['cell']
        if info['steps'] == 0:
            way = journey('b', 'g') if cell == cell_of('b') else journey('s', rng.choice(list('rrrdd')))
        staying = [a for a in range(len(_MOVES)) if neighbour(cell, a) in way]
        onward = way[way.index(cell) + 1]
        forward = [a for a in staying if neighbour(cell, a) == onward]
        return rng.choice(staying if rng.random() < _HESITATION else forward), {}

    return rollout(env, act, size, 'episodes', env_seed)


def _random_return() -> float:
    """Expected return of uniformly random actions from s, within the time limit."""
    values = dict.fromkeys(_cells(), 0.0)
    for _ in range(gym.spec(environments.CROSSROADS_ID).max_episode_steps):
        values = {
            cell: np.mean([
                _REWARDS.get(letter_at(after), values[after])
                for after in (neighbour(cell, action) for action in range(len(_MOVES)))
            ])
            for cell in values
        }  # fmt: skip
    return float(values[cell_of('s')])


def _references() -> dict:
    random = _random_return()
    return {
        'ref_min_score': random,
        'ref_max_score': 1.0,
        'reference_lines': {'random': random, 'best logged from s': BEST_LOGGED_RETURN, 'optimum': 1.0},
    }


def _spec(starts: str) -> EnvSpec:
    return dataclasses.replace(gym.spec(environments.CROSSROADS_ID), kwargs={'starts': starts})


RECIPES = (
    Recipe(
        dataset_id='local/crossroads/stitch-v0',
        description='A grid whose best way is in no trajectory, only in parts of two',
        size=1_000,
        unit='episodes',
        env_spec=_spec('sssssb'),
        eval_env_spec=_spec('s'),
        algorithm_name='journeys on shortest ways, with hesitation',
        requirements=(),
        references=_references,
        episodes=_episodes,
    ),
)

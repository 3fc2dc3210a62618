"""D4RL's AntMaze: an ant that is sent through a maze, where one place is worth something.

The protocol is D4RL's (https://arxiv.org/abs/2004.07219, section 5.2) in gymnasium-robotics' mazes, with
D4RL's own ant (ants.py), so that an ant takes as many steps as there:

    umaze                         from one end of the maze to the goal at the other
    medium-play, large-play       between places that D4RL's authors picked by hand, and the goal
    umaze-, medium-, large-diverse  between cells drawn from all

The reward is 1 at the goal, which ends the episode, and 0 elsewhere; whoever arrives at another place
is sent on, until the time limit. Policies are judged from D4RL's start, and their score is the share of
episodes that reach the goal. D4RL moves the goal by up to 1.5 m from episode to episode, unseen by the
policy; here it stays where it is.
"""

from collections.abc import Iterator

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer

from data import environments
from data.recipes import ants, journeys
from data.recipes.ants import SPREAD
from data.recipes.journeys import Plan, World
from data.recipes.pointmaze import maze_map
from data.recipes.recipe import Recipe

ARRIVAL = 0.45

_TIME_LIMITS = {'umaze': 700, 'medium': 1_000, 'large': 1_000}
# Rows and columns, counted from 0: where D4RL's episodes begin and, in its names for them, the goals of
# evaluation; then what was picked by hand.
_START = (1, 1)
_GOALS = {'umaze': (3, 1), 'medium': (6, 6), 'large': (7, 9)}
_PICKED = {
    'umaze': (),
    'medium': ((2, 6), (5, 1), (6, 5)),
    'large': ((1, 6), (3, 5), (3, 10), (5, 2), (7, 4), (7, 6)),
}


def _map(name: str, starts: tuple[tuple[int, int], ...]) -> list[list[int | str]]:
    cells = [[1 if cell == 1 else 0 for cell in row] for row in maze_map(name)]
    for row, column in starts:
        cells[row][column] = 'r'
    row, column = _GOALS[name]
    cells[row][column] = 'g'
    return cells


def _spec(name: str, starts: tuple[tuple[int, int], ...], spread: float) -> EnvSpec:
    return EnvSpec(
        environments.ANT_MAZE_ID,
        entry_point='data.recipes.ant_environments:AntMaze',
        max_episode_steps=_TIME_LIMITS[name],
        kwargs={'maze_map': _map(name, starts), 'spread': spread},
    )


def world(env: gym.Env) -> World:
    """The marked cells of the maze are destinations, the goal's centre among them; if only that, all."""
    maze = env.unwrapped.maze
    plan = Plan(maze.maze_map, maze.cell_rowcol_to_xy)
    marks = [maze.maze_map[row][column] for row, column in plan.cells]
    chosen = [index for index, mark in enumerate(marks) if 'r' not in marks or mark != 0]

    def begin(seed: int):
        return env.reset(seed=seed)[0]

    def destination(rng: np.random.Generator, place: np.ndarray) -> np.ndarray:
        others = [index for index in chosen if index != plan.cell(place)]
        index = others[rng.integers(len(others))]
        spread = 0.0 if marks[index] == 'g' else SPREAD
        return plan.centres[index] + rng.uniform(-spread, spread, 2)

    return World(env, plan, begin, destination, ARRIVAL, ants.ACTION_NOISE)


def _episodes(env: gym.Env, size: int, seed: int) -> Iterator[EpisodeBuffer]:
    return journeys.episodes(env.spec, world, ants.parameters(), size, seed)


def _references() -> dict[str, float]:
    return {'ref_min_score': 0.0, 'ref_max_score': 1.0}


def _recipe(maze: str, kind: str) -> Recipe:
    starts, description = {
        '': ((_START,), 'to its goal'),
        'play': ((_START, *_PICKED[maze]), 'between places picked by hand'),
        'diverse': ((), 'between random cells'),
    }[kind]
    judged = _spec(maze, (_START,), 0.0)
    name = '-'.join(filter(None, (maze, kind)))
    return Recipe(
        dataset_id=f'local/antmaze/{name}-v0',
        description=f'An ant sent through the {maze} maze, {description}, with action noise',
        size=1_000_000,
        unit='steps',
        env_spec=_spec(maze, starts, SPREAD) if kind else judged,
        eval_env_spec=judged,
        algorithm_name='shortest way and a SAC policy that walks in a direction, with action noise',
        requirements=('gymnasium-robotics>=1.4', 'mujoco<3.9', 'ogbench>=1.2'),
        references=_references,
        episodes=_episodes,
    )


RECIPES = (
    _recipe('umaze', ''),
    _recipe('umaze', 'diverse'),
    *(_recipe(maze, kind) for maze in ('medium', 'large') for kind in ('play', 'diverse')),
)

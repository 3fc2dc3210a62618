"""OGBench's mazes: an ant or a point that goes from one random place to the next.

The protocol is that of OGBench's `navigate` sets (Park et al. 2024, https://arxiv.org/abs/2410.20092,
appendix D): in an episode of 1,000 steps the traveller (journeys.py) begins in a random cell, and its
destinations are in cells where ways meet, turn or end, each up to a quarter of a cell's side from the
centre, in each direction. No task, no reward: all rewards are 0 and no episode terminates. It is for
goal-conditioned learning, or for the rewards of a task (single_tasks.py).
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer

from data import seeding
from data.recipes import ants, journeys, single_tasks
from data.recipes.ants import SPREAD
from data.recipes.journeys import Plan, World
from data.recipes.recipe import Recipe

EPISODE_STEPS = 1_000
# Standard deviation of what is added to the velocity that a point chooses, of length 1.
POINT_NOISE = 0.5
# Metres: at which OGBench's environments say that a goal is reached.
ARRIVAL = {'ant': 0.5, 'point': 1.0}


def _spec(env_id: str, **more: Any) -> EnvSpec:
    return EnvSpec(env_id, entry_point='ogbench.locomaze.maze:make_maze_env', **more)


def world(env: gym.Env) -> World:
    """Of an environment of OGBench's, whose own goals and starts nobody uses."""
    maze, body = env.unwrapped, env.spec.kwargs['loco_env_type']
    plan = Plan(maze.maze_map.tolist(), maze.ij_to_xy)
    vertices = [index for index, cell in enumerate(plan.cells) if not _is_passage(maze.maze_map, cell)]

    def near(index: int, rng: np.random.Generator) -> np.ndarray:
        return plan.centres[index] + rng.uniform(-SPREAD, SPREAD, 2)

    def begin(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        anywhere = {'init_ij': plan.cells[0], 'goal_ij': plan.cells[0]}
        seeding.reset(env, seed, {'task_info': anywhere})
        qpos, qvel = maze.data.qpos.copy(), maze.data.qvel.copy()
        qpos[:2] = near(rng.integers(len(plan.cells)), rng)
        maze.set_state(qpos, qvel)
        return maze.get_ob()

    def destination(rng: np.random.Generator, place: np.ndarray) -> np.ndarray:
        return near(vertices[rng.integers(len(vertices))], rng)

    noise = ants.ACTION_NOISE if body == 'ant' else POINT_NOISE
    return World(env, plan, begin, destination, ARRIVAL[body], noise)


def _is_passage(maze_map: np.ndarray, cell: tuple[int, int]) -> bool:
    """Whether a cell leads straight on, between walls."""
    row, column = cell
    above, below = maze_map[row - 1, column], maze_map[row + 1, column]
    left, right = maze_map[row, column - 1], maze_map[row, column + 1]
    return above == below != left == right


def _episodes(env: gym.Env, size: int, seed: int) -> Iterator[EpisodeBuffer]:
    parameters = ants.parameters() if env.spec.kwargs['loco_env_type'] == 'ant' else None
    for episode in journeys.episodes(env.spec, world, parameters, size, seed):
        # Those of the environment are for its own goal.
        yield dataclasses.replace(episode, rewards=np.zeros(len(episode)))


def _recipe(body: str, maze: str) -> Recipe:
    name = f'{body}maze-{maze}'
    who = {'ant': 'An ant', 'point': 'A point'}[body]
    policy = {'ant': 'a SAC policy that walks in a direction', 'point': 'its direction'}[body]
    return Recipe(
        dataset_id=f'local/ogbench/{name}-navigate-v0',
        description=f'{who} sent from place to place in the {maze} maze, with action noise',
        size=1_000_000,
        unit='steps',
        env_spec=_spec(
            f'{name}-v0', max_episode_steps=EPISODE_STEPS, kwargs={'terminate_at_goal': False}
        ),
        eval_env_spec=_spec(f'{name}-v0'),
        algorithm_name=f'shortest way and {policy}, with action noise',
        requirements=('ogbench>=1.2', 'mujoco<3.9'),
        references=lambda: {'score_by_success': True},
        episodes=_episodes,
    )


def _with_tasks(body: str, maze: str) -> tuple[Recipe, ...]:
    navigate = _recipe(body, maze)
    return navigate, *single_tasks.recipes(navigate, _spec, f'{body}maze-{maze}')


RECIPES = tuple(
    recipe
    for body in ('ant', 'point')
    for maze in ('medium', 'large')
    for recipe in _with_tasks(body, maze)
)

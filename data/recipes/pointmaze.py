"""PointMaze: a ball sent here and there by a controller that knows the way.

The protocol is D4RL's maze2d (https://arxiv.org/abs/2004.07219, section 5.1) on the mazes of
gymnasium-robotics. A controller drives the ball to a place of its own choosing and, arrived, to the
next, all over the maze; the reward is 1 within 0.45 of a goal that is none of the controller's
business and has the same cell in every episode. So no episode shows how to go to the goal and stay
there, and cloning the controller does not: the way has to be stitched together from pieces of
journeys elsewhere.

Episodes have the environment's own time limit (truncated, never terminated) and begin in a random
cell, as in evaluation; Minari's version instead changes the goal with every journey, and shows it to
a policy that then needs only to be cloned. The reference scores are mean returns of 100 episodes, of
uniformly random actions and of the controller driving to the goal without noise.
"""

import functools
from collections.abc import Callable, Iterator

import gymnasium as gym
import numpy as np
import tqdm
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer

from data import environments
from data.recipes.recipe import Recipe, rollout, seeds
from data.recipes.waypoints import WaypointController

ACTION_NOISE = 0.5
REFERENCE_EPISODES = 100

# Walls '#' as in gymnasium_robotics.envs.maze.maps; 'g' is the cell of the goal.
_MAZES = {
    'umaze': (
        '#####',
        '#g..#',
        '###.#',
        '#...#',
        '#####',
    ),
    'medium': (
        '########',
        '#..##..#',
        '#..#...#',
        '##...###',
        '#..#...#',
        '#.#..#.#',
        '#...#.g#',
        '########',
    ),
    'large': (
        '############',
        '#....#.....#',
        '#.##.#.#.#.#',
        '#......#...#',
        '#.####.###.#',
        '#..#.#.....#',
        '##.#.#.#.###',
        '#..#...#.g.#',
        '############',
    ),
}


def maze_map(name: str) -> list[list[int | str]]:
    """A maze as gymnasium-robotics takes it: 1 for walls, 'g' where the goal is, 0 elsewhere."""
    cells = {'#': 1, '.': 0, 'g': 'g'}
    return [[cells[cell] for cell in row] for row in _MAZES[name]]


def _spec(name: str, max_episode_steps: int) -> EnvSpec:
    env_id = {'umaze': 'UMaze', 'medium': 'Medium', 'large': 'Large'}[name]
    return EnvSpec(
        f'PointMaze_{env_id}-v3',
        entry_point='gymnasium_robotics.envs.maze.point_maze:PointMazeEnv',
        max_episode_steps=max_episode_steps,
        kwargs={'maze_map': maze_map(name), 'continuing_task': True, 'reset_target': False},
    )


def _episodes(env: gym.Env, size: int, seed: int) -> Iterator[EpisodeBuffer]:
    env_seed, rng = seeds(seed)
    controller = WaypointController(env.unwrapped.maze.maze_map, rng)
    destination = controller.random_place()

    def act(observation, info):
        nonlocal destination
        if controller.is_at(observation, destination):
            destination = controller.random_place()
        force = controller.act(observation, destination) + ACTION_NOISE * rng.standard_normal(2)
        return np.clip(force, -1.0, 1.0).astype(np.float32), {}

    return rollout(env, act, size, 'steps', env_seed)


def _references(spec: EnvSpec) -> dict[str, float]:
    """Mean returns of uniformly random actions and of the controller without noise."""
    env = environments.make(spec)
    env_seed, rng = seeds(0)
    controller = WaypointController(env.unwrapped.maze.maze_map)
    progress = tqdm.tqdm(total=2 * REFERENCE_EPISODES, unit='episode', desc='reference scores')
    with progress, env:
        return {
            'ref_min_score': _mean_return(
                env, lambda observation: rng.uniform(-1.0, 1.0, 2), env_seed, progress
            ),
            'ref_max_score': _mean_return(
                env,
                lambda observation: controller.act(observation, observation['desired_goal']),
                env_seed,
                progress,
            ),
        }


def _mean_return(
    env: gym.Env, policy: Callable[[dict], np.ndarray], seed: int, progress: tqdm.tqdm
) -> float:
    def act(observation, info):
        return policy(observation), {}

    returns = []
    for episode in rollout(env, act, REFERENCE_EPISODES, 'episodes', seed):
        returns.append(episode.rewards.sum())
        progress.update()
    return float(np.mean(returns))


def _recipe(name: str, max_episode_steps: int) -> Recipe:
    spec = _spec(name, max_episode_steps)
    return Recipe(
        dataset_id=f'local/pointmaze/{name}-v0',
        description=f'A ball driven from place to place in the {name} maze, with action noise',
        size=1_000_000,
        unit='steps',
        env_spec=spec,
        eval_env_spec=spec,
        algorithm_name='waypoint controller with action noise',
        requirements=('gymnasium-robotics>=1.4', 'mujoco<3.9'),
        references=functools.partial(_references, spec),
        episodes=_episodes,
    )


RECIPES = (_recipe('umaze', 300), _recipe('medium', 600), _recipe('large', 800))

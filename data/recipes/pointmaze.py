"""PointMaze: a ball sent from goal to goal by a controller that knows the way.

The protocol is D4RL's maze2d (https://arxiv.org/abs/2004.07219) in the form that Minari gave it for
gymnasium-robotics: one long stream of steps in a continuing task. Each time the ball comes within
0.45 of its goal the environment draws another one, and the stream is cut there into episodes
(truncated, never terminated). Policies are judged on one goal per maze that stays where it is, from
random cells: the return counts the steps spent at the goal. The reference scores are mean returns
of 100 such episodes, of uniformly random actions and of the controller without noise.

The observation at the moment of success still shows the goal just reached. It ends one episode and,
since the stream goes on, begins the next.
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

# Walls '#' as in gymnasium_robotics.envs.maze.maps; 'g' is the cell of the goal in evaluation.
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


def maze_map(name: str, goal: bool) -> list[list[int | str]]:
    """A maze as gymnasium-robotics takes it: 1 for walls, and 'g' where the goal is if `goal`."""
    cells = {'#': 1, '.': 0, 'g': 'g' if goal else 0}
    return [[cells[cell] for cell in row] for row in _MAZES[name]]


def _spec(name: str, goal: bool, max_episode_steps: int) -> EnvSpec:
    env_id = {'umaze': 'UMaze', 'medium': 'Medium', 'large': 'Large'}[name]
    return EnvSpec(
        f'PointMaze_{env_id}-v3',
        entry_point='gymnasium_robotics.envs.maze.point_maze:PointMazeEnv',
        max_episode_steps=max_episode_steps,
        kwargs={
            'maze_map': maze_map(name, goal),
            'continuing_task': True,
            'reset_target': not goal,
        },
    )


def _episodes(env: gym.Env, size: int, seed: int) -> Iterator[EpisodeBuffer]:
    env_seed, rng = seeds(seed)
    controller = WaypointController(env.unwrapped.maze.maze_map, rng)

    def act(observation, info):
        noise = ACTION_NOISE * rng.standard_normal(2)
        return np.clip(controller(observation) + noise, -1.0, 1.0).astype(np.float32), {}

    return rollout(env, act, size, 'steps', env_seed, cut=lambda info: info['success'])


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
            'ref_max_score': _mean_return(env, controller, env_seed, progress),
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


def _recipe(name: str, evaluation_steps: int) -> Recipe:
    eval_env_spec = _spec(name, goal=True, max_episode_steps=evaluation_steps)
    return Recipe(
        dataset_id=f'local/pointmaze/{name}-v0',
        description=f'A ball driven from goal to goal through the {name} maze, with action noise',
        size=1_000_000,
        unit='steps',
        env_spec=_spec(name, goal=False, max_episode_steps=1_000_000),
        eval_env_spec=eval_env_spec,
        algorithm_name='waypoint controller with action noise',
        requirements=('gymnasium-robotics>=1.4', 'mujoco<3.9'),
        references=functools.partial(_references, eval_env_spec),
        episodes=_episodes,
    )


RECIPES = (_recipe('umaze', 300), _recipe('medium', 600), _recipe('large', 800))

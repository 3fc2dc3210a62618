"""PointMaze: a ball sent from goal to goal by a controller that knows the way.

The protocol is D4RL's maze2d (https://arxiv.org/abs/2004.07219, scripts/generation) on the mazes of
gymnasium-robotics: one long stream of steps in a continuing task. When the ball has come to its goal
another goal is drawn, and the stream is cut there into episodes (truncated, never terminated), as
Minari does. The reward is 1 within 0.45 of the goal; the controller drives on to within TOLERANCE, so
that the data shows how to stay, which is what policies are judged on: the return counts the steps at
a goal that keeps its place, from random cells. The reference scores are mean returns of 100 such
episodes, of uniformly random actions and of the controller without noise.
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
from data.recipes.waypoints import TOLERANCE, WaypointController

ACTION_NOISE = 0.5
# Within which the environment pays.
GOAL_RADIUS = 0.45
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
            'reset_target': False,
        },
    )


def _episodes(env: gym.Env, size: int, seed: int) -> Iterator[EpisodeBuffer]:
    env_seed, rng = seeds(seed)
    maze = env.unwrapped
    controller = WaypointController(maze.maze.maze_map, rng)

    def act(observation, info):
        noise = ACTION_NOISE * rng.standard_normal(2)
        return np.clip(controller(observation) + noise, -1.0, 1.0).astype(np.float32), {}

    def with_new_goal(observation):
        position = observation['achieved_goal']
        if np.linalg.norm(position - observation['desired_goal']) > TOLERANCE:
            return None
        while np.linalg.norm(position - maze.goal) <= GOAL_RADIUS:
            maze.goal = maze.add_xy_position_noise(maze.generate_target_goal())
        maze.update_target_site_pos()
        return observation | {'desired_goal': maze.goal.copy()}

    return rollout(env, act, size, 'steps', env_seed, cut=with_new_goal)


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

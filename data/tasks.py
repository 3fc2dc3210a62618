"""Environments with several tasks, each of which is to reach a goal that they name, as OGBench's.

Park et al. 2024, https://arxiv.org/abs/2410.20092: `reset` takes options={'task_id': 1, ..., num_tasks},
and says in info['goal'] which observation is to be reached.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from data.types import DatasetError


class GoalObservation(gym.Wrapper):
    """Observations [state, goal], of tasks in turn: options={'turn': n} is of task 1 + n % num_tasks."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        space, name = env.observation_space, env.spec.id
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise DatasetError(
                f'environment {name}: its observations are {space}; a goal is added to vectors.'
            )
        if not env.has_wrapper_attr('num_tasks'):
            raise DatasetError(
                f'environment {name} has no tasks with goals (num_tasks), which goals need.'
            )
        self.observation_space = Box(np.tile(space.low, 2), np.tile(space.high, 2), dtype=space.dtype)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        task = 1 + (options or {}).get('turn', 0) % self.env.get_wrapper_attr('num_tasks')
        observation, info = self.env.reset(seed=seed, options={'task_id': task})
        if np.shape(info.get('goal')) != np.shape(observation):
            raise DatasetError(
                f"its info['goal'] has shape {np.shape(info.get('goal'))}, its observation "
                f'{np.shape(observation)}; a goal is an observation'
            )
        self._goal = info['goal']
        return self._with_goal(observation), info

    def step(self, action):
        observation, *rest = self.env.step(action)
        return self._with_goal(observation), *rest

    def _with_goal(self, observation: np.ndarray) -> np.ndarray:
        return np.concatenate([observation, self._goal]).astype(self.observation_space.dtype)

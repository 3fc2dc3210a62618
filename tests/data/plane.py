"""A point in a square that is to go to one of five places, in the manner of OGBench's environments."""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

PLANE_ID = 'OfflineRL-tests/Plane-v0'
PLACES = np.float32([[0.8, 0.8], [-0.8, 0.8], [0.8, -0.8], [-0.8, -0.8], [0.0, 0.0]])


class Plane(gym.Env):
    """Actions move it by a fifth of them; its goal, near the task's place, is reached within 0.2.

    As OGBench's mazes do, it draws from NumPy's global generator, and from that of its actions.
    """

    num_tasks = len(PLACES)

    def __init__(self):
        self.observation_space = Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        task = (options or {}).get('task_id') or np.random.randint(1, 6)  # noqa: NPY002
        noise = 0.05 * np.random.uniform(-1, 1, 2) + 0.05 * self.action_space.sample()  # noqa: NPY002
        self._goal = np.float32(PLACES[task - 1] + noise)
        self._place = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self._place.copy(), {'goal': self._goal, 'task': task}

    def step(self, action):
        self._place = np.clip(self._place + np.float32(action) / 5, -1, 1)
        reached = bool(np.linalg.norm(self._place - self._goal) < 0.2)
        return self._place.copy(), float(reached), reached, False, {'success': reached}


if PLANE_ID not in gym.registry:
    gym.register(PLANE_ID, f'{__name__}:Plane', max_episode_steps=20)

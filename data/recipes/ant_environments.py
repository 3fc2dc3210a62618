"""Environments with the ant of ants.py: one to learn to walk in, and D4RL's mazes."""

from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium_robotics.envs.maze.ant_maze_v5 import AntMazeEnv

from data.recipes import ants

DIRECTION_STEPS = 100
# Per step, in m/s. An ant that falls loses it with all that it would have walked.
UPRIGHT_REWARD = 0.5


class DirectionalAnt(AntEnv):
    """An ant that is to walk in a direction, which is drawn anew every DIRECTION_STEPS.

    The protocol is that of OGBench's expert, whose reward is the displacement along the direction; here
    it is the velocity, in m/s, and UPRIGHT_REWARD. Two more things differ:

    - the policy sees the ant in the frame of its heading. The floor is the same in every direction, so
      that nothing is lost, and what is learned for one heading holds for all;
    - an ant whose torso is upside down ends the episode. No maze ends it, and the ant never gets up.
    """

    def __init__(self, render_mode: str | None = None):
        self._direction, self._steps = np.zeros(2), 0
        super().__init__(
            xml_file=ants.body(), include_cfrc_ext_in_observation=False, render_mode=render_mode
        )
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (28,))

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed, options=options)
        self._steps = 0
        self._redirect()
        return self._seen(), {}

    def step(self, action):
        before = self.data.qpos[:2].copy()
        _, _, fallen, truncated, _ = super().step(action)
        velocity = float((self.data.qpos[:2] - before) @ self._direction) / self.dt
        self._steps += 1
        if self._steps % DIRECTION_STEPS == 0:
            self._redirect()
        ended = bool(fallen or ants.upside_down(self.data.qpos))
        return self._seen(), velocity + UPRIGHT_REWARD, ended, truncated, {'velocity': velocity}

    def _seen(self) -> np.ndarray:
        return ants.in_heading_frame(self.data.qpos, self.data.qvel, self._direction)

    def _redirect(self) -> None:
        angle = self.np_random.uniform(-np.pi, np.pi)
        self._direction = np.array([np.cos(angle), np.sin(angle)])


class AntMaze(AntMazeEnv):
    """gymnasium-robotics' AntMaze with D4RL's ant (ants.py) and one goal, the same in every episode.

    The reward is 1 within 0.45 m of the goal, and ends the episode. The goal is the centre of its cell.
    Episodes begin in the centre of a cell, up to `spread` metres from it to each side, with D4RL's noise
    on the state.

    Args:
        maze_map: as gymnasium-robotics takes it: 1 for walls, 'g' for the goal's cell, 'r' for where
            episodes begin; without any 'r' they begin in all cells but the goal's.
        spread: see above.
        render_mode: as in gymnasium.
    """

    def __init__(
        self, maze_map: list[list[int | str]], spread: float = 0.0, render_mode: str | None = None
    ):
        self._spread = spread
        super().__init__(
            maze_map=maze_map,
            continuing_task=False,
            xml_file=ants.body(),
            include_cfrc_ext_in_observation=False,
            default_camera_config={
                'distance': 5.0 * len(maze_map[0]), 'elevation': -90.0, 'lookat': np.zeros(3),
            },  # fmt: skip
            render_mode=render_mode,
        )
        Path(self.tmp_xml_file_path).unlink()
        self.position_noise_range = 0.0
        # gymnasium-robotics has none; D4RL has that of gymnasium's Ant.
        self.ant_env._reset_noise_scale = 0.1

    def generate_reset_pos(self) -> np.ndarray:
        centre = super().generate_reset_pos()
        return centre + self.np_random.uniform(-self._spread, self._spread, 2)

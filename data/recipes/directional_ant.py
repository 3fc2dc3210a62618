"""An ant that is to walk in a given direction, and what its policy sees.

The protocol is that of OGBench's expert (Park et al. 2025, https://arxiv.org/abs/2410.20092): a
direction, drawn anew every 100 steps, and the displacement along it as the reward. Two things differ:

- the policy sees the ant in the frame of its heading. The floor is the same in every direction, so that
  nothing is lost, and what is learned for one heading holds for all;
- an ant whose torso is upside down ends the episode. No maze ends it, and the ant never gets up again.
"""

from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv

from data.types import DatasetError

DIRECTION_STEPS = 100
# Per step, in m/s. An ant that falls loses it with all that it would have walked.
UPRIGHT_REWARD = 0.5


def in_heading_frame(qpos: np.ndarray, qvel: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """What the policy sees: the ant without its place and heading, then the direction, from there.

    Args:
        qpos: (15,) of MuJoCo: x, y, z, the torso's quaternion, eight joints.
        qvel: (14,): the torso's velocity in the world's frame, its rotation, the joints.
        direction: (2,) unit vector in the world's frame.

    Returns:
        (28,) float32: height, quaternion (w, x, y; z is 0), joints, qvel, direction.
    """
    w, x, y, z = qpos[3:7]
    upright = np.hypot(w, z)
    # The rotation is one about the vertical, by twice the angle of (cos, sin), and then a tilt.
    cos, sin = (w / upright, z / upright) if upright > 0 else (1.0, 0.0)
    tilt = upright, cos * x + sin * y, cos * y - sin * x
    heading = cos * cos - sin * sin, 2 * cos * sin
    return np.concatenate([
        qpos[2:3], tilt, qpos[7:15], _turned_back(qvel[:2], heading), qvel[2:14],
        _turned_back(direction, heading),
    ]).astype(np.float32)  # fmt: skip


def _turned_back(vector: np.ndarray, heading: tuple[float, float]) -> tuple[float, float]:
    cos, sin = heading
    return cos * vector[0] + sin * vector[1], cos * vector[1] - sin * vector[0]


def body_file(body: str) -> str:
    """The file of an ant's body: 'ogbench' (also D4RL's), or 'gymnasium', five times as strong.

    Raises:
        DatasetError: ogbench is not installed.
    """
    if body == 'gymnasium':
        return 'ant.xml'
    try:
        import ogbench.locomaze
    except ImportError as error:
        raise DatasetError(
            "the ant's body needs the package ogbench; install it with pip install -e '.[envs]'"
        ) from error
    return str(Path(ogbench.locomaze.__file__).with_name('assets') / 'ant.xml')


class DirectionalAnt(AntEnv):
    """Reward: the velocity along the direction, in m/s, and UPRIGHT_REWARD."""

    def __init__(self, body: str = 'ogbench', render_mode: str | None = None):
        self._direction, self._steps = np.zeros(2), 0
        super().__init__(
            xml_file=body_file(body), include_cfrc_ext_in_observation=False, render_mode=render_mode
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
        x, y = self.data.qpos[4:6]
        upside_down = 1 - 2 * (x * x + y * y) < 0
        self._steps += 1
        if self._steps % DIRECTION_STEPS == 0:
            self._redirect()
        ended = bool(fallen or upside_down)
        return self._seen(), velocity + UPRIGHT_REWARD, ended, truncated, {'velocity': velocity}

    def _seen(self) -> np.ndarray:
        return in_heading_frame(self.data.qpos, self.data.qvel, self._direction)

    def _redirect(self) -> None:
        angle = self.np_random.uniform(-np.pi, np.pi)
        self._direction = np.array([np.cos(angle), np.sin(angle)])

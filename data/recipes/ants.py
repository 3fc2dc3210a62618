"""The ant that walks the mazes: what it sees, how it acts, and its policy, which ships with the code.

It has learned to walk in a given direction, by OGBench's protocol (Park et al. 2024,
https://arxiv.org/abs/2410.20092; ant_environments.py). Its body is that of OGBench's and of D4RL's
mazes; gymnasium's, which gymnasium-robotics has, is five times as strong, with steps half as long.
launch/behaviour_policies.py chose the policy, and wrote how well it walks.
"""

import functools
import importlib.resources
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from data import policies
from data.recipes import rollouts
from data.types import DatasetError

# Standard deviation of what is added to its actions, in OGBench's datasets and D4RL's.
ACTION_NOISE = 0.2
# How far places are drawn from a cell's centre, in metres to each side; a cell has four.
SPREAD = 1.0

_POLICIES = importlib.resources.files('data').joinpath('recipes', 'policies')


class Walker(NamedTuple):
    """The row of policies/ants.csv.

    Attributes:
        step: of the training, at which the policy was taken.
        seed: of the training.
        speed: metres per step along the direction.
        falls: per 1,000 steps.
        noisy_speed, noisy_falls: with ACTION_NOISE.
        steps: that each was measured in.
        command: that trained it.
    """

    step: int
    seed: int
    speed: float
    falls: float
    noisy_speed: float
    noisy_falls: float
    steps: int
    command: str

    @property
    def name(self) -> str:
        """Of its parameters in policies/ants.npz."""
        return f'step-{self.step}'


def walker() -> Walker:
    """How well the policy that ships with the code walks.

    Raises:
        DatasetError: none comes with this version.
    """
    found = policies.table(_POLICIES.joinpath('ants.csv'), Walker)
    if not found:
        raise DatasetError('no policy of the ant comes with this version.')
    return found[0]


@functools.cache
def parameters() -> Any:
    """Of the policy that ships with the code.

    Raises:
        DatasetError: none comes with this version.
    """
    row = walker()
    with importlib.resources.as_file(_POLICIES.joinpath('ants.npz')) as path:
        return policies.read(path)[row.name]


def intended(parameters: Any, seen: np.ndarray) -> np.ndarray:
    """The actions (N, 8) of the policy, without noise, of ants that see (N, 28)."""
    # Small products are fastest on the CPU, wherever jax would do them.
    with jax.default_device(jax.local_devices(backend='cpu')[0]):
        return np.asarray(_mode(rollouts.network(parameters), parameters, seen))


@functools.partial(jax.jit, static_argnums=0)
def _mode(module, parameters, seen):
    return module.apply(parameters, seen).mode()


def body() -> str:
    """The file of the ant's body.

    Raises:
        DatasetError: ogbench is not installed.
    """
    package = importlib.util.find_spec('ogbench')
    if package is None:
        raise DatasetError(
            "the ant's body is in the package ogbench; install it with pip install -e '.[envs]'"
        )
    return str(Path(package.origin).parent / 'locomaze' / 'assets' / 'ant.xml')


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


def upside_down(qpos: np.ndarray) -> bool:
    """Whether the torso's top points below the horizon."""
    x, y = qpos[4:6]
    return bool(x * x + y * y > 0.5)

"""What an arm does in the Franka kitchen, by a script: each chore is a way for the hand.

The hand goes to one place after another, relative to a handle; the arm follows by resolved rates, with
damped least squares (Wampler 1986, https://doi.org/10.1109/TSMC.1986.289285) and, where the hand leaves
it a choice, towards a posture. A chore that is not done when its way is at an end is tried again.
"""

import importlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import gymnasium as gym
import numpy as np

_JOINTS = slice(7)
# The damping, what a radian weighs in metres, and the part of the way to the posture made in a step.
_DAMPING, _RADIAN, _TO_POSTURE = 0.05, 0.3, 0.1
# Metres and radians in a step.
_SPEED, _TURN = 0.04, 0.2
# Of the largest action that motion may take; gravity needs the rest.
_MOTION = 0.9
# An action that takes the fingers all the way, and leaves room for noise.
_FINGERS = 0.5
# Metres at which the hand is away from what it did, and the steps that this may take.
_AWAY, _LEAVING = 0.05, 15

# In which an episode begins, about.
_POSTURE = (0.15, -1.77, 1.84, -2.48, 0.26, 0.71, 1.6)


class Stretch(NamedTuple):
    """A part of a way.

    Attributes:
        place: where the hand goes, (3,): metres from where the handle was when the chore began.
        closed: whether the fingers are.
        near: metres at which the hand is there; 0 for one that waits until the steps are over.
        steps: the most that it takes.
    """

    place: tuple[float, float, float]
    closed: bool
    near: float
    steps: int


class Chore(NamedTuple):
    """A sub-task.

    Attributes:
        handle: the site.
        way: of the hand.
        leaving: where it goes in the end, as `Stretch.place`, with its fingers as at first.
        pitch, yaw: degrees by which the hand points up and left, from straight at the kitchen's wall.
        posture: joints (7,) that the arm prefers, in radians.
    """

    handle: str
    way: tuple[Stretch, ...]
    leaving: tuple[float, float, float]
    pitch: float = 0.0
    yaw: float = 0.0
    posture: tuple[float, ...] = _POSTURE


def _pushed(start: Sequence[float], end: Sequence[float]) -> tuple[Stretch, ...]:
    """From one side of a handle to the other."""
    before = (start[0], -0.15, start[2])
    return (
        Stretch(before, closed=True, near=0.03, steps=60),
        Stretch(tuple(start), closed=True, near=0.015, steps=20),
        Stretch(tuple(end), closed=True, near=0.015, steps=30),
    )


def _opened(
    before: tuple[float, float, float],
    grasp: tuple[float, float, float],
    lever: tuple[float, float],
    angles: Sequence[float],
) -> tuple[Stretch, ...]:
    """A door's handle grasped and taken along its circle; `lever` (2,) is where it is from the hinge."""
    x, y = lever
    turned = (
        (np.cos(angle) * x - np.sin(angle) * y - x, np.sin(angle) * x + np.cos(angle) * y - y)
        for angle in angles
    )
    return (
        Stretch(before, closed=False, near=0.03, steps=60),
        Stretch(grasp, closed=False, near=0.015, steps=25),
        Stretch(grasp, closed=True, near=0.0, steps=6),
        *(
            Stretch((grasp[0] + dx, grasp[1] + dy, grasp[2]), closed=True, near=0.02, steps=20)
            for dx, dy in turned
        ),
    )


_KNOB = Chore(
    'knob2_site',
    way=_pushed((-0.06, -0.045, 0.04), (0.09, -0.045, 0.04)),
    leaving=(0.045, -0.15, 0.0),
    yaw=-25.0,
)
CHORES = {
    'microwave': Chore(
        'microhandle_site',
        way=_opened((0.0, -0.16, 0.12), (0.0, 0.01, 0.07), (0.486, 0.038), (-0.8,)),
        leaving=(0.05, -0.4, 0.2),
        pitch=-30.0,
        posture=(-1.36, -1.74, 1.9, -1.24, 0.84, 1.04, 1.05),
    ),
    'kettle': Chore(
        'kettle_site',
        way=(
            Stretch((0.0, -0.28, 0.1), closed=True, near=0.03, steps=40),
            Stretch((0.0, -0.2, -0.17), closed=True, near=0.03, steps=40),
            Stretch((0.0, 0.12, -0.17), closed=True, near=0.02, steps=40),
        ),
        leaving=(0.0, -0.1, -0.1),
        pitch=-30.0,
        posture=(-0.11, -1.57, 2.63, -2.55, 1.08, 1.4, 1.57),
    ),
    'bottom burner': _KNOB,
    'top burner': _KNOB._replace(handle='knob4_site'),
    'light switch': Chore(
        'light_site',
        way=_pushed((0.08, -0.045, 0.0), (-0.08, -0.045, 0.0)),
        leaving=(-0.08, -0.2, 0.0),
    ),
    'slide cabinet': Chore(
        'slide_site',
        way=_pushed((-0.08, -0.03, 0.0), (0.15, -0.03, 0.0)),
        leaving=(0.1, -0.15, -0.05),
    ),
    'hinge cabinet': Chore(
        'hinge_site2',
        way=_opened(
            (0.0, -0.15, 0.0), (0.0, -0.015, 0.0), (-0.302, -0.128),
            (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4),
        ),
        leaving=(0.1, -0.35, -0.1),
    ),
}  # fmt: skip


class Arm:
    """The arm of an environment."""

    def __init__(self, env: gym.Env):
        self._mujoco = importlib.import_module('mujoco')
        self._kitchen = importlib.import_module('gymnasium_robotics.envs.franka_kitchen.kitchen_env')
        base = env.unwrapped
        self._model, self._data = base.model, base.data
        self._hand = self._model.site('end_effector').id
        self._stiffness = self._model.actuator_gainprm[_JOINTS, 0]
        # An action sets where joints are drawn to, from where they are, in radians; of this way, against
        # their damping, they make a part in a step.
        robot = base.robot_env
        self._reach = robot.act_rng[_JOINTS] * robot.dt
        damping = self._model.dof_damping[_JOINTS]
        self._part = 1.0 - np.exp(-robot.dt * self._stiffness / damping)

    @property
    def place(self) -> np.ndarray:
        """Of the hand, (3,)."""
        return self._data.site_xpos[self._hand].copy()

    def handle(self, chore: Chore) -> np.ndarray:
        """Where a chore's handle is, (3,)."""
        return self._data.site_xpos[self._model.site(chore.handle).id].copy()

    def done(self, name: str) -> bool:
        """Whether a chore is, as the environment sees it."""
        kitchen = self._kitchen
        joints = self._data.qpos[kitchen.OBS_ELEMENT_INDICES[name]]
        return bool(np.linalg.norm(joints - kitchen.OBS_ELEMENT_GOALS[name]) < kitchen.BONUS_THRESH)

    def towards(self, place: np.ndarray, chore: Chore, closed: bool) -> np.ndarray:
        """The action (9,) that takes the hand towards a place (3,), as a chore wants it to be held."""
        model, data = self._model, self._data
        shape = 3, model.nv
        moves, turns = np.zeros(shape), np.zeros(shape)
        self._mujoco.mj_jacSite(model, data, moves, turns, self._hand)
        jacobian = np.concatenate([moves, _RADIAN * turns])[:, _JOINTS]
        axes = data.site_xmat[self._hand].reshape(3, 3)
        # To first order, the rotation between two frames.
        turn = 0.5 * np.cross(axes, _held(chore.pitch, chore.yaw), axis=0).sum(axis=1)
        wanted = np.concatenate([
            _at_most(place - self.place, _SPEED),
            _RADIAN * _at_most(turn, _TURN),
        ])  # fmt: skip
        damped = jacobian @ jacobian.T + _DAMPING**2 * np.eye(6)
        inverse = np.linalg.solve(damped, jacobian).T
        free = np.eye(jacobian.shape[1]) - inverse @ jacobian
        to_posture = _TO_POSTURE * (np.array(chore.posture) - data.qpos[_JOINTS])
        motion = (inverse @ wanted + free @ to_posture) / (self._part * self._reach)
        motion *= min(1.0, _MOTION / max(np.abs(motion).max(), 1e-9))
        weight = data.qfrc_bias[_JOINTS] / self._stiffness / self._reach
        fingers = np.full(2, -_FINGERS if closed else _FINGERS)
        return np.clip(np.concatenate([motion + weight, fingers]), -1.0, 1.0)


def intentions(arm: Arm, names: Sequence[str]) -> Iterator[np.ndarray]:
    """The actions (9,) of a script until all is done, each for the state that the arm is then in.

    Args:
        arm: that acts.
        names: of chores, in their order.
    """
    for name in names:
        while not arm.done(name):
            yield from _doing(arm, name)


def _doing(arm: Arm, name: str) -> Iterator[np.ndarray]:
    chore = CHORES[name]
    handle = arm.handle(chore)
    for stretch in chore.way:
        place = handle + stretch.place
        for _ in range(stretch.steps):
            if arm.done(name) or np.linalg.norm(place - arm.place) < stretch.near:
                break
            yield arm.towards(place, chore, stretch.closed)
    place = handle + chore.leaving
    for _ in range(_LEAVING):
        if np.linalg.norm(place - arm.place) < _AWAY:
            break
        yield arm.towards(place, chore, chore.way[0].closed)


def _held(pitch: float, yaw: float) -> np.ndarray:
    """The hand's axes, in columns: the third one is where it points, the second where fingers open."""
    up, left = np.radians([pitch, yaw])
    points = np.array([-np.sin(left) * np.cos(up), np.cos(left) * np.cos(up), np.sin(up)])
    opens = np.array([np.cos(left), np.sin(left), 0.0])
    return np.stack([np.cross(opens, points), opens, points], axis=1)


def _at_most(vector: np.ndarray, length: float) -> np.ndarray:
    return vector * min(1.0, length / max(np.linalg.norm(vector), 1e-9))

"""One environment as algorithms see it; what it does wrong is said in one sentence that names it."""

import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np

from data import environments, seeding
from data.flat import flatten_observation
from data.problem import Problem
from launch.cli import UserError

# Of an image: red, green, blue, and opacity, if it has one.
_CHANNELS = 3, 4


class Film:
    """The images of lanes' steps, in the order in which these are taken."""

    def __init__(self):
        self.frames: list[np.ndarray] = []
        self.frames_per_second = 30.0

    def take(self, env: gym.Env, name: str) -> None:
        """Appends what an environment, called so, draws now.

        Raises:
            UserError: it fails, or that is no image, or not of the size of the others.
        """
        with strange(name, 'render'):
            image = env.render()
        if not isinstance(image, np.ndarray) or image.ndim != 3:
            raise UserError(f'{name}: it draws no images.')
        if image.dtype != np.uint8 or image.shape[2] not in _CHANNELS:
            raise UserError(
                f'{name}: it draws {image.dtype} of shape {image.shape}; uint8 of shape (height, '
                f'width, {" or ".join(map(str, _CHANNELS))}) is needed.'
            )
        first = next(iter(self.frames), image)
        if image.shape != first.shape:
            raise UserError(
                f'{name}: it draws images of several sizes, {first.shape} and {image.shape}; a '
                'film has one.'
            )
        self.frames.append(image)
        self.frames_per_second = env.metadata.get('render_fps') or self.frames_per_second


@contextmanager
def strange(name: str, what: str) -> Iterator[None]:
    """What a stranger's code raises, even to leave the process, as one sentence: `what` of `name`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        reason = ' '.join(str(error).split())
        raise UserError(
            f'{name}: {what} failed ({type(error).__name__}: {reason or "no reason given"}).'
        ) from error


class Lane:
    """One environment with flat observations, and actions in [-1, 1]^n or indices from 0.

    Attributes:
        success: 1 if the environment said of its last step that it succeeded (info['success']), 0 if it
            said that it did not, NaN if it said nothing.
    """

    def __init__(self, problem: Problem, film: Film | None = None):
        """Args: the problem, and what takes an image after every reset and step."""
        self._problem, self._film = problem, film
        self._name = f'environment {problem.env_spec.id}'
        self._env = environments.make(problem.env_spec, 'rgb_array' if film else None)
        self._shapes = _shapes(self._env.observation_space)
        self.success = np.nan

    def reset(self, seed: int | None = None, number: int = 0) -> np.ndarray:
        """Begins an episode; its first observation, float32 (observation_size,).

        Args:
            seed: of the episode.
            number: of the episode, by which those towards goals take the environment's tasks in turn.

        Raises:
            UserError: the environment fails, or returns what it should not.
        """
        turn = {'turn': number} if self._problem.goals else None
        observation, _ = self._call('reset', 2, lambda: seeding.reset(self._env, seed, turn))
        return self._seen(observation)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """Takes an action of an algorithm; observation, reward, terminated, truncated.

        Raises:
            UserError: the environment fails, or returns what it should not.
        """
        taken = self._problem.action_map.to_environment(action)
        observation, reward, terminated, truncated, info = self._call(
            'step', 5, lambda: self._env.step(taken)
        )
        said = info.get('success') if isinstance(info, dict) else None
        self.success = (
            np.nan if said is None else float(self._number("info['success']", said) != 0)
        )
        return (
            self._seen(observation),
            self._number('reward', reward),
            self._number('terminated', terminated) != 0,
            self._number('truncated', truncated) != 0,
        )

    def close(self) -> None:
        """Closes the environment."""
        with strange(self._name, 'close'):
            self._env.close()

    def _call(self, name: str, size: int, function: Callable[[], Any]) -> tuple:
        with strange(self._name, name):
            returned = function()
        if not isinstance(returned, tuple) or len(returned) != size:
            what = f'{len(returned)} values' if isinstance(returned, tuple) else type(returned).__name__
            raise UserError(f'{self._name}: {name} returned {what}, not a tuple of {size}.')
        return returned

    def _number(self, name: str, value: Any) -> float:
        try:
            number = float(np.asarray(value, np.float64).item())
        except (TypeError, ValueError) as error:
            raise UserError(
                f'{self._name}: {name} is {reprlib.repr(value)}; one number is needed.'
            ) from error
        if not np.isfinite(number):
            raise UserError(f'{self._name}: {name} is {value!r}; a finite number is needed.')
        return number

    def _seen(self, observation: Any) -> np.ndarray:
        if self._film:
            self._film.take(self._env, self._name)
        for path, shape in self._shapes:
            part = observation
            try:
                for name in path:
                    part = part[name]
                there = np.shape(part)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                where = '/'.join(path) or 'array'
                raise UserError(
                    f'{self._name}: an observation has no {where}, which its observation space has.'
                ) from error
            if there != shape:
                where = f'observation {"/".join(path)}'.strip()
                raise UserError(
                    f'{self._name}: {where} has shape {there}, but its observation space says {shape}.'
                )
        # A copy: some environments write each observation into the same array.
        with strange(self._name, 'its observation'):
            flat = flatten_observation(observation, self._problem.observation_keys, 1)[0].copy()
        if not np.isfinite(flat).all():
            raise UserError(f'{self._name}: an observation holds NaN or infinite values.')
        return flat


def _shapes(space: gym.Space, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], tuple]]:
    """The paths and shapes of the arrays that make an observation."""
    if isinstance(space, gym.spaces.Dict):
        return [each for name in space.spaces for each in _shapes(space[name], (*path, name))]
    return [(path, space.shape)]

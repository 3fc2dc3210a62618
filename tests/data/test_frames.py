"""Which observation spaces are images."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple

from data import flat, frames, loading, problem
from data.types import DatasetError
from tests.conftest import store
from tests.data.helpers import ID, UNIT, episode

IMAGES = [
    Box(0, 255, (84, 84, 3), np.uint8),
    Box(0, 255, (3, 84, 84), np.uint8),
    Box(0, 255, (4, 84, 84), np.uint8),
    Box(0, 255, (84, 84), np.uint8),
    Box(0, 255, (4, 84, 84, 3), np.uint8),
    Box(0, 200, (64, 48, 3), np.uint8),
    Box(0, 1, (84, 84, 1), np.float32),
    Box(0, 255, (1, 28, 28), np.float32),
    Box(-1, 1, (64, 64, 12), np.float64),
    Box(-np.inf, np.inf, (3, 64, 64), np.float32),
    Box(-np.inf, np.inf, (84, 84), np.float32),
]
OTHERS = [
    Box(-np.inf, np.inf, (10, 3), np.float32),
    Box(-np.inf, np.inf, (100, 3), np.float64),
    Box(0, 1, (100, 3), np.float64),
    Box(-5, 5, (2, 10, 3), np.float32),
    Box(-np.inf, np.inf, (30, 40), np.float32),
    Box(0, 255, (7, 7, 3), np.uint8),
    Box(0, 1, (10, 10, 4), np.bool_),
    Box(0, 255, (200,), np.uint8),
    Box(-1, 1, (28224,), np.float32),
]


@pytest.mark.parametrize('space', IMAGES, ids=str)
def test_images_are_known_wherever_they_are(space):
    assert frames.is_image(space)
    for whole, where in (
        (space, 'observations are'),
        (Dict({'state': UNIT, 'cameras': Dict({'left': space})}), "under 'cameras/left' are"),
        (Dict({'both': Tuple((UNIT, space))}), "under 'both/1' are"),
    ):
        with pytest.raises(DatasetError, match=f'^dataset x: .*{where} images of shape .* no network'):
            flat.observation_keys(whole, 'x')


@pytest.mark.parametrize('space', OTHERS, ids=str)
def test_other_arrays_are_features(space):
    assert not frames.is_image(space)
    assert flat.observation_keys(Dict({'a': space, 'b': UNIT}), 'x') == ('a', 'b')


def test_an_array_of_positions_is_loaded(storage):
    positions = np.arange(3 * 30, dtype=np.float32).reshape(3, 10, 3)
    spaces = Box(-np.inf, np.inf, (10, 3), np.float32), UNIT
    store(ID, [episode(2, observations=positions)], spaces=spaces)
    np.testing.assert_array_equal(
        loading.load(ID).transitions.observation, positions[:2].reshape(2, 30)
    )


class Camera(gym.Env):
    """Shows frames."""

    observation_space = Box(0, 255, (4, 84, 84), np.uint8)
    action_space = UNIT


def test_an_environment_of_frames_is_refused(monkeypatch):
    monkeypatch.setattr(gym.envs.registration, 'registry', dict(gym.registry))
    monkeypatch.setattr(gym, 'registry', gym.envs.registration.registry)
    gym.register('Camera-v0', entry_point='tests.data.test_frames:Camera')
    with pytest.raises(DatasetError, match='^environment Camera-v0: observations are images of shape'):
        problem.from_environment('Camera-v0')


def test_a_space_without_boxes_holds_none():
    assert not frames.is_image(Discrete(3))

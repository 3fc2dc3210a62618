"""Where a maze's log has been, against counts by hand."""

import dataclasses

import gymnasium as gym
import numpy as np

from data import places
from tests.data.test_inspection import OFFSETS, STEPS, made


def test_only_mazes_have_places():
    assert places.of(made()) is None and places.of(made(env_spec=None)) is None


def test_every_step_is_in_its_square():
    observation = np.zeros((STEPS, 4), np.float32)
    observation[:, 0] = np.arange(STEPS) % 5
    observation[:, 1] = 10 * (np.arange(STEPS) // 5)
    maze = dataclasses.replace(gym.spec('CartPole-v1'), id='antmaze-medium-v0')
    visited = places.of(made(env_spec=maze, observation=observation))
    assert visited.steps.sum() == STEPS
    assert [len(each) - 1 for each in visited.edges] == list(visited.steps.shape)
    # Squares, of which a hundred lie along the longer side.
    assert visited.steps.shape == (40, 100)
    for x, y in observation[:, :2]:
        column, row = (
            min(np.searchsorted(edges, value, side='right'), len(edges) - 1) - 1
            for edges, value in zip(visited.edges, (x, y))
        )
        assert visited.steps[column, row] == 1
    np.testing.assert_array_equal(visited.starts, observation[OFFSETS[:-1], :2])
    # Of the three episodes, the first terminates.
    np.testing.assert_array_equal(visited.goals, observation[[3], :2])

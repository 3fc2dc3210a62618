"""The map between an environment's actions and an algorithm's, in both directions."""

import json

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from data import actions
from data.types import DatasetError

BOX = Box(np.array([[-2.0, 1.0]], np.float32), np.array([[2.0, 5.0]], np.float32))


def test_a_box_becomes_the_unit_box_and_back():
    action_map = actions.from_space(BOX, 'here')
    recorded = np.array([[[-2.0, 1.0]], [[0.0, 2.0]], [[2.0, 5.0]]], np.float32)
    mapped = action_map.to_algorithm(recorded)
    np.testing.assert_allclose(mapped, [[-1, -1], [0, -0.5], [1, 1]])
    for unit, action in zip(mapped, recorded):
        back = action_map.to_environment(unit)
        assert back.shape == BOX.shape
        np.testing.assert_allclose(back, action)
    # (members, environments, size) too.
    many = action_map.to_environment(np.broadcast_to(mapped, (2, *mapped.shape)))
    np.testing.assert_allclose(many, np.broadcast_to(recorded, (2, *recorded.shape)))


def test_what_leaves_the_unit_box_is_cut():
    action_map = actions.from_space(BOX, 'here')
    np.testing.assert_allclose(action_map.to_environment(np.array([-3.0, 7.0])), [[-2, 5]])
    np.testing.assert_array_equal(action_map.to_algorithm(np.array([[[2.0001, 1.0]]])), [[1, -1]])


def test_out_of_bounds_is_more_than_rounding():
    action_map = actions.from_space(BOX, 'here')
    recorded = np.array([[2.0001, 1.0], [2.01, 1.0], [0.0, 5.1], [0.0, 3.0]])
    np.testing.assert_array_equal(action_map.outside(recorded), [False, True, True, False])


def test_indices_begin_at_zero():
    action_map = actions.from_space(Discrete(3, start=5), 'here')
    np.testing.assert_array_equal(action_map.to_algorithm(np.array([5, 7, 6])), [0, 2, 1])
    assert action_map.to_environment(np.int32(2)) == 7
    assert action_map.to_environment(np.array([[0, 2]])).tolist() == [[5, 7]]
    np.testing.assert_array_equal(
        action_map.outside(np.array([4, 5, 7, 8])), [True, False, False, True]
    )


@pytest.mark.parametrize('kind', [np.float32, np.float64])
def test_plain_data_and_back(kind):
    for space in (Box(-0.1, 0.3, (2,), kind), Discrete(4, start=1)):
        action_map = actions.from_space(space, 'here')
        again = actions.from_json(json.loads(json.dumps(action_map.to_json())))
        for before, after in zip(action_map, again, strict=True):
            np.testing.assert_array_equal(before, after)
        assert action_map.discrete or again.low.dtype == kind


@pytest.mark.parametrize(
    ('space', 'message'),
    [
        (MultiDiscrete([2, 2]), 'here: action space MultiDiscrete.* is not supported'),
        (Box(-np.inf, 1, (2,)), 'here: action space .* needs finite bounds'),
        (Box(1, 1, (2,)), 'here: action space .* low < high'),
    ],
)
def test_other_spaces_are_named(space, message):
    with pytest.raises(DatasetError, match=message):
        actions.from_space(space, 'here')

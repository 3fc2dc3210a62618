"""The map between an environment's actions and an algorithm's, in both directions."""

import json
from fractions import Fraction

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete

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


WHOLE = ('uint8', 'int8', 'uint16', 'int16', 'int32', 'uint32', 'int64', 'uint64')


@pytest.mark.parametrize('shape', [(), (1,), (2, 3)])
@pytest.mark.parametrize('kind', [*WHOLE, 'float16', 'float32', 'float64', 'bool'])
def test_every_number_type_is_mapped_in_float64(kind, shape):
    kind = np.dtype(kind)
    limits = (0, 1) if kind.kind == 'b' else (-0.1, 0.3)
    if kind.kind in 'iu':
        limits = np.iinfo(kind).min, np.iinfo(kind).max
    space = Box(*limits, shape, kind)
    low, high = (int(each) if kind.kind in 'iub' else float(each.flat[0])
                 for each in (space.low.flat[0], space.high.flat[0]))  # fmt: skip
    size = int(np.prod(shape))
    log_range = np.full(size, float(low)), np.full(size, float(high))
    action_map = actions.from_space(space, 'here', log_range)
    assert not action_map.measured
    # The bounds, what is near them, and what is between, exactly as Python's own numbers have it.
    shares = [Fraction(each, 1000) for each in (0, 1, 333, 500, 990, 999, 1000)]
    recorded = [low + (Fraction(high) - Fraction(low)) * share for share in shares]
    if kind.kind in 'iub':
        recorded = [round(each) for each in recorded]
    stored = np.array(recorded, object).astype(kind)
    batch = np.broadcast_to(stored.reshape(-1, *(1,) * len(shape)), (len(stored), *shape))
    exact = [2 * (Fraction(each.item()) - Fraction(low)) / (Fraction(high) - Fraction(low)) - 1
             for each in stored]  # fmt: skip
    assert not action_map.outside(batch).any()
    found = action_map.to_algorithm(batch)
    assert found.dtype == np.float32
    expected = np.repeat(np.array(exact, float)[:, None], size, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
    for units in (action_map.to_unit(batch), np.linspace(-1.5, 1.5, 301)[:, None].repeat(size, 1)):
        back = action_map.to_environment(units)
        assert back.dtype == kind and back.shape == (len(units), *shape)
        assert all(map(space.contains, back))
    back = action_map.to_environment(action_map.to_unit(batch)).reshape(len(stored), -1)
    if kind.kind in 'iub' and kind.itemsize < 8:
        np.testing.assert_array_equal(back, batch.reshape(back.shape))
    ends = action_map.to_environment(np.array([[-1.0] * size, [1] * size, [-9] * size], np.float32))
    np.testing.assert_array_equal(ends, np.stack([space.low, space.high, space.low]))


def test_whole_numbers_are_rounded_to_the_nearest():
    action_map = actions.from_space(Box(0, 20, (1,), np.int32), 'here')
    units = np.array([[-1], [-0.96], [-0.94], [0], [0.23], [1]], np.float32)
    assert action_map.to_environment(units).ravel().tolist() == [0, 0, 1, 10, 12, 20]


def test_whole_numbers_are_out_of_bounds_by_one():
    action_map = actions.from_space(Box(0, 900, (1,), np.int16), 'here')
    recorded = np.array([[-1], [0], [900], [901]])
    np.testing.assert_array_equal(action_map.outside(recorded), [True, False, False, True])


@pytest.mark.parametrize(
    ('low', 'high', 'recorded', 'bounds', 'measured'),
    [
        (-np.inf, np.inf, (-2.0, 5.0), (-2, 5), (0,)),
        (0.0, np.inf, (1.0, 5.0), (0, 5), (0,)),
        (-3.4e38, 3.4e38, (-2.0, 5.0), (-2, 5), (0,)),
        (-1e30, 1.0, (-2.0, 0.5), (-2, 1), (0,)),
        (-1e4, 1e4, (-2.0, 5.0), (-2, 5), (0,)),
        (-1e4, 1e4, (-20.0, 50.0), (-1e4, 1e4), ()),
        # Small bounds are meant, however little of them the log uses.
        (-1.0, 1.0, (-1e-5, 1e-5), (-1, 1), ()),
        (-1.0, 1.0, (0.0, 0.0), (-1, 1), ()),
    ],
)
def test_bounds_that_say_none_are_those_of_the_log(low, high, recorded, bounds, measured):
    space = Box(np.array([low]), np.array([high]), dtype=np.float64)
    found = actions.from_space(space, 'here', tuple(np.array([each]) for each in recorded))
    assert (found.low[0], found.high[0]) == bounds and found.measured == measured
    for each in (*bounds, *recorded):
        assert space.contains(np.array([each]))


def test_wide_integers_far_beyond_the_log_are_those_of_the_log():
    space = Box(0, 2**63 - 1, (1,), np.int64)
    found = actions.from_space(space, 'here', ([0.0], [20.0]))
    assert (found.low[0], found.high[0], found.measured) == (0, 20, (0,))


def test_where_the_log_shows_no_bounds_either_it_is_said():
    space = Box(np.array([-1, -np.inf]), np.array([1, np.inf]), dtype=np.float64)
    with pytest.raises(DatasetError, match='no bounds in dimension 1, .* it is 3 in every step'):
        actions.from_space(space, 'here', (np.array([0.0, 3.0]), np.array([0.5, 3.0])))


def test_indices_begin_at_zero():
    action_map = actions.from_space(Discrete(3, start=5), 'here')
    np.testing.assert_array_equal(action_map.to_algorithm(np.array([5, 7, 6])), [0, 2, 1])
    assert action_map.to_environment(np.int32(2)) == 7
    assert action_map.to_environment(np.array([[0, 2]])).tolist() == [[5, 7]]
    np.testing.assert_array_equal(
        action_map.outside(np.array([4, 5, 7, 8])), [True, False, False, True]
    )
    # Recorded as floats they are whole.
    np.testing.assert_array_equal(action_map.to_algorithm(np.array([5.0, 7.0])), [0, 2])
    np.testing.assert_array_equal(action_map.outside(np.array([5.0, 5.5, 4.5])), [False, True, True])
    far = actions.from_space(Discrete(3, start=2**40), 'here')
    assert far.to_environment(np.int32(2)) == 2**40 + 2


@pytest.mark.parametrize('kind', [np.float32, np.float64])
def test_plain_data_and_back(kind):
    boxes = Box(-0.1, 0.3, (2,), kind), Box(-0.1, np.inf, (2,), kind)
    for space in (*boxes, Discrete(4, start=1)):
        action_map = actions.from_space(space, 'here', (np.zeros(2), np.ones(2)))
        again = actions.from_json(json.loads(json.dumps(action_map.to_json())))
        for before, after in zip(action_map, again, strict=True):
            np.testing.assert_array_equal(before, after)
        assert action_map.discrete or again.low.dtype == kind


@pytest.mark.parametrize(
    ('space', 'message'),
    [
        (MultiDiscrete([2, 2]), 'here: action space MultiDiscrete.* is not supported'),
        (Box(-np.inf, 1, (2,)), 'here: action space .* needs finite bounds: -inf in dimension 0'),
        (Box(-1, 3.4e38, (2,)), 'here: action space .* needs finite bounds: 3.4e.38 in dimension 0'),
        (MultiBinary(2), 'here: action space MultiBinary.* is not supported'),
        (Dict({'a': BOX}), 'here: action space Dict.* is not supported'),
        (Box(0, 1, (0,)), 'here: action space .* needs dimensions'),
        (Box(1, 1, (2,)), 'here: action space .* low < high'),
    ],
)
def test_other_spaces_are_named(space, message):
    with pytest.raises(DatasetError, match=message):
        actions.from_space(space, 'here')

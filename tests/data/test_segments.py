import numpy as np
import pytest

from data import batches, segments
from data.batches import Form
from data.types import DatasetError, SegmentPair
from tests.data.test_preferences import dataset, stated

PAIRS = stated((0, 0, 2, 1, 1, 3, 1), (1, 0, 4, 0, 1, 1, 0), (1, 2, 2, 1, 0, 2, 0.5))


def test_a_segment_is_its_steps_and_then_padding(monkeypatch):
    monkeypatch.setattr(segments, '_BLOCK', 2)
    found = segments.pairs(dataset(2, 4)._replace(preferences=PAIRS))
    steps = [[[0, 1], [3, 4, 5]], [[2, 3, 4, 5], [1]], [[4, 5], [2, 3]]]
    for pair, sides in enumerate(steps):
        for side, numbers in enumerate(sides):
            padded = np.zeros((4, 2))
            padded[: len(numbers), 0], padded[: len(numbers), 1] = numbers, -np.array(numbers)
            np.testing.assert_array_equal(found.observation[pair, side], padded)
            expected = np.pad(np.array(numbers) % 3, (0, 4 - len(numbers)))
            np.testing.assert_array_equal(found.action[pair, side], expected)
            np.testing.assert_array_equal(found.mask[pair, side], np.arange(4) < len(numbers))
    np.testing.assert_array_equal(found.label, [1, 0, 0.5])
    assert (found.observation.dtype, found.action.dtype) == (np.float32, np.int32)


def test_batches_are_of_pairs_with_standardised_observations():
    data, form = dataset(2, 4)._replace(preferences=PAIRS), Form(SegmentPair)
    made = batches.sampled_from(data, form, 1.0)
    assert batches.count(made) == 3
    maps = data.problem.preprocessing._replace(observation_std=np.float32([2, 4]))
    batch = batches.finished(batches.gatherer(form)(made, np.array([2, 0])), form, maps, 1.0)
    np.testing.assert_array_equal(batch.observation[0, 0, :2], [[2, -1], [2.5, -1.25]])
    np.testing.assert_array_equal(batch.label, [0.5, 1])


def test_none_is_refused():
    none = type(PAIRS)(*(array[:0] for array in PAIRS))
    with pytest.raises(DatasetError, match='none of its preferences'):
        segments.pairs(dataset(2, 4)._replace(preferences=none))

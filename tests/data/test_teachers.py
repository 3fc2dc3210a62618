"""Scripted teachers, against their formulas."""

import numpy as np
import pytest

from data import teachers
from data.teachers import TEACHERS
from data.types import DatasetError
from tests.data.test_preferences import dataset, stated

# Rewards number the steps: 0 + 1 against 3 + 4 + 5, and so on.
PAIRS = stated((0, 0, 2, 1, 1, 3, 0.5), (1, 0, 4, 0, 1, 1, 0.5), (1, 0, 2, 1, 3, 1, 0.5))


def rewarded(*values):
    data = dataset(2, 4)
    return data._replace(transitions=data.transitions._replace(reward=np.float32(values)))


def labels(kind: str, data, pairs, seed: int = 0) -> np.ndarray:
    return teachers.labelled(data, pairs, TEACHERS[kind], np.random.default_rng(seed)).label


def test_returns_weigh_the_last_steps_most():
    np.testing.assert_allclose(
        teachers.returns(dataset(2, 4), PAIRS, 0.5),
        [[0.5 * 0 + 1, 0.25 * 3 + 0.5 * 4 + 5], [2 / 8 + 3 / 4 + 4 / 2 + 5, 1], [2 / 2 + 3, 5]],
    )


def test_an_oracle_prefers_the_larger_sum_and_neither_of_equal_ones():
    np.testing.assert_array_equal(labels('return', dataset(2, 4), PAIRS), [0, 1, 0.5])


def test_a_myopic_one_forgets_what_was_early():
    # 9 and then 1, or 1 and then 8.5: more in all against more at the end.
    data = rewarded(9, 1, 1, 8.5, 0, 0)
    pair = stated((0, 0, 2, 1, 0, 2, 0.5))
    assert labels('return', data, pair) == 1 and labels('myopic', data, pair) == 0


def test_a_noisy_one_follows_bradley_and_terry():
    data, many = rewarded(1, 0, 0, 0, 0, 0), np.repeat(0, 4_000)
    pairs = stated((0, 0, 1, 1, 0, 1, 0.5))
    pairs = type(pairs)(*(array[many] for array in pairs))
    share = labels('noisy', data, pairs).mean()
    # Four standard deviations.
    assert share == pytest.approx(np.e / (np.e + 1), abs=4 * 0.5 / np.sqrt(4_000))


def test_a_mistaken_one_errs_once_in_ten_times():
    many = np.repeat(np.arange(3), 4_000)
    pairs = type(PAIRS)(*(array[many] for array in PAIRS))
    found = labels('mistaken', dataset(2, 4), pairs).reshape(3, 4_000)
    bound = 4 * 0.3 / np.sqrt(4_000)
    assert found[0].mean() == pytest.approx(0.1, abs=bound)
    assert found[1].mean() == pytest.approx(0.9, abs=bound)
    assert set(found[2]) == {0.5}


def test_segments_are_uniform_among_all_and_no_pair_is_one_twice():
    data = dataset(2, 5, 3)
    pairs = teachers.drawn(data, 6_000, 3, np.random.default_rng(0))
    segments = np.stack(pairs[:3], axis=-1)
    assert not np.any(np.all(segments[:, 0] == segments[:, 1], axis=-1))
    there, counts = np.unique(segments.reshape(-1, 3), axis=0, return_counts=True)
    np.testing.assert_array_equal(there, [[0, 0, 2], [1, 0, 3], [1, 1, 3], [1, 2, 3], [2, 0, 3]])
    np.testing.assert_allclose(counts / counts.sum(), 0.2, atol=4 * 0.4 / np.sqrt(12_000))


@pytest.mark.parametrize('kind', TEACHERS)
def test_equal_rewards_tell_nothing(kind):
    with pytest.raises(DatasetError, match='earn the same'):
        labels(kind, rewarded(0, 0, 0, 0, 0, 0), PAIRS)


def test_one_segment_has_nothing_to_be_compared_with():
    with pytest.raises(DatasetError, match='one segment'):
        teachers.drawn(dataset(4), 3, 5, np.random.default_rng(0))

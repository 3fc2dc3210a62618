"""What observations become of cells that are missing, categories, times, and too long for float32."""

import numpy as np
import pytest

from data.columns import Feature
from data.types import DatasetError
from tests.data.ingestion.helpers import ingested, table

# In order, patient b has lab -, 2, - and a has 6, -; the mean is 4.
GAPS = {'lab': ['', None, None, 6.0, 2.0], 'visit': [2, 2, 1, 1, 3]}


def lab(data) -> np.ndarray:
    return data.transitions.observation[:, 1]


@pytest.mark.parametrize(
    'fill, expected', [('forward', [4, 4, 2, 6, 6]), ('mean', [4, 4, 2, 6, 4])]
)
def test_what_is_missing_is_filled_as_asked(storage, tmp_path, fill, expected):
    data, said = ingested(tmp_path, table(**GAPS), fill=fill)
    np.testing.assert_array_equal(lab(data), expected)
    feature = data.problem.columns.features[1]
    assert feature == Feature('lab', 'lab', carried=fill == 'forward', fill=4.0, missing=0.6)
    assert 'lab: missing in 3 of 5 rows (60.0%): ' in said
    if fill == 'forward':
        assert (
            '1 have the last known value of their episode, 2, with none before, the mean 4' in said
        )


def test_an_indicator_says_what_was_missing(storage, tmp_path):
    data, said = ingested(tmp_path, table(**GAPS), fill='indicator')
    names = [feature.name for feature in data.problem.columns.features]
    assert names == ['age', 'lab', 'lab missing']
    np.testing.assert_array_equal(lab(data), [4, 4, 2, 6, 4])
    np.testing.assert_array_equal(data.transitions.observation[:, 2], [1, 1, 0, 0, 1])
    assert "'lab missing' tells which" in said


@pytest.mark.parametrize(
    'fill, filled', [('forward', [[1, 0], [1, 0]]), ('mean', [[0, 0], [0, 0]])]
)
def test_categories_have_an_entry_each(storage, tmp_path, fill, filled):
    wards = ['icu', 'icu', None, ' home ', '']
    data, said = ingested(tmp_path, table(ward=wards), categories=('ward',), fill=fill)
    names = [feature.name for feature in data.problem.columns.features]
    assert names == ['age', 'lab', 'ward=home', 'ward=icu']
    # b: missing, icu, missing; a: icu, home.
    found = data.transitions.observation[:, 2:]
    np.testing.assert_array_equal(found[[1, 3, 4]], [[0, 1], [0, 1], [1, 0]])
    np.testing.assert_array_equal(found[0], [0, 0])
    np.testing.assert_array_equal(found[2], filled[0][::-1])
    assert data.problem.columns.features[3].category == 'icu'
    assert data.problem.columns.features[3].fill == 0.0
    assert 'ward: missing in 2 of 5 rows' in said and 'all its entries 0' in said


def test_categories_may_be_numbers_and_miss_nothing(storage, tmp_path):
    data, _ = ingested(tmp_path, table(), observations=('lab',), categories=('age',))
    names = [feature.name for feature in data.problem.columns.features]
    assert names == ['lab', 'age=30', 'age=31', 'age=50', 'age=51']
    assert data.problem.columns.features[1].fill is None


def test_a_missing_category_needs_an_option_too(storage, tmp_path):
    with pytest.raises(DatasetError, match='missing values: ward .1 rows'):
        ingested(tmp_path, table(ward=['', 1, 1, 1, 2]), categories=('ward',))


def test_times_are_days_since_the_earliest(storage, tmp_path):
    seen = ['2026-01-03T12:00Z', '2026-01-01 00:00:00+00:00', None, '2026-01-11T00:00:00.5Z', '']
    data, said = ingested(tmp_path, table(seen=seen), times=('seen',), fill='mean')
    days = np.array([2.5, 0, 10 + 0.5 / 86400])
    np.testing.assert_allclose(data.transitions.observation[:, 2],
                               [days.mean(), 2.5, days.mean(), 0, days[2]], rtol=1e-6)  # fmt: skip
    feature = data.problem.columns.features[2]
    assert feature.kind == 'time' and feature.origin == '2026-01-01T00:00:00.000000'
    np.testing.assert_allclose(feature.fill, days.mean())
    assert 'seen: days since 2026-01-01' in said


@pytest.mark.parametrize('seen', ['01/02/2026', '2026-02-30', '2026', 'today', '2026-01-01T00:00Z'])
def test_what_is_no_time_is_named(storage, tmp_path, seen):
    cells = ['2026-01-01', '2026-01-02', seen, '2026-01-03', '2026-01-04']
    with pytest.raises(
        DatasetError, match='no times in ISO 8601.* seen .1 rows, the first is row 3'
    ):
        ingested(tmp_path, table(seen=cells), times=('seen',))


@pytest.mark.parametrize(
    ('cells', 'problem'),
    [
        (
            [2**24 + each for each in range(5)],
            'age: whole numbers up to 16,777,220 are stored as float32',
        ),
        ([1 + each / 1e9 for each in range(5)], 'age: of 5 distinct values looked at, 4 are equal'),
        ([2**24 - each for each in range(5)], None),
        ([0.1, 0.2, 0.3, 0.4, 0.5], None),
    ],
)
def test_what_float32_loses_is_said(storage, tmp_path, cells, problem):
    _, said = ingested(tmp_path, table(age=cells))
    assert (f'WARNING: {problem}' in said) if problem else 'WARNING' not in said


def test_seconds_that_days_cannot_tell_apart_are_said(storage, tmp_path):
    seen = ['2000-01-01', *(f'2026-01-01T00:00:0{second}' for second in range(4))]
    _, said = ingested(tmp_path, table(seen=seen), times=('seen',))
    assert 'WARNING: seen: of 5 distinct values looked at, 3 are equal' in said


def test_many_numbers_of_full_length_are_no_loss(storage, tmp_path):
    rows = 20_000
    rng = np.random.default_rng(0)
    columns = {
        'patient': [1] * rows, 'visit': range(rows), 'age': rng.uniform(size=rows),
        'lab': rng.normal(size=rows), 'drug': [0, 1] * (rows // 2), 'alive': rng.uniform(size=rows),
    }  # fmt: skip
    _, said = ingested(tmp_path, columns)
    assert 'WARNING' not in said

"""What is taken for actions: labels, combinations, amounts; and what is refused."""

import numpy as np
import pytest

from data.types import DatasetError
from tests.data.ingestion.helpers import ingested, table


@pytest.mark.parametrize(
    ('cells', 'labels', 'words'),
    [
        ([' b', 'a', 'b', 'B', '1'], ('1', 'B', 'a', 'b'), ''),
        ([10, 9, 9, 10, -1], (-1, 9, 10), 'its whole numbers are labels'),
        (['10', '9.0', '9', 10, -1], (-1, 9, 10), 'written as fractions but are whole'),
        (['01', '02', '01', '02', '1'], ('01', '02', '1'), ''),
        ([2**60, 2**60 + 1, 2**60, 2**60, 0], (0, 2**60, 2**60 + 1), ''),
        (['true', 'false', 'true', 'false', 'true'], ('false', 'true'), ''),
        (['inf', 'none', 'inf', 'none', 'inf'], ('inf', 'none'), ''),
    ],
)
def test_a_column_of_labels(storage, tmp_path, cells, labels, words):
    data, said = ingested(tmp_path, table(drug=cells), order='')
    assert data.problem.columns.labels == labels
    written = [labels[action] for action in data.transitions.action]
    expected = [str(cells[row]).strip().removesuffix('.0') for row in (0, 2, 4, 1, 3)]
    assert [str(label) for label in written] == expected
    assert words in said and f'{len(labels)} discrete actions' in said


def test_fractions_are_amounts_between_measured_bounds(storage, tmp_path):
    cells = [0.5, 1, 2, 3, 8]
    data, said = ingested(tmp_path, table(drug=cells), order='')
    assert not data.problem.spec.discrete and data.problem.columns.labels == ()
    assert (data.problem.action_map.low, data.problem.action_map.high) == (0.5, 8)
    np.testing.assert_allclose(
        data.problem.actions(data.transitions.action)[:, 0], [0.5, 2, 8, 1, 3], rtol=1e-6
    )
    assert 'drug: a continuous action between 0.5 and 8 (bounds measured)' in said


def test_bounds_may_be_given(storage, tmp_path):
    columns = table(dose=[0, 1, 2, 3, 4], rate=[0.5, 0.1, 0.2, 0.3, 0.4])
    data, said = ingested(tmp_path, columns, action=('dose', 'rate'), low=(-1.0,), high=(5.0, 1.0))
    np.testing.assert_array_equal(data.problem.action_map.low, [-1, -1])
    np.testing.assert_array_equal(data.problem.action_map.high, [5, 1])
    assert 'rate: a continuous action between -1 and 1 (bounds given)' in said
    assert data.problem.columns.actions == ('dose', 'rate')


def test_labels_and_amounts_may_be_told_apart_by_hand(storage, tmp_path):
    columns = table(drug=[0, 1, 2, 3, 4])
    data, _ = ingested(tmp_path, columns, actions_are='continuous')
    assert not data.problem.spec.discrete
    assert data.problem.action_map.high == 4


def test_fractions_may_be_labels(storage, tmp_path):
    data, _ = ingested(tmp_path, table(drug=[0.5, 1, 0.5, 1, 1]), actions_are='labels')
    assert data.problem.columns.labels == ('0.5', '1')


def test_columns_of_whole_numbers_are_one_choice(storage, tmp_path):
    columns = table(fluids=[0, 1, 0, 1, 3], vaso=[2, 0, 2, 0.0, 0])
    data, said = ingested(tmp_path, columns, action=('fluids', 'vaso'), order='')
    assert data.problem.columns.labels == ((0, 2), (1, 0), (3, 0))
    np.testing.assert_array_equal(data.transitions.action, [0, 0, 2, 1, 1])
    assert 'the combinations of whole numbers that occur' in said
    np.testing.assert_array_equal(
        data.problem.actions(data.transitions.action[:3]), [[0, 2], [0, 2], [3, 0]]
    )


def test_a_label_of_no_step_is_none(storage, tmp_path):
    """The last rows of cut episodes take no action."""
    columns = table(drug=['x', 'y', 'x', 'end', 'end'])
    data, said = ingested(tmp_path, columns, end='truncated')
    assert 'only rows without a step have are left out: end' in said
    assert data.problem.columns.labels == ('x', 'y')


def test_an_action_seen_once_is_a_warning(storage, tmp_path):
    _, said = ingested(tmp_path, table(drug=['x', 'y', 'x', 'z', 'x']))
    assert 'WARNING: drug: actions seen once: 2 of 3 (y, z)' in said


@pytest.mark.parametrize(
    ('columns', 'changes', 'problem'),
    [
        ({'drug': ['x', 1, 2, 3, 4]}, {'actions_are': 'continuous'}, "'drug' holds 'x' in row 1"),
        (
            {'drug': ['x', 1, 2, 3, 4]},
            {'action': ('drug', 'dose')},
            "several columns of actions are numbers; 'drug'",
        ),
        (
            {'dose': [0.5, 1, 2, 3, 4], 'drug': [1, 2, 3, 4, 5]},
            {'action': ('drug', 'dose'), 'actions_are': 'labels'},
            'hold fractions',
        ),
        ({'drug': [0.5, 'inf', 2, 3, 4]}, {}, "'drug' is infinite in 1 rows, the first is row 2"),
        (
            {'drug': [2] * 5},
            {'actions_are': 'continuous'},
            "'drug' never changes: it is 2 in every step",
        ),
        ({'drug': [2.5] * 5}, {}, "'drug' never changes: it is 2.5 in every step"),
        ({'drug': [2.5] * 5}, {'low': (0.0,), 'high': (3.0,)}, "'drug' never changes"),
        (
            {'drug': [0.5, 1, 2, 3, 4]},
            {'low': (1.0,)},
            'reaches from 0.5 to 4, outside the bounds 1 and 4',
        ),
        ({'drug': [0.5, 1, 2, 3, 4]}, {'low': (5.0,), 'high': (1.0,)}, 'low must be below high'),
        ({'drug': [0.5, 1, 2, 3, 4]}, {'low': (0.0, 1.0)}, '--low has 2 numbers for 1 columns'),
        ({}, {'low': (0.0,)}, 'are bounds of continuous actions; drug is taken as labels'),
        (
            {'drug': [1] * 5, 'dose': [0] * 5},
            {'action': ('drug', 'dose')},
            r'all steps have one action, \(1, 0\)',
        ),
        (
            {'drug': [2**60, 1, 1, 1, 1], 'dose': [0] * 5},
            {'action': ('drug', 'dose')},
            r'beyond 2\*\*53',
        ),
    ],
)
def test_what_can_be_no_action_is_refused(storage, tmp_path, columns, changes, problem):
    columns = {'dose': [0, 1, 2, 3, 4]} | columns
    with pytest.raises(DatasetError, match=problem):
        ingested(tmp_path, table(**columns), **changes)
    assert not any(storage.iterdir())


def test_too_many_labels_are_refused(storage, tmp_path):
    rows = 1_100
    columns = {
        'patient': [1] * rows, 'visit': range(rows), 'age': [1] * rows, 'lab': [1] * rows,
        'drug': range(rows), 'dose': [0, 1] * 550, 'alive': [0] * rows,
    }  # fmt: skip
    with pytest.raises(DatasetError, match="'drug' has more than 1,000 labels"):
        ingested(tmp_path, columns)
    with pytest.raises(DatasetError, match='more than 1,000 combinations'):
        ingested(tmp_path, columns, action=('drug', 'dose'))
    columns['drug'] = [each / 7 for each in range(rows)]
    data, _ = ingested(tmp_path, columns)
    assert not data.problem.spec.discrete

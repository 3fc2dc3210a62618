"""From a table on disk to what the loader makes of the dataset."""

import minari
import numpy as np
import pytest

from data import behaviour, loading
from data.columns import Columns, Feature
from data.ingestion import episodes, tables
from data.loading import DURATION
from data.types import DatasetError
from tests.data.ingestion.helpers import ID, ROLES, TABLE, ingested, table, write_csv


def test_rows_become_steps_in_the_order_of_their_episodes(storage, tmp_path):
    data, said = ingested(tmp_path, TABLE)
    # Patient b comes first in the file.
    np.testing.assert_array_equal(data.episode_lengths, [3, 2])
    np.testing.assert_array_equal(
        data.transitions.observation, [[50, 2.5], [50, 0.5], [51, 4.5], [30, 1.5], [31, 3.5]]
    )
    np.testing.assert_array_equal(
        data.transitions.next_observation, [[50, 0.5], [51, 4.5], [51, 4.5], [31, 3.5], [31, 3.5]]
    )
    np.testing.assert_array_equal(data.transitions.action, [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(data.transitions.reward, [0, 0, 0.5, 0, 1])
    np.testing.assert_array_equal(data.transitions.discount, [1, 1, 0, 1, 0])
    assert not data.truncation.any()
    assert data.problem.env_spec is None and data.problem.scores is None
    kept = data.problem.columns
    assert kept == Columns(
        (Feature('age', 'age'), Feature('lab', 'lab')), ('drug',), ('none', 'some'), 'patient', 'alive',
        order='visit', notes=kept.notes,
    )  # fmt: skip
    assert kept.notes == tuple(said.split('\n'))
    assert '5 rows: 5 steps in 2 episodes, 2 of which terminated' in said
    metadata = minari.load_dataset(ID).storage.metadata
    assert metadata['description'] == 'ingested from visits.csv'
    assert metadata['code_permalink'] == 'python -m launch.ingest'
    assert [each.name for each in (storage / 'clinic').iterdir()] == ['visits-v0']


def test_without_an_order_rows_stand_in_it(storage, tmp_path):
    data, _ = ingested(tmp_path, TABLE, order='')
    np.testing.assert_array_equal(data.transitions.observation[:, 1], [0.5, 2.5, 4.5, 1.5, 3.5])


def test_of_a_cut_episode_the_last_row_only_closes_it(storage, tmp_path):
    made = {name: [*cells, cells[0]] for name, cells in TABLE.items()}
    made['patient'][-1], made['alive'][-1] = 'c', 7
    data, said = ingested(tmp_path, made, end='truncated')
    np.testing.assert_array_equal(data.episode_lengths, [2, 1])
    np.testing.assert_array_equal(
        data.transitions.next_observation, [[50, 0.5], [51, 4.5], [31, 3.5]]
    )
    np.testing.assert_array_equal(data.truncation, [False, True, True])
    np.testing.assert_array_equal(data.transitions.discount, 1)
    assert '3 episodes are truncated' in said
    # 0.5 + 1 + 7, of b, a and c.
    assert 'a reward of 8.5 in all (3 of these rows have one)' in said
    assert 'WARNING: 1 truncated episodes of a single row hold no step and are left out' in said


@pytest.mark.parametrize('marks', [[0, 0, 0, 1, 0], ['False', 'FALSE', 'false', 'True', 'false']])
def test_a_column_marks_the_ends(storage, tmp_path, marks):
    data, said = ingested(tmp_path, table(died=marks), terminal='died', end='')
    np.testing.assert_array_equal(data.episode_lengths, [2, 2])
    np.testing.assert_array_equal(data.transitions.discount, [1, 1, 1, 0])
    assert '1 of which terminated' in said and '1 episodes are truncated' in said


def test_probabilities_and_durations_are_kept_with_the_steps(storage, tmp_path):
    columns = table(p=[0.5, 1, 0.25, 0.125, 1], day=[3, 1, 1, 1.5, 10])
    data, _ = ingested(tmp_path, columns, behaviour_probability='p', discount_time='day')
    np.testing.assert_allclose(behaviour.recorded_log_probs(data), np.log([0.25, 0.5, 1, 1, 0.125]))
    found = [each.infos[DURATION] for each in minari.load_dataset(ID)]
    np.testing.assert_array_equal(np.concatenate(found), [2, 7, 1, 0.5, 1])
    assert data.problem.columns.duration == 'day'


def test_a_density_may_be_above_one(storage, tmp_path):
    columns = table(p=[2.5, 1, 0.25, 40, 1], drug=[0.1, 0.2, 0.3, 0.4, 0.5])
    data, _ = ingested(tmp_path, columns, behaviour_probability='p')
    np.testing.assert_allclose(
        behaviour.recorded_log_probs(data), np.log([0.25, 2.5, 1, 1, 40])
    )


def test_dates_order_rows_and_last_days(storage, tmp_path):
    columns = table(
        visit=['2026-01-02T12:00', '2026-01-01', '2026-01-01', '2026-03-01', '2026-01-04']
    )
    data, _ = ingested(tmp_path, columns, discount_time='visit')
    np.testing.assert_array_equal(data.transitions.observation[:, 1], [2.5, 0.5, 4.5, 1.5, 3.5])
    found = [each.infos[DURATION] for each in minari.load_dataset(ID)]
    np.testing.assert_allclose(np.concatenate(found), [1.5, 1.5, 1, 59, 1])


def test_order_and_time_may_be_observed(storage, tmp_path):
    data, _ = ingested(tmp_path, TABLE, observations=('visit', 'lab'), discount_time='visit')
    np.testing.assert_array_equal(data.transitions.observation[:, 0], [1, 2, 3, 1, 2])


def test_chunks_do_not_show(storage, tmp_path, monkeypatch):
    monkeypatch.setattr(episodes, '_ROWS', 2)
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 7, 40)
    columns = {
        'patient': patients, 'visit': rng.permutation(40), 'age': rng.normal(size=40),
        'lab': [None if each < 0.5 else each for each in rng.uniform(size=40)],
        'drug': rng.integers(0, 3, 40), 'alive': rng.normal(size=40),
    }  # fmt: skip
    data, _ = ingested(tmp_path, columns, fill='forward')
    known = [each for each in columns['lab'] if each is not None]
    expected = []
    for patient in dict.fromkeys(patients.tolist()):
        last = np.mean(known)
        for row in sorted(
            np.flatnonzero(patients == patient), key=lambda row: columns['visit'][row]
        ):
            last = last if columns['lab'][row] is None else columns['lab'][row]
            expected.append(
                (columns['age'][row], last, columns['drug'][row], columns['alive'][row])
            )
    found = np.column_stack(
        [data.transitions.observation, data.transitions.action, data.transitions.reward]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ('columns', 'changes', 'problem'),
    [
        (
            {},
            {'observations': ('age', 'pulse')},
            "'pulse' .--observations.; there are patient, visit, age",
        ),
        ({}, {'observations': ('x_*',)}, "no column matches 'x_\\*'"),
        ({}, {'episode': 'person'}, "there is no column 'person' .--episode."),
        ({}, {'observations': ('age', 'a*')}, '--observations names age twice'),
        (
            {},
            {'observations': ('age', 'drug')},
            "'drug' is used twice, for --action and for --observations",
        ),
        ({}, {'order': 'alive'}, "'alive' is used twice, for --reward and for --order"),
        ({}, {'end': ''}, 'how do episodes end.* one of them is needed'),
        ({}, {'terminal': 'alive'}, 'how do episodes end.* not both'),
        (
            {'patient': ['b', None, '', 'a', 'b']},
            {},
            "'patient' .--episode. is missing in 2 rows, the first is row 2",
        ),
        (
            {'drug': ['x', 'y', 'x', 'y', None]},
            {},
            "'drug' .--action. is missing in 1 rows, the first is row 5",
        ),
        (
            {'alive': [0, 0, 'nan', 1, 0]},
            {},
            "'alive' .--reward. is missing in 1 rows, the first is row 3",
        ),
        ({'alive': [0, 0, 'inf', 1, 0]}, {}, 'must hold finite numbers; row 3 has'),
        ({'alive': [0, 0, 'yes', 1, 0]}, {}, "must hold numbers; row 3 has 'yes', and 1 rows"),
        ({'alive': [0, 0, 0, 'true', 0]}, {}, "must hold numbers; row 4 has 'true'"),
        ({'alive': [0, 0, 0, 1e39, 0]}, {}, "'alive' is beyond float32"),
        (
            {'visit': ['first', 'first', 'second', 'second', 'third']},
            {},
            "'visit' .--order. must hold numbers, or times",
        ),
        (
            {'visit': ['2026-01-01', 2, 3, 4, 5]},
            {},
            "must hold times in ISO 8601 like those before; row 2 has '2'",
        ),
        ({'visit': [1, 1, 1, 2, 2]}, {}, "same 'visit', in 1 episodes; patient 'b' has 1 twice"),
        ({'visit': [2**60, 1, 1, 2, 2]}, {}, 'beyond 2..53'),
        (
            {'age': [50, 'old', 'old', 30, 31]},
            {},
            "text where numbers are expected: age .2 rows, the first is row 2: 'old'.",
        ),
        ({'age': ['2026-01-01', '', 50, 30, 31]}, {}, 'text where numbers'),
        (
            {'age': [50, None, 30, 'NA', 31], 'lab': [None, 1, 2, 3, 4]},
            {},
            'age .2 rows, the first is row 2., lab .1 rows, the first is row 1.; say --fill=forward',
        ),
        ({'age': [None] * 5}, {'fill': 'mean'}, "'age' holds no value"),
        ({'age': [50, '-inf', 30, 4, 31]}, {}, 'infinite numbers: age'),
        ({'age': [50, 1e39, 30, 4, 31]}, {}, 'beyond float32'),
        ({'drug': ['x'] * 5}, {}, 'all steps have one action, x'),
        (
            {'died': [0, 0, 1, 0, 0]},
            {'terminal': 'died', 'end': ''},
            "1 episodes go on after a row that 'died' marks",
        ),
        (
            {'died': [0, 0, 2, 0, 0]},
            {'terminal': 'died', 'end': ''},
            'must hold 0 and 1.* it is 2 in row 3',
        ),
        (
            {'p': [0.5, 0, 1, 1, 1]},
            {'behaviour_probability': 'p'},
            'must be in .0, 1.; it is 0 in row 2',
        ),
        ({'p': [0.5, 1, 1, 1.5, 1]}, {'behaviour_probability': 'p'}, 'it is 1.5 in row 4'),
        (
            {'day': [1, 1, 1, 2, 2]},
            {'discount_time': 'day'},
            "must grow .* in 1 episodes they .* first is patient 'b'",
        ),
        ({'patient': list('abcde')}, {'end': 'truncated'}, 'no step is left'),
        ({name: [] for name in TABLE}, {}, 'it has columns and no rows'),
    ],
)
def test_a_bad_table_is_one_sentence_and_leaves_nothing(
    storage, tmp_path, columns, changes, problem
):
    with pytest.raises(DatasetError, match=problem) as caught:
        ingested(tmp_path, table(**columns), **changes)
    assert '\n' not in str(caught.value) and 'visits.csv' in str(caught.value)
    assert not any(storage.iterdir())


def test_ids_that_cannot_be_given_are_refused(storage, tmp_path):
    data, _ = ingested(tmp_path, TABLE)
    file = tmp_path / 'visits.csv'
    for name, problem in ((ID, 'exists already'), ('local/mine-v0', 'are recipes'),
                          ('mine', 'not a Minari id')):  # fmt: skip
        with pytest.raises(DatasetError, match=problem):
            tables.ingest(file, name, ROLES, '')
    np.testing.assert_array_equal(loading.load(ID).transitions.action, data.transitions.action)


def test_what_a_killed_process_left_is_cleared_away(storage, tmp_path):
    (storage / 'clinic' / '.visits-v0.unfinished' / 'scratch').mkdir(parents=True)
    (storage / 'clinic' / '.visits-v0.lock').touch()
    ingested(tmp_path, TABLE)
    assert [each.name for each in (storage / 'clinic').iterdir()] == ['visits-v0']


def test_a_failure_while_writing_leaves_nothing(storage, tmp_path, monkeypatch):
    monkeypatch.setattr(tables.storage, 'write', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ingested(tmp_path, TABLE)
    assert not any(storage.iterdir())


def test_types_may_change_on_the_way(storage, tmp_path, monkeypatch):
    """Whole numbers, then fractions, then a word, in blocks of their own."""
    monkeypatch.setattr('data.ingestion.formats._BYTES', 64)
    rows = 30
    columns = {
        'patient': [1] * rows, 'visit': range(rows), 'age': [*range(20), *np.arange(10) + 0.5],
        'lab': [1] * rows, 'drug': [0, 1] * 15, 'alive': [0] * 29 + [0.25],
    }  # fmt: skip
    data, _ = ingested(tmp_path, columns)
    np.testing.assert_array_equal(data.transitions.observation[:, 0], columns['age'])
    columns['lab'] = [1] * 29 + ['high']
    with pytest.raises(DatasetError, match="lab .1 rows, the first is row 30: 'high'"):
        tables.ingest(write_csv(tmp_path / 'other.csv', columns), 'clinic/other-v0', ROLES, '')

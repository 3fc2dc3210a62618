"""Files of preferences, and what becomes of them."""

import numpy as np
import pytest

from data import preferences, transforms
from data.loading import Dataset
from data.types import DatasetError, Preferences, Spec, Transition
from tests.data.helpers import ID, problem

HEADER = ','.join(preferences.COLUMNS)
ROW = f'{ID},0,0,2,1,1,3,1'


def dataset(*lengths: int) -> Dataset:
    """Episodes of these lengths, whose observations and rewards number their steps."""
    count = sum(lengths)
    number = np.arange(count, dtype=np.float32)
    steps = Transition(
        observation=np.stack([number, -number], axis=1),
        action=np.arange(count, dtype=np.int32) % 3,
        reward=number,
        discount=np.ones(count, np.float32),
        next_observation=np.stack([number + 1, -number - 1], axis=1),
    )
    offsets = np.append(0, np.cumsum(lengths))
    made = Dataset(problem(Spec(2, 3, discrete=True)), steps, np.zeros(count, bool), offsets, {})
    return made._replace(fingerprint='f' * 64)


def stated(*rows) -> Preferences:
    """Of (episode, begin, length, episode, begin, length, label)."""
    table = np.array(rows, np.float64)
    parts = table[:, :6].astype(np.int64).reshape(-1, 2, 3)
    return Preferences(*np.moveaxis(parts, -1, 0), table[:, 6].astype(np.float32))


def assert_equal(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def written(tmp_path, *lines: str):
    path = tmp_path / 'pairs.csv'
    path.write_text('\n'.join(lines))
    return path


def test_what_is_written_is_read_again(tmp_path):
    pairs = stated((0, 0, 2, 1, 1, 3, 1), (1, 0, 4, 0, 1, 1, 0), (1, 2, 2, 1, 0, 2, 0.5))
    preferences.write(tmp_path / 'pairs.csv', pairs, dataset(2, 4))
    assert_equal(preferences.read(tmp_path / 'pairs.csv', dataset(2, 4)), pairs)


def test_a_person_may_write_it(tmp_path):
    """With a mark at its beginning, spaces, empty lines, columns in another order, and one's own."""
    path = tmp_path / 'pairs.csv'
    names = [*reversed(preferences.COLUMNS), 'who']
    path.write_text(
        f'\ufeff{", ".join(names)}\n\n0.5, 3 , 1, 1, 2, 0, 0, {ID}, "me, myself"\n', 'utf-8'
    )
    assert_equal(preferences.read(path, dataset(2, 4)), stated((0, 0, 2, 1, 1, 3, 0.5)))


@pytest.mark.parametrize(
    ('lines', 'said'),
    [
        ([HEADER], 'it has no rows'),
        ([''], 'lacks dataset, first_episode'),
        ([HEADER.replace('label', 'lable'), ROW], 'lacks label; needed are dataset,'),
        ([f'{HEADER},label', f'{ROW},1'], 'has label twice'),
        ([HEADER, ROW, f'{ID},0,0,2,1,1,3,2'],
         "line 3: label is '2'; valid: 0 (the second is better), 0.5 (neither is), 1 (the first is)"),
        ([HEADER, f'{ID},0,0,2,1,1,3,nan'], "label is 'nan'"),
        ([HEADER, f'{ID},0,0,2,1,1,3,0,5'], 'line 2: it has 9 cells, the first line names 8'),
        ([HEADER, f'{ID},0,0,2,1,1,3'], "label is ''"),
        ([HEADER, f'{ID},2,0,2,1,1,3,1'],
         "line 2: first_episode is '2'; valid: whole numbers from 0 to 1, the episodes of"),
        ([HEADER, f'{ID},0,0,2,-1,1,3,1'], "second_episode is '-1'"),
        ([HEADER, f'{ID},0,0,2,1.0,1,3,1'], "second_episode is '1.0'"),
        ([HEADER, f'{ID},0,0,2,1,4,3,1'],
         "second_begin is '4'; valid: whole numbers from 0 to 3, the steps of episode 1"),
        ([HEADER, f'{ID},0,0,2,1,1,4,1'],
         "second_length is '4'; valid: whole numbers from 1 to 3, as episode 1 has 4 steps and the "
         'segment begins at 1'),
        ([HEADER, f'{ID},0,0,0,1,1,3,1'], "first_length is '0'"),
        ([HEADER, f'{ID},0,0,{"9" * 30},1,1,3,1'], 'first_length is'),
        ([HEADER, ROW.replace(ID, 'test/other-v0')],
         f"line 2: dataset is 'test/other-v0'; valid: {ID}"),
        ([f'{HEADER},fingerprint', f'{ROW},0123'], "fingerprint is '0123'; valid: ffff"),
        ([HEADER, f'"{ID}"x{ROW}'], 'it is no CSV'),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(tmp_path, lines, said):
    path = written(tmp_path, *lines)
    with pytest.raises(DatasetError) as error:
        preferences.read(path, dataset(2, 4))
    assert said in str(error.value) and str(path) in str(error.value)
    assert '\n' not in str(error.value) and len(str(error.value)) < 400


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(DatasetError, match='no such file'):
        preferences.read(tmp_path / 'none.csv', dataset(2, 4))
    (tmp_path / 'pairs.csv').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DatasetError, match='it is no CSV'):
        preferences.read(tmp_path / 'pairs.csv', dataset(2, 4))


def test_a_dataset_with_other_preferences_is_another(tmp_path):
    path = written(tmp_path, HEADER, ROW)
    one = preferences.attached(dataset(2, 4), path)
    assert one.fingerprint == preferences.attached(dataset(2, 4), path).fingerprint
    path = written(tmp_path, HEADER, ROW[:-1] + '0')
    assert one.fingerprint != preferences.attached(dataset(2, 4), path).fingerprint
    assert one.fingerprint != dataset(2, 4).fingerprint


def test_preferences_go_with_the_episodes_that_are_kept():
    whole = dataset(2, 4, 3)._replace(
        preferences=stated((0, 0, 2, 1, 1, 3, 1), (1, 0, 4, 2, 1, 1, 0), (2, 0, 1, 2, 1, 2, 0.5))
    )
    kept = transforms.select(whole, np.array([1, 2]))
    assert_equal(kept.preferences, stated((0, 0, 4, 1, 1, 1, 0), (1, 0, 1, 1, 1, 2, 0.5)))
    assert transforms.select(dataset(2, 4), np.array([1])).preferences is None


def test_holding_out_splits_the_pairs():
    pairs = stated(*((0, 0, 1, 1, index % 4, 1, 1) for index in range(10)))
    whole = dataset(2, 4)._replace(preferences=pairs)
    learned, held = preferences.hold_out(whole, 0.3, seed=1)
    assert [len(each.preferences.label) for each in (learned, held)] == [7, 3]
    both = np.concatenate([learned.preferences.begin, held.preferences.begin])
    np.testing.assert_array_equal(np.sort(both[:, 1]), np.sort(pairs.begin[:, 1]))
    other, _ = preferences.hold_out(whole, 0.3, seed=2)
    assert not np.array_equal(other.preferences.begin, learned.preferences.begin)
    with pytest.raises(DatasetError, match='only one|there is one preference'):
        preferences.hold_out(whole._replace(preferences=stated((0, 0, 1, 1, 0, 1, 1))), 0.5, 0)

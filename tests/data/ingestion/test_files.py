"""Tables in every format, and files that are none."""

import gzip
import re

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from data import loading
from data.ingestion import files, tables
from data.types import DatasetError
from tests.data.ingestion.helpers import ID, ROLES, TABLE, table, write_csv


def write(path, columns):
    """A table in the format that the name tells."""
    arrays = {name: np.array(cells) for name, cells in columns.items()}
    if path.suffix == '.parquet':
        pa.parquet.write_table(pa.table(columns), path)
    elif path.suffix == '.npz':
        np.savez(path, **arrays)
    elif path.suffix in ('.hdf5', '.h5'):
        with h5py.File(path, 'w') as file:
            for name, cells in columns.items():
                file[name] = cells
    else:
        write_csv(path, columns)
        if path.suffix == '.gz':
            path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def read(path, roles=ROLES, name=ID):
    tables.ingest(path, name, roles, '')
    return loading.load(name)


@pytest.mark.parametrize(
    'name', ['a.parquet', 'a.csv', 'a.CSV', 'a.csv.gz', 'a.npz', 'a.hdf5', 'a.h5']
)
def test_every_format_is_one_table(storage, tmp_path, name):
    data = read(write(tmp_path / name, TABLE))
    np.testing.assert_array_equal(data.transitions.observation[:, 1], [2.5, 0.5, 4.5, 1.5, 3.5])
    np.testing.assert_array_equal(data.transitions.reward, [0, 0, 0.5, 0, 1])
    assert data.problem.columns.labels == ('none', 'some')


def test_parts_of_a_directory_are_one_table(storage, tmp_path):
    parts = tmp_path / 'parts'
    parts.mkdir()
    # Whole numbers in one part, fractions in the other, and the columns in another order.
    rows = {name: (cells[:2], cells[2:]) for name, cells in TABLE.items()}
    write(parts / 'b.parquet', {name: each[1] for name, each in reversed(rows.items())})
    write(parts / 'a.parquet', {name: each[0] for name, each in rows.items()})
    (parts / '_SUCCESS').touch()
    np.testing.assert_array_equal(read(parts).transitions.action, [0, 1, 0, 0, 1])
    write(parts / 'c.parquet', {'lab': [1.0]})
    with pytest.raises(
        DatasetError, match='a.parquet and c.parquet are not parts of one table: only one'
    ):
        read(parts, name='clinic/other-v0')
    write(parts / 'c.csv', TABLE)
    with pytest.raises(DatasetError, match='several kinds, csv, parquet'):
        read(parts, name='clinic/other-v0')


def test_a_bad_row_is_found_in_its_part(storage, tmp_path):
    write_csv(tmp_path / 'a.csv', TABLE)
    write_csv(tmp_path / 'b.csv', table(lab=[1, 2, 'high', 3, 4], patient=list('vwxyz')))
    with pytest.raises(DatasetError, match="lab .1 rows, the first is row 3 of b.csv: 'high'"):
        read(tmp_path)


def test_a_matrix_is_a_column_for_each_of_its_own(storage, tmp_path):
    made = {
        'who': np.array([1, 1, 2, 2]), 'seen': np.arange(48, dtype=np.float32).reshape(4, 12),
        'did': np.array([[0], [1], [0], [1]]), 'won': np.ones(4), 'version': np.array(3),
        'image': np.zeros((4, 2, 2)),
    }  # fmt: skip
    np.savez(tmp_path / 'a.npz', **made)
    roles = ROLES._replace(
        episode='who', observations=('seen_*',), action=('did_0',), reward='won', order=''
    )
    data = read(tmp_path / 'a.npz', roles)
    np.testing.assert_array_equal(data.transitions.observation, made['seen'])
    assert data.problem.columns.features[11].name == 'seen_11'
    np.savez(tmp_path / 'b.npz', **made | {'won': np.ones(3)})
    with pytest.raises(DatasetError, match='its arrays differ in length: .*won 3'):
        read(tmp_path / 'b.npz', roles, 'clinic/other-v0')


def test_types_of_parquet(storage, tmp_path):
    columns = {
        'patient': pa.array(TABLE['patient']).dictionary_encode(),
        'visit': pa.array(
            np.array(['2026-01-02', '2026-01-01'] * 2 + ['2026-01-03'], 'datetime64[s]')
        ),
        'age': pa.array([50, 30, 50, 31, None], pa.int16()),
        'lab': pa.array([0.5, 1.5, 2.5, 3.5, float('nan')], pa.float32()),
        'drug': pa.array([True, False, False, True, False]),
        'alive': pa.array([0, 0, 0, 1, 0.5]).cast(pa.decimal128(5, 2)),
    }
    columns['visit'] = columns['visit'].take(pa.array([0, 1, 1, 0, 4]))
    pa.parquet.write_table(pa.table(columns), tmp_path / 'a.parquet')
    data = read(tmp_path / 'a.parquet', ROLES._replace(fill='forward'))
    np.testing.assert_array_equal(
        data.transitions.observation, [[50, 2.5], [50, 0.5], [50, 0.5], [30, 1.5], [31, 3.5]]
    )
    assert data.problem.columns.labels == (False, True)
    np.testing.assert_array_equal(data.transitions.reward, [0, 0, 0.5, 0, 1])
    for name, cells, problem in (
        ('age', [[1], [2], [3], [4], [5]], 'text where numbers'),
        ('age', columns['visit'], 'times where numbers are expected: age .5 rows.*; say --times'),
        ('patient', [[1]] * 5, 'must hold either text or numbers'),
        ('drug', [[1]] * 5, 'not all text or all numbers'),
    ):
        pa.parquet.write_table(pa.table(columns | {name: cells}), tmp_path / 'b.parquet')
        with pytest.raises(DatasetError, match=problem):
            read(tmp_path / 'b.parquet', ROLES._replace(fill='mean'), 'clinic/other-v0')


NONE = [
    ('a.csv', b'', 'the file is empty'),
    ('a.csv', b'\n \n', 'the file is empty'),
    ('a.csv', b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR', '.*bytes that are no text'),
    ('a.csv', 'patient,größe\n1,2\n'.encode('latin-1'), 'no CSV file, or a damaged one'),
    ('a.csv', b'patient;visit\n1;2\n', '.*separated by semicolons; commas are needed'),
    ('a.csv', b'patient,visit\n1,2', 'there is no column'),
    ('a.csv', b'patient,age,age\n1,2,3\n', 'several of its columns are called age'),
    (
        'a.csv',
        b'patient,visit,age,lab,drug,alive\na,1,1,1,x,0\na,2,1,1,x\n',
        'row 2 has 5 cells where the header has 6',
    ),
    (
        'a.csv',
        b'patient,visit,age,lab,drug,alive\n' + b'a,1,1,1,x,0\n' * 9 + b'1,2,3,4,5,6,7\n',
        'row 10 has 7 cells',
    ),
    ('a.csv', b'patient,visit,age,lab,drug,alive\n', 'it has columns and no rows'),
    ('a.csv', b'patient,visit,age,lab,drug,alive', 'it has columns and no rows'),
    ('a.csv.gz', b'patient,visit\n1,2\n', 'no CSV file, or a damaged one'),
    (
        'a.csv.gz',
        gzip.compress(b'patient,visit\n' + b'1,2\n' * 50)[:30],
        'no CSV file, or a damaged one|there is no column',
    ),
    ('a.parquet', b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'no Parquet file, or a damaged one'),
    ('a.parquet', b'', 'no Parquet file, or a damaged one'),
    ('a.npz', b'PK\x03\x04nothing', 'no .npz file of plain arrays'),
    ('a.npz', b'', 'no .npz file of plain arrays'),
    ('a.hdf5', b'<html>404</html>', 'no HDF5 file, or a damaged one'),
    ('a.xlsx', b'', 'a table ends in .parquet, .csv, .csv.gz, .npz, .hdf5, .h5'),
]


@pytest.mark.parametrize(('name', 'content', 'problem'), NONE, ids=map(str, range(len(NONE))))
def test_what_is_no_table_is_one_sentence(storage, tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=f'{re.escape(name)}: ({problem})') as caught:
        read(tmp_path / name)
    assert '\n' not in str(caught.value)
    assert not storage.exists() or not any(storage.iterdir())


def test_what_is_not_there_is_one_sentence(storage, tmp_path):
    with pytest.raises(DatasetError, match='there is no such file'):
        read(tmp_path / 'none.csv')
    with pytest.raises(DatasetError, match='the directory holds no file that ends in'):
        read(tmp_path)
    with (tmp_path / 'b.npz').open('wb') as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DatasetError, match='no .npz file of plain arrays'):
        read(tmp_path / 'b.npz')
    np.savez(tmp_path / 'a.npz', patient=np.array([{}, None], object))
    with pytest.raises(DatasetError, match='no .npz file of plain arrays'):
        read(tmp_path / 'a.npz')


def test_csv_of_old_machines(storage, tmp_path):
    text = write_csv(tmp_path / 'a.csv', TABLE).read_text().replace('\n', '\r').replace(',', ', ')
    (tmp_path / 'a.csv').write_text(text, newline='')
    np.testing.assert_array_equal(read(tmp_path / 'a.csv').transitions.action, [0, 1, 0, 0, 1])


def test_csv_as_others_write_it(storage, tmp_path):
    text = '\ufeff"patient","visit","age","lab","drug","alive"\r\n'
    text += ''.join(
        f'"p, {row // 3}","{row}"," {row}.5 ",1,"line\n{row % 2}",0\r\n' for row in range(6)
    )
    (tmp_path / 'a.csv').write_text(text, newline='')
    data = read(tmp_path / 'a.csv')
    np.testing.assert_array_equal(data.episode_lengths, [3, 3])
    np.testing.assert_array_equal(data.transitions.observation[:, 0], np.arange(6) + 0.5)
    assert data.problem.columns.labels == ('line\n0', 'line\n1')


def test_what_a_file_is(tmp_path):
    for name in ('b.npz', 'a.npz', '.hidden.npz', 'README.md'):
        (tmp_path / name).touch()
    assert [file.name for file in files.files(tmp_path)] == ['a.npz', 'b.npz']
    assert files.kind(tmp_path) == 'npz'


def test_a_part_that_lacks_a_whole_column_is_missing_there(storage, tmp_path):
    parts = tmp_path / 'parts'
    parts.mkdir()
    wards = {'ward': ['a', 'b', 'a', 'b', 'a'], 'sex': [1, 2, 1, 2, 1]}
    write(parts / 'a.parquet', TABLE | wards)
    nothing = {name: pa.nulls(5) for name in wards}
    write(parts / 'b.parquet', TABLE | nothing | {'patient': list('ccddd'), 'visit': range(5)})
    data = read(parts, ROLES._replace(categories=('ward', 'sex'), fill='mean'))
    names = [feature.name for feature in data.problem.columns.features]
    assert names == ['age', 'lab', 'ward=a', 'ward=b', 'sex=1', 'sex=2']
    assert [feature.missing for feature in data.problem.columns.features[1:]] == [0] + 4 * [0.5]
    np.testing.assert_array_equal(data.transitions.observation[5:, 2:], 0)


def test_a_header_may_be_long(storage, tmp_path):
    wide = {f'a_rather_long_name_of_a_column_{index}': [index] * 5 for index in range(3_000)}
    names = ('lab', f'*_{len(wide) - 1}')
    data = read(write_csv(tmp_path / 'a.csv', wide | TABLE), ROLES._replace(observations=names))
    np.testing.assert_array_equal(data.transitions.observation[:, 1], len(wide) - 1)

"""The formats of tables on disk, each read in blocks: Parquet, CSV, arrays in .npz and HDF5."""

import codecs
import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from data import border
from data.types import DatasetError

# In a block: at most so many rows, and about so many cells.
_ROWS, _CELLS = 1 << 17, 1 << 22
_BYTES = 1 << 23
_HEAD = 1 << 16
# What the libraries raise of files that are not what their names say.
_DAMAGED = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, TypeError, zipfile.BadZipFile,
    csv.Error, pa.ArrowException,
)  # fmt: skip


class Block(NamedTuple):
    """Consecutive rows of a table.

    Attributes:
        columns: by name; text if the file is a CSV, in the file's own types otherwise.
        file: that they are from, '' if the table has only one.
        first: number of the first row in that file, from 1; a CSV's header has none.
        position: bytes of the table that are read when these rows are, about.
    """

    columns: dict[str, pa.Array]
    file: str
    first: int
    position: int


class Table(NamedTuple):
    """A table on disk.

    Attributes:
        path: of it.
        columns: their names, in the table's order.
        size: bytes on disk.
        blocks: names -> all rows of these columns.
    """

    path: Path
    columns: tuple[str, ...]
    size: int
    blocks: Callable[[Sequence[str]], Iterator[Block]]


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Makes one sentence of whatever a library says of a damaged file."""
    try:
        yield
    except _DAMAGED as error:
        if isinstance(error, DatasetError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DatasetError(f'{path}: no {what}, or a damaged one ({reason}).') from error


def open_parquet(path: Path) -> Table:
    with reading(path, 'Parquet file'), pa.parquet.ParquetFile(path) as file:
        names, count = tuple(file.schema_arrow.names), file.metadata.num_rows
    size = path.stat().st_size

    def blocks(wanted: Sequence[str]) -> Iterator[Block]:
        first = 1
        with (
            reading(path, 'Parquet file'),
            pa.parquet.ParquetFile(path, buffer_size=_BYTES, pre_buffer=False) as file,
        ):
            for batch in file.iter_batches(_block_rows(wanted), columns=list(wanted)):
                last = first + batch.num_rows
                columns = {name: _simple(batch.column(name)) for name in wanted}
                yield Block(columns, '', first, size * (last - 1) // count)
                first = last

    return Table(path, names, size, blocks)


def _simple(cells: pa.Array) -> pa.Array:
    """Cells without the encodings that Parquet knows for the same text."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    text = pa.types.is_large_string(cells.type) or pa.types.is_string_view(cells.type)
    return cells.cast(pa.string()) if text else cells


def open_csv(path: Path) -> Table:
    with reading(path, 'CSV file'), _text(path) as (_, stream):
        head = more = stream.read(_HEAD)
        # Until the first line is whole, be the table as wide as it may.
        while more and len(head.strip().splitlines()) < 2 and len(head) < _BYTES:
            more = stream.read(_HEAD)
            head += more
        if not head.strip():
            raise DatasetError(f'{path}: the file is empty.')
        if b'\0' in head:
            raise DatasetError(f'{path}: no CSV file: it holds bytes that are no text.')
        if not more and len(head.strip().splitlines()) == 1:
            raise DatasetError(f'{path}: it has columns and no rows.')
        # It may end within a letter.
        header = codecs.getincrementaldecoder('utf-8-sig')().decode(head)
        written = next(row for row in csv.reader(io.StringIO(header, newline=None)) if row)
    names = tuple(name.strip() for name in written)
    raw = dict(zip(names, written))
    for mark, word in ((';', 'semicolons'), ('\t', 'tabs')):
        if len(names) == 1 and mark in names[0]:
            raise DatasetError(f'{path}: its cells are separated by {word}; commas are needed.')

    def blocks(wanted: Sequence[str]) -> Iterator[Block]:
        ragged, first = [], 1

        def refuse(row: pa.csv.InvalidRow) -> str:
            ragged.append(row)
            return 'error'

        try:
            with _text(path) as (file, stream), pa.csv.open_csv(
                stream,
                # On one thread it knows the numbers of rows.
                pa.csv.ReadOptions(block_size=_BYTES, use_threads=False),
                pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
                # Types are not guessed: a guess from the first block is wrong in a later one.
                pa.csv.ConvertOptions(
                    strings_can_be_null=True,
                    include_columns=[raw[name] for name in wanted],
                    column_types={raw[name]: pa.string() for name in wanted},
                ),
            ) as reader:  # fmt: skip
                for batch in reader:
                    columns = {name: batch.column(raw[name]) for name in wanted}
                    yield Block(columns, '', first, min(file.tell(), size))
                    first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            if not ragged:
                raise DatasetError(f'{path}: no CSV file, or a damaged one ({error}).') from error
            row = ragged[0]
            where = '' if row.number is None else f' {row.number - 1:,}'
            raise DatasetError(
                f'{path}: row{where} has {row.actual_columns} cells where the header has '
                f'{row.expected_columns}: {row.text[:100]!r}.'
            ) from error

    size = path.stat().st_size
    return Table(path, names, size, blocks)


@contextmanager
def _text(path: Path) -> Iterator[tuple[pa.NativeFile, pa.NativeFile]]:
    """A file as it lies on disk, and what it holds, decompressed if its name ends in .gz."""
    with pa.OSFile(str(path)) as file:
        if path.suffix.lower() == '.gz':
            with pa.CompressedInputStream(file, 'gzip') as stream:
                yield file, stream
        else:
            yield file, file


def open_npz(path: Path) -> Table:
    if not zipfile.is_zipfile(path):
        raise DatasetError(f'{path}: no .npz file of plain arrays.')
    with reading(path, '.npz file of plain arrays'), np.load(path) as file:
        shapes = {name: file[name].shape for name in file.files}

    @contextmanager
    def opened(names: set[str]) -> Iterator[dict[str, np.ndarray]]:
        with reading(path, '.npz file of plain arrays'), np.load(path) as file:
            yield {name: file[name] for name in names}

    return _table_of_arrays(path, shapes, opened)


def open_hdf5(path: Path) -> Table:
    with reading(path, 'HDF5 file'), h5py.File(path, 'r') as file:
        shapes = {name: item.shape for name, item in border.arrays(file, path).items()}

    @contextmanager
    def opened(names: set[str]) -> Iterator[dict[str, Any]]:
        with reading(path, 'HDF5 file'), h5py.File(path, 'r') as file:
            yield {name: _cells(file[name], path) for name in names}

    return _table_of_arrays(path, shapes, opened)


def _cells(array: h5py.Dataset, path: Path) -> h5py.Dataset:
    """An array of numbers, or of text, to be read as such."""
    if h5py.check_string_dtype(array.dtype):
        return array.asstr()
    if array.dtype.kind not in 'biuf':
        raise DatasetError(f'{path}: {array.name[1:]} holds {array.dtype}, no numbers and no text.')
    return array


def _table_of_arrays(path: Path, shapes: Mapping[str, tuple[int, ...]], opened: Callable) -> Table:
    """Arrays of one length: a vector is a column, a matrix the columns NAME_0, NAME_1, …"""
    places = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            places |= {name: (name, None)}
        if len(shape) == 2:
            places |= {f'{name}_{index}': (name, index) for index in range(shape[1])}
    if not places:
        raise DatasetError(f'{path}: it holds no vectors and no matrices.')
    size = path.stat().st_size

    def blocks(wanted: Sequence[str]) -> Iterator[Block]:
        lengths = {places[name][0]: shapes[places[name][0]][0] for name in wanted}
        if len(set(lengths.values())) > 1:
            described = ', '.join(f'{name} {length:,}' for name, length in lengths.items())
            raise DatasetError(f'{path}: its arrays differ in length: {described}.')
        count = lengths[places[wanted[0]][0]]
        with opened(set(lengths)) as arrays:
            rows = _block_rows(wanted)
            for begin in range(0, count, rows):
                end = min(begin + rows, count)
                cut = {name: _plain(array[begin:end]) for name, array in arrays.items()}
                columns = {}
                for name in wanted:
                    array, index = places[name]
                    cells = cut[array] if index is None else cut[array][:, index]
                    columns[name] = pa.array(cells, from_pandas=True)
                yield Block(columns, '', begin + 1, size * end // count)

    return Table(path, tuple(places), size, blocks)


def _block_rows(wanted: Sequence[str]) -> int:
    return max(min(_ROWS, _CELLS // len(wanted)), 1)


def _plain(array: np.ndarray) -> np.ndarray:
    """An array of a type that Arrow takes."""
    if array.dtype.kind == 'S':
        return np.char.decode(array, 'utf-8')
    return array.astype(array.dtype.newbyteorder('='), copy=False)

"""Tables on disk: a file, or all files of a directory, which then are one table."""

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data.ingestion import formats
from data.ingestion.formats import Block, Table
from data.types import DatasetError

_KINDS = {
    '.parquet': 'parquet',
    '.csv': 'csv',
    '.csv.gz': 'csv',
    '.npz': 'npz',
    '.hdf5': 'hdf5',
    '.h5': 'hdf5',
}
_OPENERS = {
    'parquet': formats.open_parquet,
    'csv': formats.open_csv,
    'npz': formats.open_npz,
    'hdf5': formats.open_hdf5,
}
_MOST_LISTED = 60


def kind(path: Path) -> str:
    """What a file, or every file of a directory, is: 'parquet', 'csv', 'npz' or 'hdf5'.

    Raises:
        DatasetError: there is no such file, or none of these kinds, or a directory has several.
    """
    (found, *others) = sorted({_KINDS[suffix] for suffix in map(_suffix, files(path))})
    if others:
        raise DatasetError(
            f'{path}: its files are of several kinds, {", ".join([found, *others])}.'
        )
    return found


def files(path: Path) -> list[Path]:
    """The file itself, or the tables that a directory holds, sorted by name.

    Raises:
        DatasetError: there are none.
    """
    known = ', '.join(_KINDS)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.is_file() and _suffix(file))
        if not found:
            raise DatasetError(f'{path}: the directory holds no file that ends in {known}.')
        return found
    if not path.is_file():
        raise DatasetError(f'{path}: there is no such file.')
    if not _suffix(path):
        raise DatasetError(f'{path}: a table ends in {known}.')
    return [path]


def open_table(path: Path) -> Table:
    """Looks at the columns of a table, or of a directory of equal ones, which then are one.

    Raises:
        DatasetError: it is no table, two of its columns have one name, or the tables of a directory have
            different columns.
    """
    parts = [_OPENERS[kind(path)](file) for file in files(path)]
    for part in parts:
        twice = [name for name, count in Counter(part.columns).items() if count > 1]
        if twice:
            raise DatasetError(f'{part.path}: several of its columns are called {listed(twice)}.')
        different = set(part.columns) ^ set(parts[0].columns)
        if different:
            raise DatasetError(
                f'{path}: {parts[0].path.name} and {part.path.name} are not parts of one table: only '
                f'one of them has {listed(sorted(different))}.'
            )
    if not path.is_dir():
        return parts[0]
    return Table(path, parts[0].columns, sum(part.size for part in parts),
                 functools.partial(_concatenated, parts))  # fmt: skip


def listed(names: Sequence[Any]) -> str:
    """Names for a message, not more than can be read."""
    text = ', '.join(
        str(name) if str(name).isprintable() else repr(name) for name in names[:_MOST_LISTED]
    )
    return f'{text}, … ({len(names):,} in all)' if len(names) > _MOST_LISTED else text


def _suffix(path: Path) -> str | None:
    name = path.name.lower()
    if name.startswith('.'):
        return None
    return next((suffix for suffix in _KINDS if name.endswith(suffix)), None)


def _concatenated(parts: list[Table], names: Sequence[str]) -> Iterator[Block]:
    begin = 0
    for part in parts:
        for block in part.blocks(names):
            yield block._replace(file=part.path.name, position=begin + block.position)
        begin += part.size

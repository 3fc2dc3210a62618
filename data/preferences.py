"""Files of preferences beside a dataset: which of two segments of its episodes is the better one.

A CSV with named columns and a row for each pair, which a person can write by hand:

    dataset,first_episode,first_begin,first_length,second_episode,second_begin,second_length,label
    clinic/visits-v0,12,0,8,431,3,8,1

A segment is `length` steps of an episode from step `begin` on, both counted from 0. The label is 1
where the first segment is better, 0 where the second is, 0.5 where neither. The two may differ in
length. A column `fingerprint` is optional: of the dataset that the rows were made for, as our programs
write it. Further columns are the writer's own.
"""

import csv
import hashlib
import io
import math
from pathlib import Path
from typing import NoReturn

import numpy as np

from data import disk
from data.loading import Dataset
from data.types import DatasetError, Preferences

_SIDES = 'first', 'second'
_NUMBERS = tuple(f'{side}_{part}' for side in _SIDES for part in ('episode', 'begin', 'length'))
COLUMNS = ('dataset', *_NUMBERS, 'label')
_FINGERPRINT = 'fingerprint'
LABELS = {0.0: 'the second is better', 0.5: 'neither is', 1.0: 'the first is'}


def attached(dataset: Dataset, path: Path) -> Dataset:
    """A dataset with the preferences of a file, which are part of its fingerprint.

    Raises:
        DatasetError: as `read`.
    """
    stated = read(path, dataset)
    digest = hashlib.sha256(dataset.fingerprint.encode())
    for array in stated:
        digest.update(array.tobytes())
    return dataset._replace(preferences=stated, fingerprint=digest.hexdigest())


def read(path: Path, dataset: Dataset) -> Preferences:
    """The preferences in a file.

    Raises:
        DatasetError: there is no such file, it is no CSV with these columns, or has no rows; a row is
            of another dataset, or has a segment outside its episode, or another label.
    """
    if not path.is_file():
        raise DatasetError(f'preferences {path}: there is no such file.')
    try:
        # What Excel writes begins with a mark.
        text = path.read_text('utf-8-sig')
        rows = csv.DictReader(io.StringIO(text, newline=''), strict=True, skipinitialspace=True)
        names = [name.strip() for name in rows.fieldnames or ()]
        rows.fieldnames = names
        _check_columns(path, names)
        numbers, labels = [], []
        for row in rows:
            found, label = _parsed(row, dataset, f'preferences {path}, line {rows.line_num}')
            numbers.append(found)
            labels.append(label)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f'preferences {path}: it is no CSV ({error}).') from error
    if not labels:
        raise DatasetError(f'preferences {path}: it has no rows, a row is a pair of segments.')
    # (pairs, side, part).
    parts = np.array(numbers, np.int64).reshape(-1, 2, 3)
    return Preferences(*np.moveaxis(parts, -1, 0), np.array(labels, np.float32))


def _check_columns(path: Path, names: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if missing or twice:
        fault = f'lacks {", ".join(missing)}' if missing else f'has {", ".join(twice)} twice'
        raise DatasetError(
            f'preferences {path}: its first line {fault}; needed are {",".join(COLUMNS)}.'
        )


def _parsed(row: dict[str | None, str | None], dataset: Dataset, where: str) -> tuple:
    """The six numbers of a row, and its label."""
    name = dataset.problem.name
    if None in row:
        cells = len(row) - 1 + len(row[None])
        raise DatasetError(
            f'{where}: it has {cells} cells, the first line names {len(row) - 1}; a half is written 0.5.'
        )

    def fail(column: str, valid: str) -> NoReturn:
        said = (row[column] or '').strip()[:60]
        raise DatasetError(f'{where}: {column} is {said!r}; valid: {valid}.')

    def whole(column: str, low: int, high: int, owner: str) -> int:
        text = (row[column] or '').strip()
        # int also takes 1_0, and digits of other scripts.
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else -1
        if not low <= number <= high:
            fail(column, f'whole numbers from {low} to {high}, {owner}')
        return number

    if (row['dataset'] or '').strip() != name:
        fail('dataset', f'{name}, whose preferences these are to be')
    theirs = (row.get(_FINGERPRINT) or '').strip()
    if theirs and theirs != dataset.fingerprint:
        fail(_FINGERPRINT, f'{dataset.fingerprint}, or none: {name} holds other numbers than then')
    numbers = []
    for side in _SIDES:
        most = len(dataset.episode_offsets) - 2
        episode = whole(f'{side}_episode', 0, most, f'the episodes of {name}')
        steps = int(dataset.episode_offsets[episode + 1] - dataset.episode_offsets[episode])
        begin = whole(f'{side}_begin', 0, steps - 1, f'the steps of episode {episode}')
        length = whole(
            f'{side}_length', 1, steps - begin,
            f'as episode {episode} has {steps} steps and the segment begins at {begin}',
        )  # fmt: skip
        numbers += episode, begin, length
    try:
        label = float(row['label'] or '')
    except ValueError:
        label = math.nan
    if label not in LABELS:
        fail('label', ', '.join(f'{value:g} ({said})' for value, said in LABELS.items()))
    return numbers, label


def write(path: Path, stated: Preferences, dataset: Dataset) -> None:
    """Writes preferences of a dataset as `read` takes them; the file appears whole or not at all."""
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([*COLUMNS, _FINGERPRINT])
    parts = np.stack(stated[:3], axis=-1).reshape(-1, 6)
    for numbers, label in zip(parts.tolist(), stated.label.tolist()):
        writer.writerow([dataset.problem.name, *numbers, f'{label:g}', dataset.fingerprint])
    disk.write_text(path, text.getvalue())


def hold_out(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Splits the preferences of a dataset into those to learn from and those to judge from, at random.

    Args:
        dataset: with preferences.
        fraction: of them that is held out, at least one.
        seed: of the choice.

    Raises:
        DatasetError: there is only one.
    """
    stated = dataset.preferences
    count = len(stated.label)
    if count < 2:
        raise DatasetError(
            f'dataset {dataset.problem.name}: there is one preference, and none would be left to learn '
            'from if one is held out to judge from.'
        )
    number = min(max(round(fraction * count), 1), count - 1)
    order = np.random.default_rng(seed).permutation(count)
    return tuple(
        dataset._replace(preferences=Preferences(*(array[np.sort(part)] for array in stated)))
        for part in (order[number:], order[:number])
    )

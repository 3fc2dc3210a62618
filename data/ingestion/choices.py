"""Actions of a table's columns: labels, combinations of whole numbers, or amounts between bounds."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from data.columns import Label
from data.ingestion.cells import LARGEST_FLOAT64, Codes, Numbers
from data.ingestion.features import MOST_LABELS
from data.ingestion.files import listed
from data.ingestion.roles import Roles
from data.precision import LARGEST
from data.types import DatasetError

_WHOLE = re.compile(r'[+-]?(0|[1-9]\d*)(\.0*)?')
_ROWS = 1 << 20


class Choices(NamedTuple):
    """The actions of a log.

    Attributes:
        space: Discrete, or Box with a dimension for each column.
        labels: of the discrete ones by index; ().
        values: rows of the table (n,) -> their actions, int64 (n,), or float32 (n, columns).
        notes, warnings: a sentence each.
    """

    space: gym.Space
    labels: tuple[Label, ...]
    values: Callable[[np.ndarray], np.ndarray]
    notes: list[str]
    warnings: list[str]


class Readers(NamedTuple):
    """Of the action's columns: their numbers, and the labels of the only one, else None."""

    numbers: list[Numbers]
    labels: Codes | None

    def all(self) -> list[Numbers | Codes]:
        return [*self.numbers, *([self.labels] if self.labels else [])]


def open_columns(roles: Roles, scratch: Path) -> Readers:
    """Readers of the action's columns."""
    found = [Numbers(name, scratch / f'action-{index}') for index, name in enumerate(roles.action)]
    alone = len(found) == 1
    return Readers(
        found, Codes(roles.action[0], scratch / 'labels', MOST_LABELS) if alone else None
    )


def choose(readers: Readers, roles: Roles, kept: np.ndarray, where: Path) -> Choices:
    """Decides what actions are, and measures them over the rows that are steps.

    Args:
        readers: whose columns lack no cell.
        roles: resolved.
        kept: bool (rows,), which rows are steps.
        where: the table, for messages.

    Raises:
        DatasetError: they can be neither labels nor amounts, are too many, or all the same.
    """
    words = [column for column in readers.numbers if {'text', 'times'} & column.troubles.keys()]
    fractions = any(column.fractions for column in readers.numbers)
    if words and (roles.actions_are == 'continuous' or readers.labels is None):
        troubles = words[0].troubles
        trouble = troubles.get('text') or troubles['times']
        what = 'continuous actions are' if roles.actions_are else 'several columns of actions are'
        raise DatasetError(
            f'{where}: {what} numbers; {words[0].name!r} holds {str(trouble.example)[:60]!r} in '
            f'{trouble.where}, and no numbers in {trouble.count:,} rows.'
        )
    infinite = [column for column in readers.numbers if 'infinite' in column.troubles]
    # Beside text, inf is a label like others.
    if infinite and not words:
        trouble = infinite[0].troubles['infinite']
        raise DatasetError(
            f'{where}: the action {infinite[0].name!r} is infinite in {trouble.count:,} rows, the first '
            f'is {trouble.where}.'
        )
    kind = roles.actions_are or ('continuous' if fractions and not words else 'labels')
    if kind == 'continuous':
        return _continuous(readers.numbers, roles, kept, where)
    if roles.low or roles.high:
        raise DatasetError(
            f'{where}: --low and --high are bounds of continuous actions; {listed(roles.action)} is '
            'taken as labels; --actions_are=continuous makes amounts of whole numbers.'
        )
    if readers.labels is not None:
        return _labels(readers.labels, kept, where)
    if fractions:
        raise DatasetError(
            f'{where}: --actions_are=labels combines whole numbers; {listed(roles.action)} hold '
            'fractions.'
        )
    return _combinations(readers.numbers, kept, where)


def _continuous(columns: list[Numbers], roles: Roles, kept: np.ndarray, where: Path) -> Choices:
    count, notes = len(columns), []
    for column in columns:
        if column.largest > LARGEST:
            raise DatasetError(
                f'{where}: the action {column.name!r} is beyond float32, up to {column.largest:.3g}: '
                'scale it.'
            )
    measured = np.array([_range(column, kept) for column in columns], np.float32).T
    bounds = {}
    for flag, given, found in zip(('low', 'high'), (roles.low, roles.high), measured):
        if len(given) not in (0, 1, count):
            raise DatasetError(
                f'{where}: --{flag} has {len(given)} numbers for {count} columns of actions; one, or '
                'one per column, is needed.'
            )
        bounds[flag] = np.broadcast_to(np.array(given or found, np.float32), count)
    low, high = bounds['low'], bounds['high']
    for index, column in enumerate(columns):
        least, most = measured[:, index]
        if not low[index] < high[index]:
            raise DatasetError(
                f'{where}: the action {column.name!r} never changes: it is {least:g} in every step.'
                if least == most and not (roles.low and roles.high)
                else f'{where}: the bounds of {column.name!r} are {low[index]:g} and {high[index]:g}; '
                'low must be below high.'
            )
        if least < low[index] or most > high[index]:
            raise DatasetError(
                f'{where}: the action {column.name!r} reaches from {least:g} to {most:g}, outside the '
                f'bounds {low[index]:g} and {high[index]:g}.'
            )
        if least == most:
            raise DatasetError(
                f'{where}: the action {column.name!r} never changes: it is {least:g} in every step.'
            )
        how = 'given' if roles.low and roles.high else 'measured'
        notes.append(
            f'{column.name}: a continuous action between {low[index]:g} and {high[index]:g} '
            f'(bounds {how})'
        )

    def values(rows: np.ndarray) -> np.ndarray:
        return np.stack([column.spool.take(rows) for column in columns], axis=1).astype(np.float32)

    lost = [each for column in columns for each in column.rounding.sentences([column.name], 'action')]
    return Choices(gym.spaces.Box(low, high, (count,), np.float32), (), values, notes, lost)


def _range(column: Numbers, kept: np.ndarray) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for begin in range(0, len(kept), _ROWS):
        part = slice(begin, begin + _ROWS)
        values = column.spool.take(part)[kept[part]]
        low, high = values.min(initial=low), values.max(initial=high)
    return low, high


def _labels(column: Codes, kept: np.ndarray, where: Path) -> Choices:
    if 'type' in column.troubles:
        trouble = column.troubles['type']
        raise DatasetError(
            f'{where}: the action {column.name!r} is not all text or all numbers: {trouble.where} has '
            f'{str(trouble.example)[:60]!r}.'
        )
    if column.overflow:
        raise DatasetError(
            f'{where}: the action {column.name!r} has more than {MOST_LABELS:,} labels: nothing can be '
            'learned of so many; say --actions_are=continuous if they are amounts, or group them.'
        )
    labels, notes = _as_labels(column.name, column.labels)
    return _discrete(column.name, labels, lambda rows: column.spool.take(rows), kept, notes, where)


def _as_labels(name: str, cells: list[Any]) -> tuple[list[Label], list[str]]:
    """Cells as labels, and what is worth saying of it."""
    if all(isinstance(cell, bool) for cell in cells):
        return cells, []
    written = [str(int(cell)) + '.0' if isinstance(cell, float) and cell.is_integer() else str(cell)
               for cell in cells]  # fmt: skip
    if not all(_WHOLE.fullmatch(each) for each in written):
        return written, []
    notes = [
        f'{name}: its whole numbers are labels; --actions_are=continuous makes amounts of them'
    ]
    if any('.' in each for each in written):
        notes = [f'{name}: its numbers are written as fractions but are whole: they are labels; '
                 '--actions_are=continuous makes amounts of them']  # fmt: skip
    return [int(each.split('.')[0]) for each in written], notes


def _combinations(columns: list[Numbers], kept: np.ndarray, where: Path) -> Choices:
    """One index for each combination of whole numbers that occurs."""
    found: set[tuple[int, ...]] = set()
    for column in columns:
        if column.largest >= LARGEST_FLOAT64:
            raise DatasetError(f'{where}: the action {column.name!r} holds numbers beyond 2**53.')

    def stacked(rows: np.ndarray | slice) -> np.ndarray:
        return np.stack([column.spool.take(rows) for column in columns], axis=1).astype(np.int64)

    for begin in range(0, len(kept), _ROWS):
        found |= set(map(tuple, np.unique(stacked(slice(begin, begin + _ROWS)), axis=0).tolist()))
        if len(found) > MOST_LABELS:
            raise DatasetError(
                f'{where}: the actions {listed([column.name for column in columns])} have more than '
                f'{MOST_LABELS:,} combinations; say --actions_are=continuous if they are amounts.'
            )
    labels = sorted(found)
    keys = np.array(labels, np.int64)

    def codes(rows: np.ndarray | slice) -> np.ndarray:
        unique, inverse = np.unique(stacked(rows), axis=0, return_inverse=True)
        places = [int(np.flatnonzero((keys == each).all(axis=1))[0]) for each in unique]
        return np.array(places, np.int64)[inverse.reshape(-1)]

    name = ', '.join(column.name for column in columns)
    notes = [f'{name}: the combinations of whole numbers that occur are labels; '
             '--actions_are=continuous makes amounts of them']  # fmt: skip
    return _discrete(name, labels, codes, kept, notes, where)


def _discrete(name: str, cells: list[Label], codes: Callable, kept: np.ndarray, notes: list[str],
              where: Path) -> Choices:  # fmt: skip
    """Actions of codes, whose labels are `cells`; only those of steps count."""
    labels = sorted(set(cells))
    index = np.array([labels.index(cell) for cell in cells])
    counts = np.zeros(len(labels), np.int64)
    for begin in range(0, len(kept), _ROWS):
        part = slice(begin, begin + _ROWS)
        counts += np.bincount(index[codes(part)[kept[part]]], minlength=len(labels))
    used = np.flatnonzero(counts)
    if len(used) < 2:
        raise DatasetError(
            f'{where}: all steps have one action, {labels[used[0]]} ({name}): nothing to choose.'
        )
    place = np.full(len(labels), -1)
    place[used] = np.arange(len(used))
    unused = [labels[each] for each in np.flatnonzero(counts == 0)]
    if unused:
        notes = [
            *notes,
            f'{name}: labels that only rows without a step have are left out: {listed(unused)}',
        ]
    once = [labels[each] for each in np.flatnonzero(counts == 1)]
    warnings = (
        [f'{name}: actions seen once: {len(once)} of {len(used)} ({listed(once)})'] if once else []
    )
    return Choices(
        gym.spaces.Discrete(len(used)),
        tuple(labels[each] for each in used),
        lambda rows: place[index[codes(rows)]],
        [f'{name}: {len(used)} discrete actions', *notes],
        warnings,
    )

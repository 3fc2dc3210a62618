"""Observations of a table's columns: numbers, days, an entry per category; what is missing, filled."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data.columns import Feature
from data.ingestion.cells import DAY, Codes, Numbers
from data.ingestion.episodes import Order, chunks
from data.ingestion.files import listed
from data.ingestion.roles import Roles
from data.precision import LARGEST, Rounding
from data.types import DatasetError

MOST_LABELS = 1_000
_ROWS = 1 << 20
_FILLED = 'say --fill=forward, mean or indicator, or complete the table'


def open_columns(roles: Roles, scratch: Path) -> dict[str, Numbers | Codes]:
    """A reader for each column of the observations, by name."""
    made = {}
    for index, name in enumerate(roles.observations):
        path = scratch / f'observation-{index}'
        if name in roles.categories:
            made[name] = Codes(name, path, MOST_LABELS)
        elif name in roles.times:
            made[name] = Numbers(name, path, np.float64, times=True)
        else:
            made[name] = Numbers(name, path, np.float32)
    return made


def check(columns: Mapping[str, Numbers | Codes], fill: str, where: Path) -> None:
    """Refuses what no option has said how to handle.

    Raises:
        DatasetError: with the columns, and the number of rows.
    """
    faults = (
        ('text', 'text where numbers are expected',
         'say --categories for labels or --times for times, or correct the table'),
        ('times', 'times where numbers are expected', 'say --times'),
        ('untimely', 'cells that are no times in ISO 8601, such as 2026-05-31 or 2026-05-31T14:30',
         'correct the table'),
        ('type', 'cells that are neither all text nor all numbers', 'correct the table'),
        ('infinite', 'infinite numbers', 'correct the table'),
        *(() if fill else (('missing', 'missing values', _FILLED),)),
    )  # fmt: skip
    for kind, what, remedy in faults:
        found = {
            name: column.troubles[kind]
            for name, column in columns.items()
            if kind in column.troubles
        }
        if found:
            rows = ', '.join(
                f'{name} ({each.count:,} rows, the first is {each.where}'
                + ('' if kind == 'missing' else f': {str(each.example)[:60]!r}') + ')'
                for name, each in found.items()
            )  # fmt: skip
            raise DatasetError(f'{where}: observations hold {what}: {rows}; {remedy}.')
    for name, column in columns.items():
        if isinstance(column, Codes) and column.overflow:
            raise DatasetError(f'{where}: {name!r} has more than {MOST_LABELS:,} categories.')
        if not (column.codes if isinstance(column, Codes) else column.count):
            raise DatasetError(
                f'{where}: the column {name!r} holds no value in any row: leave it out.'
            )
        if (
            isinstance(column, Numbers)
            and not column.times
            and column.largest > LARGEST
        ):
            raise DatasetError(
                f'{where}: {name!r} holds numbers up to {column.largest:.3g}, beyond float32, in which '
                'observations are stored: scale it.'
            )


class Observations:
    """The columns of `open_columns`, read and checked, as observations.

    Attributes:
        features: the entries of an observation, in order.
        notes: what was done to the columns, a sentence each.
        warnings: what was lost, a sentence each.
    """

    def __init__(self, columns: Mapping[str, Numbers | Codes], fill: str, order: Order):
        self._columns, self._fill = columns, fill
        self.notes, self.warnings = [], []
        features, indicators = [], []
        for column in columns.values():
            missing = column.troubles['missing'].count if 'missing' in column.troubles else 0
            features += self._features(column, missing / len(order.rows))
            if missing:
                indicators += self._note_missing(column, missing, features[-1].fill, order)
            if isinstance(column, Numbers):
                self._warn_of_rounding(column)
        self.features = (*features, *indicators)
        self._fills = {each.column: each.fill for each in features}
        names = [feature.name for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DatasetError(f'two entries of an observation would be called {listed(twice)}.')

    def _features(self, column: Numbers | Codes, missing: float) -> list[Feature]:
        common = {'column': column.name, 'carried': bool(missing) and self._fill == 'forward',
                  'missing': missing}  # fmt: skip
        if isinstance(column, Codes):
            names = [text(label) for label in sorted(column.labels)]
            self.notes.append(f'{column.name}: an entry for each of {len(names)} categories')
            fill = 0.0 if missing else None
            return [
                Feature(
                    f'{column.name}={name}', kind='category', category=name, fill=fill, **common
                )
                for name in names
            ]
        if column.times:
            origin = str(np.datetime64(int(column.low), 'us'))
            self.notes.append(f'{column.name}: days since {origin}')
            fill = (column.mean - column.low) / DAY if missing else None
            return [Feature(column.name, kind='time', origin=origin, fill=fill, **common)]
        return [Feature(column.name, fill=column.mean if missing else None, **common)]

    def _note_missing(self, column, missing: int, fill: float, order: Order) -> list[Feature]:
        share = missing / len(order.rows)
        constant = 'all its entries 0' if isinstance(column, Codes) else f'the mean {fill:,.6g}'
        sentence = (
            f'{column.name}: missing in {missing:,} of {len(order.rows):,} rows ({share:.1%}): '
        )
        if self._fill == 'forward':
            carried = sum(
                np.count_nonzero(~known & (_last_known(known, first) >= 0))
                for known, first in _known(column, order)
            )
            sentence += (
                f'{carried:,} have the last known value of their episode, {missing - carried:,}, with '
                f'none before, {constant}'
            )
        else:
            sentence += f'they have {constant}'
        if self._fill != 'indicator':
            self.notes.append(sentence)
            return []
        name = f'{column.name} missing'
        self.notes.append(f'{sentence}, and {name!r} tells which')
        return [Feature(name, column.name, 'missing')]

    def _warn_of_rounding(self, column: Numbers) -> None:
        rounding = column.rounding
        if column.times:
            rounding = Rounding(1)
            for begin in range(0, column.spool.length, _ROWS):
                times = column.spool.take(slice(begin, begin + _ROWS))
                rounding.add((times[~np.isnan(times), None] - column.low) / DAY)
        self.warnings += rounding.sentences([column.name], '')

    def matrix(self, rows: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Observations, float32 (n, features).

        Args:
            rows: of the table, int64 (n,), whole episodes in order.
            first: for each, where among these its episode begins, (n,).
        """
        parts, indicators = [], []
        for name, column in self._columns.items():
            values = column.spool.take(rows)
            known = _is_known(values)
            if self._fill == 'forward' and not known.all():
                last = _last_known(known, first)
                values = np.where(last >= 0, values[last], values)
            if isinstance(column, Codes):
                codes = [column.codes[label] for label in sorted(column.labels)]
                parts.append(values[:, None] == np.array(codes))
            else:
                if column.times:
                    values = (values - column.low) / DAY
                fill = self._fills[name]
                parts.append(np.where(np.isnan(values), fill, values)[:, None] if fill is not None
                             else values[:, None])  # fmt: skip
            if self._fill == 'indicator' and 'missing' in column.troubles:
                indicators.append(~known[:, None])
        return np.concatenate([*parts, *indicators], axis=1, dtype=np.float32, casting='unsafe')


def text(label: Any) -> str:
    """A category as text, the same whether the table held 1 or 1.0, or true in whatever case."""
    if isinstance(label, bool):
        return str(label).lower()
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _is_known(values: np.ndarray) -> np.ndarray:
    return values >= 0 if values.dtype.kind == 'i' else ~np.isnan(values)


def _known(column: Numbers | Codes, order: Order) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for chunk in chunks(order):
        yield _is_known(column.spool.take(chunk.rows)), chunk.first


def _last_known(known: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Where each row's last known value stands, itself included; -1 where its episode has none yet."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    return np.where(last >= first, last, -1)

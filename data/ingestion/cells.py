"""The cells of one column as numbers or codes, appended to a file on disk block by block.

What cannot be used is counted as the blocks pass, so that whoever must refuse a table can say how many
rows of a column are wrong, and which is the first.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.ingestion.formats import Block
from data.precision import LARGEST, Rounding

_BOOLEANS = {'true': 1.0, 'false': 0.0}
_NUMBER = re.compile(
    r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)|nan', re.IGNORECASE
)
_DATE, _CLOCK = r'\d{4}-\d\d-\d\d', r'[ T]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?'
_TIME = f'^{_DATE}({_CLOCK})?$'
_ZONED_TIME = rf'^{_DATE}{_CLOCK}(Z|[+-]\d\d(:?\d\d)?)$'
_NUMERIC = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_null,
)
_AS_TEXT = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_time, pa.types.is_decimal)
_LABELS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string)
# Microseconds, in which times are kept.
DAY = 86_400e6
# float64 holds all whole numbers up to this one.
LARGEST_FLOAT64 = 2**53


class Trouble(NamedTuple):
    """Cells that cannot be used: how many, the place of the first, and what stands there."""

    count: int
    where: str
    example: Any


class Spool:
    """One number a row on disk, written from the first row to the last, and read in any order."""

    def __init__(self, path: Path, dtype: type):
        self._path, self.dtype, self.length = path, np.dtype(dtype), 0
        path.touch()

    def append(self, values: np.ndarray) -> None:
        """Adds rows, as many as there are values."""
        # Opened for each block: a table may have more columns than a process may have open files.
        with self._path.open('ab') as file:
            file.write(np.ascontiguousarray(values, self.dtype).data)
        self.length += len(values)

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """The values of rows. Mapped for this long only: what stays mapped counts as memory."""
        if not self.length:
            return np.empty(0, self.dtype)
        return np.array(np.memmap(self._path, self.dtype, 'r')[rows])


class _Column:
    """What all columns have: a name, their cells on disk, and troubles by kind."""

    def __init__(self, name: str, path: Path, dtype: type):
        self.name, self.spool, self.troubles = name, Spool(path, dtype), {}

    def _note(self, kind: str, wrong: np.ndarray, block: Block) -> None:
        count = int(np.count_nonzero(wrong))
        if not count:
            return
        if kind in self.troubles:
            first = self.troubles[kind]
            self.troubles[kind] = first._replace(count=first.count + count)
            return
        row = int(wrong.argmax())
        where = f'row {block.first + row:,}' + (f' of {block.file}' if block.file else '')
        self.troubles[kind] = Trouble(count, where, block.columns[self.name][row].as_py())


class Numbers(_Column):
    """A column of numbers, NaN where they are missing; booleans are 0 and 1.

    Attributes:
        times: whether cells are times, kept as microseconds since 1970; None if any one kind will do,
            until the first block says which it is.
        count, total, low, high: of the known and finite ones.
        fractions: whether any is no whole number.
        rounding: what float32 would lose of them.
        troubles: 'missing', 'infinite'; 'text', 'times' where numbers are wanted, 'untimely' where
            times are.
    """

    def __init__(self, name: str, path: Path, dtype: type = np.float64, times: bool | None = False):
        super().__init__(name, path, dtype)
        self.times = times
        self.count, self.total, self.low, self.high = 0, 0.0, np.inf, -np.inf
        self.fractions, self.rounding = False, Rounding(1)
        self._booleans = None

    def add(self, block: Block) -> None:
        """Reads a block's cells of this column."""
        cells = block.columns[self.name]
        missing = np.asarray(cells.is_null())
        if self.times is None and not missing.all():
            self.times = _are_times(cells)
        values = moments(cells) if self.times else self._numbers(cells)
        unread = np.isnan(values) & ~missing
        if unread.any() and not self.times and pa.types.is_floating(cells.type):
            missing, unread = missing | unread, np.zeros_like(unread)
        if pa.types.is_string(cells.type) and unread.any():
            blank = np.asarray(pc.fill_null(pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(cells)),
                                                     pa.array(['', 'nan'])), False))  # fmt: skip
            missing, unread = missing | blank, unread & ~blank
        self._note('missing', missing, block)
        wrong = 'untimely' if self.times else 'times' if _have_dates(cells.type) else 'text'
        self._note(wrong, unread, block)
        self._note('infinite', np.isinf(values), block)
        self._measure(values[np.isfinite(values)])
        with np.errstate(over='ignore'):
            self.spool.append(values)

    def _numbers(self, cells: pa.Array) -> np.ndarray:
        if not pa.types.is_string(cells.type):
            return numbers(cells)
        try:
            found, booleans = numbers(cells), False
        except pa.ArrowInvalid:
            found, booleans = _parsed(cells)
        # 1 and true in one column are no column of either.
        if not np.isnan(found).all():
            if self._booleans not in (None, booleans):
                return np.full(len(cells), np.nan)
            self._booleans = booleans
        return found

    def _measure(self, values: np.ndarray) -> None:
        if not len(values):
            return
        self.count += len(values)
        self.total += float(values.sum())
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        self.fractions = self.fractions or bool(np.any(values != np.floor(values)))
        self.rounding.add(values[np.abs(values) <= LARGEST, None])

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def largest(self) -> float:
        """Of the absolute values."""
        return max(abs(self.low), abs(self.high)) if self.count else 0.0


class Codes(_Column):
    """A column of labels as codes: 0 for the one that comes first, and so on; -1 where it is missing.

    Text counts without the blanks around it.

    Attributes:
        codes: of each label: an int, a bool or a text, or a float.
        overflow: whether there are more than `most` labels; codes are then of no use.
        troubles: 'missing', or 'type' where cells are none of those, or text where they were numbers.
    """

    def __init__(self, name: str, path: Path, most: int | None = None):
        super().__init__(name, path, np.int32)
        self.codes: dict[Any, int] = {}
        self.overflow, self._most, self._text = False, most, None

    def add(self, block: Block) -> None:
        """Reads a block's cells of this column."""
        cells = block.columns[self.name]
        if self.overflow:
            return
        found = _labels(cells)
        if pa.types.is_null(found.type):
            found = found.cast(pa.string() if self._text else pa.int64())
        is_text = pa.types.is_string(found.type)
        if not any(is_kind(found.type) for is_kind in _LABELS) or self._text not in (None, is_text):
            self._note('type', np.asarray(cells.is_valid()), block)
            return
        found = found.dictionary_encode()
        self._note('missing', np.asarray(found.is_null()), block)
        if len(found.dictionary):
            self._text = is_text
        labels = found.dictionary.to_pylist()
        new = [self.codes.setdefault(label, len(self.codes)) for label in labels]
        self.overflow = self._most is not None and len(self.codes) > self._most
        self.spool.append(np.array([*new, -1], np.int32)[found.indices.fill_null(len(new))])

    @property
    def labels(self) -> list[Any]:
        """By code."""
        return list(self.codes)


def numbers(cells: pa.Array) -> np.ndarray:
    """Numbers, booleans, or text of numbers as float64, NaN where there is none.

    Raises:
        pa.ArrowInvalid: a text is no number.
    """
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.uint8())
    if not any(is_kind(cells.type) for is_kind in _NUMERIC):
        return np.full(len(cells), np.nan)
    # Unsafe as whole numbers beyond 2**53 lose their last digits; who uses them looks at `largest`.
    return cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def moments(cells: pa.Array) -> np.ndarray:
    """Times, or text of times in ISO 8601, as microseconds since 1970, NaN where there is none."""
    if _have_dates(cells.type):
        stamps = cells.cast(pa.timestamp('us', getattr(cells.type, 'tz', None)), safe=False)
        return stamps.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not pa.types.is_string(cells.type):
        return np.full(len(cells), np.nan)
    text = pc.utf8_trim_whitespace(cells)
    zoned = pc.match_substring_regex(text, _ZONED_TIME)
    # In one column, times with a zone and times without one cannot be put in order.
    shape = zoned if pc.all(zoned).as_py() else pc.match_substring_regex(text, _TIME)
    return _stamps(pc.if_else(shape, text, None), 'UTC' if shape is zoned else None)


def _stamps(text: pa.Array, zone: str | None) -> np.ndarray:
    """`moments` of what looks like times."""
    # Nanoseconds where a cell has that many digits; they reach from 1678 to 2262.
    for unit in ('us', 'ns'):
        try:
            return moments(text.cast(pa.timestamp(unit, zone)))
        except pa.ArrowInvalid:
            continue
    if len(text) == 1:
        return np.full(1, np.nan)
    # Some cell is none, such as the 30th of February: halves, until it stands alone.
    half = len(text) // 2
    return np.concatenate([_stamps(text[:half], zone), _stamps(text[half:], zone)])


def _have_dates(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _are_times(cells: pa.Array) -> bool:
    if not pa.types.is_string(cells.type):
        return _have_dates(cells.type)
    known = cells.drop_null()[:1]
    return not np.isnan(moments(known))[0]


def _parsed(cells: pa.Array) -> tuple[np.ndarray, bool]:
    """Text as numbers, NaN where it is none; and whether all of it is true and false, 1 and 0 then."""
    found = pc.utf8_trim_whitespace(cells).dictionary_encode()
    words = found.dictionary.to_pylist()
    booleans = all(word.lower() in _BOOLEANS for word in words)
    values = [
        _BOOLEANS[word.lower()] if booleans else float(word) if _NUMBER.fullmatch(word) else np.nan
        for word in words
    ]
    return np.array([*values, np.nan])[np.asarray(found.indices.fill_null(len(words)))], booleans


def _labels(cells: pa.Array) -> pa.Array:
    """Cells as text, whole numbers, booleans or floats; an empty text and NaN are missing."""
    if pa.types.is_floating(cells.type):
        return pc.if_else(pc.is_nan(cells), None, cells)
    if any(is_kind(cells.type) for is_kind in _AS_TEXT):
        return cells.cast(pa.string())
    if not pa.types.is_string(cells.type):
        return cells
    trimmed = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(trimmed, ''), None, trimmed)

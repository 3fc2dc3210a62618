"""What columns of numbers lose when they become float32, in which everything is learned."""

from collections.abc import Sequence

import numpy as np

# float32 holds all whole numbers up to this one.
LARGEST_WHOLE = 2**24
LARGEST = float(np.finfo(np.float32).max)
# What is smaller counts as 0 on most devices.
_SMALLEST = float(np.finfo(np.float32).tiny)
# Values are compared with those of as many rows: among a million, ordinary ones are equal by chance.
# Fewer where rows are so wide that these would be more numbers than that.
_BLOCK, _MOST = 10_000, 2**22
# More than this share of the distinct values must be equal to others; of ordinary columns it is less
# than a thousandth. What is equal must also matter, unlike the jitter in the eighth digit of a thing
# that lies still, and moves later. It matters if float32 has few numbers over the range of the whole
# column, unless that is as narrow as what float64 arithmetic leaves of a constant; or if the values are
# so large that float32 rounds them by about 0.0001 and more, such as seconds since 1970.
_LOST = 0.01
_FEW_NUMBERS = 2**12
_NOISE = 1e-9
_LARGE = 2.0**10


def exact(values: np.ndarray) -> np.ndarray:
    """Numbers as float64; as float32 if that loses nothing of their type."""
    values = np.asarray(values)
    return values.astype(np.float32 if np.can_cast(values.dtype, np.float32) else np.float64)


class Rounding:
    """Measures columns block by block, in a pass over rows of any number.

    Attributes:
        low, high: of each column that is not exact as it is.
    """

    def __init__(self, size: int):
        self.low, self.high = np.full(size, np.inf), np.full(size, -np.inf)
        self._fractions = np.zeros(size, bool)
        # Values changed; distinct values, those of them equal to others as float32, and the large ones.
        self._changed, self._distinct, self._lost, self._lost_large = np.zeros((4, size), np.int64)
        self._waiting, self._rows, self._block = [], 0, min(_BLOCK, 1 + _MOST // size)

    def add(self, values: np.ndarray) -> None:
        """Takes rows (n, size) of finite numbers within float32's range, which `exact` has made."""
        if values.dtype == np.float32 or not len(values):
            return
        self._waiting.append(values)
        self._rows += len(values)
        if self._rows >= self._block:
            self._measure()

    def _measure(self) -> None:
        rows = np.concatenate(self._waiting)
        self._waiting, self._rows = [], 0
        for begin in range(0, len(rows), self._block):
            self._measure_block(rows[begin : begin + self._block])

    def _measure_block(self, rows: np.ndarray) -> None:
        self.low = np.minimum(self.low, rows.min(axis=0))
        self.high = np.maximum(self.high, rows.max(axis=0))
        differ = rows != _kept(rows)
        for column in np.flatnonzero(differ.any(axis=0)):
            values = np.sort(rows[:, column])
            apart = np.diff(values) > 0
            lost = values[1:][apart & (np.diff(_kept(values)) == 0)]
            self._distinct[column] += 1 + np.count_nonzero(apart)
            self._lost[column] += len(lost)
            self._lost_large[column] += np.count_nonzero(np.abs(lost) >= _LARGE)
            self._changed[column] += np.count_nonzero(differ[:, column])
            self._fractions[column] |= np.any(values != np.floor(values))

    def sentences(self, names: Sequence[str], what: str) -> list[str]:
        """What is lost, a sentence for each column that loses something that matters.

        Args:
            names: of the columns.
            what: these are columns of, for the sentence.
        """
        if self._waiting:
            self._measure()
        said = []
        for column in np.flatnonzero(self._changed):
            low, high = self.low[column], self.high[column]
            largest = max(abs(low), abs(high))
            owner = f'{what} {names[column]}' if what else names[column]
            distinct, lost = self._distinct[column], self._lost[column]
            step = np.spacing(np.float32(largest))
            few = _NOISE * largest < high - low < _FEW_NUMBERS * max(step, _SMALLEST)
            if _kept(largest) == 0:
                said.append(f'{owner}: numbers up to {largest:.3g} are all 0 as float32')
            elif not self._fractions[column] and largest > LARGEST_WHOLE:
                said.append(
                    f'{owner}: whole numbers up to {largest:,.0f} are stored as float32, which keeps '
                    f'those to {LARGEST_WHOLE:,} apart: {self._changed[column]:,} values are changed, '
                    f'and of {distinct:,} distinct ones {lost:,} are equal to others'
                )
            elif (lost if few else self._lost_large[column]) > _LOST * distinct:
                said.append(
                    f'{owner}: of {distinct:,} distinct values looked at, {lost:,} are equal to others '
                    f'once they are float32, which has {step:.2g} from one number to the next near '
                    f'{largest:.6g}'
                )
        return said


def lost_in(rows: np.ndarray, kind: np.dtype, what: str) -> list[str]:
    """What rows (n, ...) lose if they are stored as that type, a warning for each column, by number."""
    if kind != np.float32:
        return []
    rows = exact(rows).reshape(len(rows), -1)
    rounding = Rounding(rows.shape[1])
    rounding.add(rows)
    names = [str(number) for number in range(rows.shape[1])]
    return [f'WARNING: {each}' for each in rounding.sentences(names, what)]


def _kept(values: np.ndarray) -> np.ndarray:
    """As float32 on most devices."""
    kept = np.asarray(values).astype(np.float32)
    return np.where(np.abs(kept) < _SMALLEST, np.float32(0), kept)

"""What a key may be: the notation of the definitions, and the check of values against it.

    [0, 1]   (0, inf]           a number between the two; a round bracket excludes its end
    (-inf, 0) or (0, inf)       a number in one of these
    int [1, 2**31)              an integer; 'whole' asks for a number without a fraction
    tuple of int [1, 1e5]       any number of such; 'nonempty tuple of' asks for one at least
    bool   text   'a' or 'b'    True or False, a string without control characters, one of these

A number has to be in its range as float32 as well, by which networks know it.
"""

import ast
import functools
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from launch.cli import UserError

_LARGEST = float(np.finfo(np.float32).max)
# What is smaller counts as 0 on most devices.
_SMALLEST = float(np.finfo(np.float32).tiny)
# The longest value that a message repeats.
_MOST_SHOWN = 60
_NAMES = {
    'bool': 'True or False', 'text': 'a printable text', 'tuple of int ': 'a tuple of integers in ',
    'tuple of whole ': 'a tuple of whole numbers in ', 'tuple of ': 'a tuple of numbers in ',
    'int ': 'an integer in ', 'whole ': 'a whole number in ',
}  # fmt: skip

Table = Mapping[str, 'str | Table']


def check(values: ConfigDict, table: Table, owner: str = 'config') -> None:
    """Raises UserError unless there are exactly a table's keys, with a value in the range of each.

    Args:
        values: the keys' values; what a table's key has a table for is a ConfigDict itself.
        table: the ranges by key.
        owner: what messages call `values`.
    """
    if not isinstance(values, ConfigDict):
        raise UserError(f'{owner} is {shown(values)}; valid: the keys {", ".join(table)}.')
    for key in values:
        if key not in table:
            raise UserError(
                f'unknown key {key!r} in {owner}; valid ones: {", ".join(sorted(table))}.'
            )
    missing = sorted(table.keys() - set(values))
    if missing:
        raise UserError(f'{owner} lacks {", ".join(missing)}.')
    for key, valid in table.items():
        value, name = values[key], f'{owner}.{key}'
        if not isinstance(valid, str):
            check(value, valid, name)
        elif not contains(valid, value):
            kept = ''
            finite = isinstance(value, float) and math.isfinite(value) and value != 0
            if finite and not _SMALLEST <= abs(value) <= _LARGEST:
                kept = f' as float32, which holds {_SMALLEST:.1e} to {_LARGEST:.1e} and 0'
            raise UserError(f'{name} is {shown(value)}; valid: {_name(valid)}{kept}.')


def contains(valid: str, value: Any) -> bool:
    """Whether a value is in a range."""
    if valid.startswith('nonempty '):
        return contains(valid.removeprefix('nonempty '), value) and len(value) > 0
    if valid.startswith('tuple of '):
        rest = valid.removeprefix('tuple of ')
        return isinstance(value, tuple | list) and all(contains(rest, each) for each in value)
    if valid == 'bool':
        return isinstance(value, bool)
    if valid == 'text':
        return isinstance(value, str) and value.isprintable()
    if valid.startswith("'"):
        return isinstance(value, str) and value in _choices(valid)
    integer = valid.startswith('int ')
    if isinstance(value, bool) or not isinstance(value, int if integer else int | float):
        return False
    if valid.startswith('whole ') and value % 1:
        return False
    # It is infinite in float32, without being meant to be.
    if not integer and abs(value) > _LARGEST and value not in (math.inf, -math.inf):
        return False
    return all(
        any(_between(each, *interval) for interval in _intervals(valid))
        for each in ([value] if integer else [value, _kept(value)])
    )


def _kept(value: float) -> np.float32:
    return np.float32(value if abs(value) >= _SMALLEST else 0)


def _between(value: Any, opening: str, low: float, high: float, closing: str) -> bool:
    above = value >= low if opening == '[' else value > low
    below = value <= high if closing == ']' else value < high
    return bool(above and below)


@functools.cache
def _choices(valid: str) -> tuple[str, ...]:
    return ast.literal_eval(f"({valid.replace(' or ', ', ')},)")


@functools.cache
def _intervals(valid: str) -> list[tuple[str, float, float, str]]:
    found = re.findall(r'([\[(])([^,]+), ([^\])]+)([\])])', valid)
    if not found:
        raise ValueError(f'{valid!r} is no range.')
    return [(opening, _number(low), _number(high), closing) for opening, low, high, closing in found]


def _number(text: str) -> float:
    base, _, power = text.partition('**')
    return float(base) ** float(power or 1)


def _name(valid: str) -> str:
    for begins, name in _NAMES.items():
        if valid.startswith(begins):
            return name + valid.removeprefix(begins)
    if valid.startswith('nonempty '):
        return f'{_name(valid.removeprefix("nonempty "))}, one at least'
    return valid if valid.startswith("'") else f'a number in {valid}'


def shown(value: Any) -> str:
    """A value as messages repeat it."""
    text = ' '.join(repr(value).split())
    return text if len(text) <= _MOST_SHOWN else f'{text[: _MOST_SHOWN - 3]}...'

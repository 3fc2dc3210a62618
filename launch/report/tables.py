"""Tables: aligned for a terminal, or Markdown."""

import itertools
import math
from collections.abc import Sequence
from typing import Any


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells in columns of equal width."""
    widths = [max(map(len, column)) for column in itertools.zip_longest(*rows, fillvalue='')]
    return ['  '.join(c.ljust(width) for c, width in zip(row, widths)).rstrip() for row in rows]


def aligned(rows: Sequence[Sequence[str]], footer: Sequence[Sequence[str]] = ()) -> str:
    """Columns of equal width: a header, a rule, the other rows, a rule, the footer if there is one."""
    lines = columns([*rows, *footer])
    rule = '-' * max(map(len, lines))
    end = [rule, *lines[len(rows) :]] if footer else []
    return '\n'.join([lines[0], rule, *lines[1 : len(rows)], *end])


def markdown(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, each cell as str makes it."""
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def interval_cells(interval: dict[str, float], style: str) -> tuple[str, str]:
    """A mean, and its interval in brackets (summary.interval), each in a number format; '-' for none."""
    low, high = interval['mean_low'], interval['mean_high']
    if math.isnan(low):
        return f'{interval["mean"]:{style}}', '-'
    return f'{interval["mean"]:{style}}', f'[{low:{style}}, {high:{style}}]'


def with_interval(interval: dict[str, float], style: str) -> str:
    """Both in one cell, the mean alone if it has no interval."""
    return ' '.join(interval_cells(interval, style)).removesuffix(' -')

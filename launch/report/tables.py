"""Tables: aligned for a terminal, or Markdown."""

import itertools
from collections.abc import Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[str]], footer: Sequence[Sequence[str]] = ()) -> str:
    """Columns of equal width: a header, a rule, the other rows, a rule, the footer if there is one."""
    widths = [
        max(map(len, column)) for column in itertools.zip_longest(*rows, *footer, fillvalue='')
    ]
    header, *body = (_line(row, widths) for row in rows)
    end = [_line(row, widths) for row in footer]
    rule = '-' * max(map(len, [header, *body, *end]))
    return '\n'.join([header, rule, *body, *([rule, *end] if end else [])])


def _line(row: Sequence[str], widths: list[int]) -> str:
    return '  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def markdown(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, each cell as str makes it."""
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def interval_cells(interval: dict[str, float], style: str) -> tuple[str, str]:
    """A mean, and its interval in brackets (summary.interval), each in a number format."""
    low, high = interval['mean_low'], interval['mean_high']
    return f'{interval["mean"]:{style}}', f'[{low:{style}}, {high:{style}}]'


def with_interval(interval: dict[str, float], style: str) -> str:
    """Both in one cell."""
    return ' '.join(interval_cells(interval, style))

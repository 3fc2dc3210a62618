"""The one way to draw: panels, what is drawn in them, and saving."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data import disk
from launch.cli import UserError

_STYLES = ('--', ':', '-.', (0, (5, 1, 1, 1, 1, 1)))


def panels(
    width: float, height: float, rows: int = 1, columns: int = 1, **kwargs
) -> tuple[Figure, np.ndarray]:
    """A figure of so many inches, and its panels, (rows, columns); kwargs as of Figure.subplots."""
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG."""
    for axes in figure.axes:
        axes.spines[['top', 'right']].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk.writing(path):
        figure.savefig(path, dpi=150)


def check(path: Path) -> None:
    """Tries whether a figure can be saved, before the work that it shows.

    Raises:
        UserError: its name does not end as that of a figure.
        OSError: its file cannot be written.
    """
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise UserError(f'{path}: the name of a figure ends in .{", .".join(sorted(known))}.')
    disk.check_file(path)


def label_rows(axes: np.ndarray, names: Sequence[str], upwards: str, along: str) -> None:
    """Names the rows of panels (rows, columns) and what both axes are; empty panels are not shown."""
    for panel in axes.flat:
        panel.set_visible(panel.has_data())
    for panel in axes[-1]:
        panel.set_xlabel(along)
    for panel, name in zip(axes[:, 0], names):
        panel.set_ylabel(f'{name}\n{upwards}')


def legend(figure: Figure, columns: int = 3) -> None:
    """What the panels' labels mean, each once, below all panels."""
    labelled = (axes.get_legend_handles_labels() for axes in figure.axes)
    handles = {label: handle for each in labelled for handle, label in zip(*each)}
    if handles:
        figure.legend(
            handles.values(), handles.keys(), loc='outside lower center', ncols=columns,
            frameon=False, fontsize='small',
        )  # fmt: skip


def references(axes: Axes, lines: Mapping[str, float], vertical: bool = False) -> None:
    """Returns to hold others against, as grey lines of different styles."""
    for style, (name, value) in zip(_STYLES, lines.items()):
        line = axes.axvline if vertical else axes.axhline
        line(value, color='0.35', linestyle=style, linewidth=1, label=f'{name} {value:,.4g}')


def band(
    axes: Axes, x, middle, low, high, label: str | None = None, color: str | None = None, marker=''
) -> None:
    """A line, and a band around it."""
    (line,) = axes.plot(x, middle, color=color, marker=marker, markersize=4, label=label)
    axes.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0)


def range_band(axes: Axes, x, scores: np.ndarray, label: str, color: str) -> None:
    """The mean over members of scores (steps, members), NaN for diverged ones, and their range."""
    low, high = np.nanmin(scores, axis=1), np.nanmax(scores, axis=1)
    band(axes, x, np.nanmean(scores, axis=1), low, high, label, color)


def interval_band(
    axes: Axes, x, intervals: list[Mapping[str, float]], label: str | None = None,
    color: str | None = None,
) -> None:  # fmt: skip
    """Means with their intervals (summary.interval) as a band."""
    middle, low, high = ([each[name] for each in intervals]
                         for name in ('mean', 'mean_low', 'mean_high'))  # fmt: skip
    band(axes, x, middle, low, high, label, color, marker='o')


def interval_dot(
    axes: Axes, interval: Mapping[str, float], height: float, color: str, label: str | None = None
) -> None:
    """A mean as a dot, its interval as a horizontal bar through it."""
    axes.plot([interval['mean_low'], interval['mean_high']], [height] * 2, color=color, linewidth=2)
    axes.plot(interval['mean'], height, 'o', color=color, markersize=5, label=label)

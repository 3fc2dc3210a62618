"""What an experiment's seeds scored, evaluation by evaluation: one CSV, which outlives the runs."""

import csv
import io
import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import disk, locking
from launch.cli import UserError
from launch.run import directory, metrics

_HEADER = ['dataset', 'algorithm', 'seed', 'updates', 'score']
# Dataset and algorithm's title.
Cell = tuple[str, str]


class Curve(NamedTuple):
    """Scores of an algorithm on a dataset.

    Attributes:
        seeds: of training.
        steps: updates before each evaluation, (evaluations,).
        scores: (evaluations, seeds).
    """

    seeds: tuple[int, ...]
    steps: np.ndarray
    scores: np.ndarray

    @property
    def late(self) -> np.ndarray:
        """Means over the last third of the evaluations, (seeds,)."""
        return self.scores[len(self.scores) - math.ceil(len(self.scores) / 3) :].mean(axis=0)


def of_run(run: Path) -> Curve:
    """Of a run's directory, whose members differ in their seeds alone."""
    first = directory.load_config(run).seed
    steps, scores = metrics.curve(run)
    return Curve(tuple(range(first, first + scores.shape[1])), steps, scores)


def read(path: Path) -> dict[Cell, Curve]:
    """All that is kept in a file; nothing, if it is not there.

    Raises:
        UserError: it is not such a file, or the seeds of a cell were not evaluated at the same steps.
    """
    if not path.exists():
        return {}
    with path.open(newline='') as file:
        header, *rows = list(csv.reader(file)) or [[]]
    try:
        if header != _HEADER:
            raise ValueError(f'its first line is not {",".join(_HEADER)}')
        return {cell: _curve(cell, of_cell) for cell, of_cell in _by_cell(rows).items()}
    except ValueError as error:
        raise UserError(f'{path} is damaged: {error}.') from error


def _by_cell(rows: list[list[str]]) -> dict[Cell, list[list[str]]]:
    found: dict[Cell, list[list[str]]] = {}
    for row in rows:
        if len(row) != len(_HEADER):
            raise ValueError(f'{row} are not {len(_HEADER)} values')
        found.setdefault(tuple(row[:2]), []).append(row[2:])
    return found


def _curve(cell: Cell, rows: list[list[str]]) -> Curve:
    values = np.array(rows, np.float64)
    seeds, steps = (list(dict.fromkeys(column)) for column in values[:, :2].T)
    if [tuple(row) for row in values[:, :2]] != list(itertools.product(seeds, steps)):
        raise ValueError(f'not every seed of {" on ".join(cell[::-1])} has one score at every step')
    scores = values[:, 2].reshape(len(seeds), len(steps)).T
    return Curve(tuple(map(int, seeds)), np.array(steps, int), scores)


def add(
    curves: Mapping[Cell, Curve], path: Path, order: Iterable[Cell] = ()
) -> dict[Cell, Curve]:
    """Adds to what a file keeps, or to nothing; of a cell that it has already, the new curve stays.

    Programs that add to one file at the same time lose nothing.

    Args:
        curves: to be added.
        path: of the file.
        order: of the file's cells; those that are not in it follow.

    Returns:
        all that the file keeps now.

    Raises:
        UserError: it is damaged.
    """
    with locking.exclusive(path.with_name(f'{path.name}.lock'), str(path)):
        kept = read(path) | dict(curves)
        write({cell: kept[cell] for cell in (*order, *kept) if cell in kept}, path)
        return read(path)


def write(curves: Mapping[Cell, Curve], path: Path) -> None:
    """Every evaluation of every seed, one row each, in the order of `curves`; of scores two decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(_HEADER)
    for cell, curve in curves.items():
        for seed, scores in zip(curve.seeds, curve.scores.T):
            writer.writerows(
                [*cell, seed, step, f'{score:.2f}'] for step, score in zip(curve.steps, scores)
            )
    disk.write_text(path, text.getvalue())

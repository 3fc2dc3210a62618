"""Statements of the field that are shown here rather than repeated, one file each.

    python -m launch.experiments.case_files

Each file is a list of configs, which it runs or finds finished, or reads runs named on the command line,
and ends with a table and a figure.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use('Agg')

import matplotlib.pyplot as plt
from ml_collections import ConfigDict

from launch import report, run_directory, train
from launch.cli import UserError

FIGURES = Path(__file__).parents[2] / 'notebooks' / 'results'


def run(configs: list[ConfigDict], figure: Path) -> None:
    """Trains all configs, prints their table and draws what they earn and claim.

    Args:
        configs: on one dataset.
        figure: the PNG to write.
    """
    figure.parent.mkdir(parents=True, exist_ok=True)
    summaries = run_directory.summaries([train.train(config) for config in configs])
    report.present(summaries, figure)


def curve(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps (evaluations,) and the members' scores (evaluations, members)."""
    rows = [row for row in run_directory.read_metrics(run) if row['event'] == 'evaluation']
    if not rows:
        raise UserError(f'{run} holds no evaluations.')
    steps = sorted({row['step'] for row in rows})
    members = sorted({row['member'] for row in rows})
    found = {(row['step'], row['member']): row['measures'] for row in rows}
    scores = [[found[step, member]['score'] for member in members] for step in steps]
    return np.array(steps), np.array(scores)


def draw_curve(axis: plt.Axes, steps: np.ndarray, scores: np.ndarray, color: str, label: str) -> None:
    """A line for the members' mean score, with a band from the lowest to the highest.

    Args:
        axis: to draw on.
        steps, scores: as `curve` gives them; NaN for members that diverged.
        color, label: of the line.
    """
    thousands = steps / 1_000
    axis.plot(thousands, np.nanmean(scores, axis=1), color=color, label=label)
    low, high = np.nanmin(scores, axis=1), np.nanmax(scores, axis=1)
    axis.fill_between(thousands, low, high, color=color, alpha=0.15, linewidth=0)

"""Statements of the field that are shown here rather than repeated, one file each.

    python -m launch.experiments.case_files

Each file is a list of configs; it runs them, or finds them finished, and ends with a table and a figure.
"""

from pathlib import Path

import numpy as np
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

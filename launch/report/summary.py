"""What a run amounts to, over its seeds."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from data.problem import Problem
from launch.cli import UserError
from launch.report import tables
from launch.run import directory
from launch.run.members import Member, by_setting

_BOOTSTRAP_SAMPLES = 5_000
_interquartile_mean = functools.partial(scipy.stats.trim_mean, proportiontocut=0.25)
# Of an evaluation, beside returns and scores: what a critic claims, and what it should have.
VALUES = ('claimed_value', 'discounted_return', 'value_overestimation')


def interval(scores: np.ndarray) -> dict[str, Any]:
    """Mean and interquartile mean over seeds with 95 % bootstrap intervals, of percentiles.

    Args:
        scores: one score per seed, (seeds,); NaN for seeds that diverged.

    Returns:
        mean, mean_low, mean_high, iqm, iqm_low, iqm_high and seeds, the number of scores used.
        Without two scores there is no interval and its ends are NaN.
    """
    scores = scores[np.isfinite(scores)]
    result: dict[str, Any] = {'seeds': len(scores)}
    for name, aggregate in (('mean', np.mean), ('iqm', _interquartile_mean)):
        low = high = np.nan
        if len(scores) > 1:
            low, high = scipy.stats.bootstrap(
                (scores,), aggregate, n_resamples=_BOOTSTRAP_SAMPLES, method='percentile', rng=0
            ).confidence_interval
        value = aggregate(scores) if len(scores) else np.nan
        result |= {name: float(value), f'{name}_low': float(low), f'{name}_high': float(high)}
    return result


def summarize(
    problem: Problem, judged: Sequence[tuple[Member, dict[str, float]]], updates: int
) -> dict[str, Any]:
    """The summary of a run.

    Args:
        problem: of the run.
        judged: its members as they were evaluated, and the measures of that (rollouts.measures).
        updates: done by each member.
    """
    members, measured = zip(*judged)
    random, expert = problem.scores
    settings = []
    for label, indices in by_setting(members).items():
        seeds = [members[i].seed for i in indices]
        values = {
            name: np.array([measured[i][name] for i in indices])
            for name in ('return', 'score', *VALUES)
            if name in measured[indices[0]]
        }
        settings.append({
            'setting': members[indices[0]].setting,
            'label': label,
            **{name: interval(value) for name, value in values.items()},
            'returns_by_seed': dict(zip(seeds, values['return'].tolist())),
            'diverged_seeds': [s for s, r in zip(seeds, values['return']) if np.isnan(r)],
        })  # fmt: skip
    return {
        'dataset': problem.name,
        'updates': updates,
        'reference_returns': {'random': random, 'expert': expert},
        'reference_lines': problem.reference_lines,
        'settings': settings,
    }


def summaries(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """The summaries of finished runs on one dataset, by algorithm (or path, when it comes again).

    Raises:
        UserError: there is no run, or no finished one, or the datasets differ.
    """
    found = {}
    for path in paths:
        name = directory.title_of(path)
        found[name if name not in found else str(path)] = read(path)
    datasets = {summary['dataset'] for summary in found.values()}
    if len(datasets) > 1:
        raise UserError(f'the runs are on different datasets: {", ".join(sorted(datasets))}.')
    return found


def read(path: Path) -> dict[str, Any]:
    """The summary of a finished run.

    Raises:
        UserError: the directory holds none.
    """
    file = path / 'summary.json'
    if not file.exists():
        raise UserError(f'{path} is not finished: there is no {file.name} in it.')
    return json.loads(file.read_text())


def settings(summaries: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """(title, setting) of every setting of every run, the setting with its number of updates."""
    return [
        (' '.join(filter(None, (title, setting['label']))), {'updates': summary['updates']} | setting)
        for title, summary in summaries.items()
        for setting in summary['settings']
    ]


def reference_lines(summaries: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Returns to hold those of the runs against."""
    first = next(iter(summaries.values()))
    return first['reference_lines'] or first['reference_returns']


def table(summaries: dict[str, dict[str, Any]]) -> str:
    """Summaries of runs on one dataset as text, by the runs' titles.

    Steps (updates, or online steps in the environment), returns, scores on the scale random 0,
    expert 100, and, where a run has critics, the discounted return that they claim and the one
    measured.
    """
    found = settings(summaries)
    with_critics = any('claimed_value' in setting for _, setting in found)
    header = ['', 'steps', 'seeds', 'return', '95 % interval', 'IQM', 'score', '95 % interval']
    rows = [header + ['claimed', 'measured'] * with_critics]
    for title, setting in found:
        diverged = len(setting['diverged_seeds'])
        row = [
            title,
            f'{setting["updates"]:,}',
            f'{setting["return"]["seeds"]}' + (f' ({diverged} diverged)' if diverged else ''),
            *tables.interval_cells(setting['return'], '.3f'),
            f'{setting["return"]["iqm"]:.3f}',
            *tables.interval_cells(setting['score'], '.1f'),
        ]
        if 'claimed_value' in setting:
            row += [f'{setting[key]["mean"]:.4g}' for key in ('claimed_value', 'discounted_return')]
        rows.append(row)
    lines = reference_lines(summaries)
    return tables.aligned(rows, [[name, '', '', f'{value:.3f}'] for name, value in lines.items()])

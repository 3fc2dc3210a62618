"""What a run amounts to, over its seeds."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy

from data.problem import Problem
from launch.cli import UserError
from launch.report import estimates, tables
from launch.run import directory, documents
from launch.run.members import Member, by_setting

_BOOTSTRAP_SAMPLES = 5_000
# Of an evaluation in an environment: what is earned, what a critic claims, and what it should have; from
# the log: how near the policies are to it; of rewards: how well they rank pairs. Each where it was
# measured.
MEASURES = (
    'return', 'score', 'success', 'claimed_value', 'discounted_return', 'value_overestimation',
    'td_error', 'support', 'agreement', 'normalized_action_distance', 'pair_agreement', 'pair_loss',
)  # fmt: skip
VALUES = ('claimed_value', 'discounted_return')
_INTERVAL = {'seeds': int} | dict.fromkeys(('mean', 'mean_low', 'mean_high'), documents.NUMBER)
# The keys that its readers need.
_SETTING = {'setting': {'*': documents.NUMBER}, 'label': str, 'diverged_seeds': [int]}
_SUMMARY = {
    'dataset': str, 'updates': int, 'reference_returns': {'*': documents.NUMBER},
    'reference_lines': {'*': documents.NUMBER}, 'settings': [_SETTING],
}  # fmt: skip


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


def _interquartile_mean(scores: np.ndarray, axis: int = 0) -> np.ndarray:
    return scipy.stats.trim_mean(scores, 0.25, axis)


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
    names = [name for name in MEASURES if name in measured[0]]
    settings = []
    for label, indices in by_setting(members).items():
        seeds = [members[i].seed for i in indices]
        values = {name: np.array([measured[i][name] for i in indices]) for name in names}
        # Of a diverged member everything is unknown.
        gone = np.all(np.isnan(list(values.values())), axis=0)
        setting = {'setting': members[indices[0]].setting, 'label': label}
        setting |= {name: interval(value) for name, value in values.items()}
        if 'return' in values:
            setting['returns_by_seed'] = dict(zip(seeds, values['return'].tolist()))
        setting['diverged_seeds'] = [seed for seed, diverged in zip(seeds, gone) if diverged]
        settings.append(setting)
    return {
        'dataset': problem.name,
        'updates': updates,
        'reference_returns': dict(zip(('random', 'expert'), problem.scores or ())),
        'reference_lines': problem.reference_lines,
        'score_by_success': problem.score_by_success,
        'settings': settings,
    }


def summaries(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """The summaries of finished runs on one dataset, by algorithm (or path, when it comes again).

    Raises:
        UserError: there is no run, or no finished one, or the datasets differ.
    """
    found = {}
    for path in paths:
        name = directory.title(directory.load_config(path))
        found[name if name not in found else str(path)] = read(path)
    datasets = {summary['dataset'] for summary in found.values()}
    if len(datasets) > 1:
        raise UserError(f'the runs are on different datasets: {", ".join(sorted(datasets))}.')
    return found


def read(path: Path) -> dict[str, Any]:
    """The summary of a finished run.

    Raises:
        UserError: the directory holds none, or a damaged one.
    """
    file = path / 'summary.json'
    if not file.exists():
        raise UserError(f'{path} is not finished: there is no {file.name} in it.')
    found = documents.read(file, _SUMMARY)
    if not found['settings']:
        raise UserError(f'{file} is damaged: it has no settings.')
    optional = dict.fromkeys((*MEASURES, 'estimate'), _INTERVAL)
    optional |= {'return': _INTERVAL | {'iqm': documents.NUMBER}}
    optional |= {'returns_by_seed': {'*': documents.NUMBER}}
    for index, setting in enumerate(found['settings']):
        schema = {name: each for name, each in optional.items() if name in setting}
        schema |= {'refused': dict} if 'estimator' in found else {}
        found['settings'][index] = documents.check(str(file), setting, schema, f'settings[{index}]')
    judged = {'ranking': str, 'log': {'fitted_q': documents.NUMBER}} if 'estimator' in found else {}
    log = {'log': estimates.LOG | judged.get('log', {})} if 'log' in found or judged else {}
    return documents.check(str(file), found, judged | log)


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
    if 'return' not in first['settings'][0]:
        return {}
    return first['reference_lines'] or first['reference_returns']


def by_success(summaries: dict[str, dict[str, Any]]) -> bool:
    """Whether the score of runs on one dataset is their success; of older summaries it is not."""
    return next(iter(summaries.values())).get('score_by_success', False)


def of_log(summaries: dict[str, dict[str, Any]]) -> dict[str, float] | None:
    """What the log itself earned, with its interval, as its runs are judged; None if not comparable."""
    first = next(iter(summaries.values()))
    measure = 'discounted_return' if 'estimator' in first else 'return'
    return first['log'][measure] if 'log' in first else None


def table(summaries: dict[str, dict[str, Any]]) -> str:
    """Summaries of runs on one dataset as text, by the runs' titles.

    Steps (updates, or online steps in the environment); returns and, where they have a meaning, scores
    (random 0 and expert 100, or successes in percent); where policies were judged from the log, the
    estimates of their discounted returns and how near they are to it; where a run has critics, the
    discounted return that they claim, beside it the one measured or their TD error.
    """
    found = settings(summaries)
    known = {name for _, setting in found for name in setting}
    # Where all estimates are refused, their column is empty rather than missing.
    known |= {'estimate' for each in summaries.values() if 'estimator' in each}
    columns = [column for column in _COLUMNS if column.name in known]
    if 'claimed_value' not in known:
        columns = [column for column in columns if column.name != 'discounted_return']
    rows = [['', 'steps', 'seeds', *itertools.chain.from_iterable(c.header for c in columns)]]
    for title, setting in found:
        diverged = len(setting['diverged_seeds'])
        seeds = max(
            (setting[c.name]['seeds'] for c in columns if c.name in setting), default=0
        )
        row = [title, f'{setting["updates"]:,}',
               f'{seeds}' + (f' ({diverged} diverged)' if diverged else '')]  # fmt: skip
        for column in columns:
            # What was measured is there to hold a claim against.
            shown = column.name != 'discounted_return' or 'claimed_value' in setting
            row += column.cells(setting.get(column.name) if shown else None)
        rows.append(row)
    footer = [[name, '', '', f'{value:.3f}'] for name, value in reference_lines(summaries).items()]
    if log := of_log(summaries):
        footer.insert(0, ['the log', '', '', *tables.interval_cells(log, columns[0].style)])
    return tables.aligned(rows, footer)


class _Column(NamedTuple):
    """Cells of a measure: its mean in a number format, and what else of it is shown."""

    name: str
    title: str
    style: str
    with_interval: bool = False
    with_iqm: bool = False

    @property
    def header(self) -> list[str]:
        return [self.title] + ['95 % interval'] * self.with_interval + ['IQM'] * self.with_iqm

    def cells(self, measured: dict[str, Any] | None) -> list[str]:
        if measured is None:
            return [''] * len(self.header)
        mean, ends = tables.interval_cells(measured, self.style)
        iqm = [format(measured['iqm'], self.style)] if self.with_iqm else []
        return [mean] + [ends] * self.with_interval + iqm


_COLUMNS = (
    _Column('return', 'return', '.3f', with_interval=True, with_iqm=True),
    _Column('score', 'score', '.1f', with_interval=True),
    _Column('estimate', 'estimate', '.4g', with_interval=True),
    _Column('support', 'supported', '.1%'),
    _Column('agreement', 'as logged', '.1%'),
    _Column('normalized_action_distance', 'from logged', '.3f'),
    _Column('td_error', 'TD error', '.3g'),
    _Column('claimed_value', 'claimed', '.4g'),
    _Column('discounted_return', 'measured', '.4g'),
    _Column('pair_agreement', 'pairs as labelled', '.1%', with_interval=True),
    _Column('pair_loss', 'their loss', '.3f'),
)

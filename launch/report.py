"""What a run amounts to: a table over seeds with intervals, and its learning curves."""

import warnings
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
import rliable.library
import rliable.metrics

from launch.members import Member
from launch.problem import Problem

_BOOTSTRAP_SAMPLES = 5_000


def interval(scores: np.ndarray) -> dict[str, Any]:
    """Mean and interquartile mean over seeds with 95 % stratified-bootstrap intervals (rliable).

    Args:
        scores: one score per seed, (seeds,); NaN for seeds that diverged.

    Returns:
        mean, mean_low, mean_high, iqm, iqm_low, iqm_high and seeds, the number of scores used.
        Without two scores there is no interval and its ends are NaN.
    """
    scores = scores[np.isfinite(scores)]
    nothing = {f'{name}{end}': np.nan for name in ('mean', 'iqm') for end in ('', '_low', '_high')}
    if not len(scores):
        return nothing | {'seeds': 0}

    def aggregate(sample):
        return np.array(
            [rliable.metrics.aggregate_mean(sample), rliable.metrics.aggregate_iqm(sample)]
        )

    mean, iqm = aggregate(scores[:, None])
    points = nothing | {'mean': float(mean), 'iqm': float(iqm), 'seeds': len(scores)}
    if len(scores) == 1:
        return points
    with warnings.catch_warnings():
        # rliable hands its bootstrap a RandomState, which the bootstrap deprecates.
        warnings.simplefilter('ignore', FutureWarning)
        _, intervals = rliable.library.get_interval_estimates(
            {'': scores[:, None]},
            aggregate,
            reps=_BOOTSTRAP_SAMPLES,
            random_state=np.random.RandomState(0),
        )
    (mean_low, iqm_low), (mean_high, iqm_high) = intervals[''].tolist()
    return points | {
        'mean_low': mean_low,
        'mean_high': mean_high,
        'iqm_low': iqm_low,
        'iqm_high': iqm_high,
    }


def by_setting(members: list[Member]) -> dict[str, list[int]]:
    """Indices of the members of each setting, by its label."""
    groups: dict[str, list[int]] = {}
    for index, member in enumerate(members):
        groups.setdefault(member.label, []).append(index)
    return groups


def summarize(
    problem: Problem, members: list[Member], returns: np.ndarray, updates: int
) -> dict[str, Any]:
    """The summary of a run.

    Args:
        problem: of the run.
        members: of the run.
        returns: mean return of each member's final evaluation, (members,); NaN if it diverged.
        updates: done by each member.
    """
    random, expert = problem.scores
    settings = []
    for label, indices in by_setting(members).items():
        settings.append(
            {
                'setting': members[indices[0]].setting,
                'label': label,
                'return': interval(returns[indices]),
                'score': interval(100 * (returns[indices] - random) / (expert - random)),
                'returns_by_seed': {members[i].seed: float(returns[i]) for i in indices},
                'diverged_seeds': [members[i].seed for i in indices if np.isnan(returns[i])],
            }
        )
    return {
        'dataset': problem.dataset_id,
        'updates': updates,
        'reference_returns': {'random': random, 'expert': expert},
        'reference_lines': problem.reference_lines,
        'settings': settings,
    }


def table(summary: dict[str, Any], title: str) -> str:
    """The summary as text: returns, and scores on the scale random 0, expert 100."""
    rows = [('setting', 'seeds', 'return', '95 % interval', 'IQM', 'score', '95 % interval')]
    for setting in summary['settings']:
        earned, score = setting['return'], setting['score']
        diverged = len(setting['diverged_seeds'])
        rows.append(
            (
                setting['label'] or title,
                f'{earned["seeds"]}' + (f' ({diverged} diverged)' if diverged else ''),
                f'{earned["mean"]:.3f}',
                f'[{earned["mean_low"]:.3f}, {earned["mean_high"]:.3f}]',
                f'{earned["iqm"]:.3f}',
                f'{score["mean"]:.1f}',
                f'[{score["mean_low"]:.1f}, {score["mean_high"]:.1f}]',
            )
        )
    lines = summary['reference_lines'] or summary['reference_returns']
    rows += [(name, '', f'{value:.3f}', '', '', '', '') for name, value in lines.items()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    text = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    rule = '-' * max(map(len, text))
    return '\n'.join([text[0], rule, *text[1 : len(summary['settings']) + 1], rule]) + '\n' + (
        '\n'.join(text[len(summary['settings']) + 1 :])
    )


def draw_learning_curves(
    rows: list[dict[str, Any]], problem: Problem, members: list[Member], title: str, path: Path
) -> None:
    """Mean return over seeds against updates, a curve per setting, 95 % intervals as bands.

    Args:
        rows: of metrics.jsonl.
        problem, members: of the run.
        title: of the figure.
        path: where to write the PNG.
    """
    figure, axes = plt.subplots(figsize=(7, 4.2), layout='constrained')
    evaluations = [row for row in rows if row['event'] == 'evaluation']
    steps = sorted({row['step'] for row in evaluations})
    measured = {(row['step'], row['member']): row['measures']['return'] for row in evaluations}
    groups = by_setting(members)
    colors = plt.get_cmap('viridis')(np.linspace(0, 0.85, len(groups)))
    for color, (label, indices) in zip(colors, groups.items()):
        bands = [interval(np.array([measured[step, i] for i in indices])) for step in steps]
        means = [band['mean'] for band in bands]
        axes.plot(steps, means, color=color, label=label or title, marker='o', markersize=3)
        lows, highs = ([band[end] for band in bands] for end in ('mean_low', 'mean_high'))
        axes.fill_between(steps, lows, highs, color=color, alpha=0.2, linewidth=0)
    lines = problem.reference_lines or dict(zip(('random', 'expert'), problem.scores))
    styles = ('--', ':', '-.', (0, (5, 1, 1, 1, 1, 1)))
    for style, (name, value) in zip(styles, lines.items()):
        axes.axhline(value, color='0.35', linestyle=style, linewidth=1, label=f'{name} {value:.3g}')
    axes.set(xlabel='updates', ylabel='return', title=f'{title} on {problem.dataset_id}')
    axes.legend(fontsize='small', loc='center left', bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)

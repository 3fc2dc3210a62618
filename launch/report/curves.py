"""Figures of runs: learning curves, and runs side by side."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from data.problem import Problem
from launch.report import figures, summary
from launch.report.summary import VALUES, interval
from launch.run.members import Member, by_setting


def draw_comparison(summaries: dict[str, dict[str, Any]], path: Path) -> None:
    """What runs earn with 95 % intervals, and beside it what their critics claim against what is true.

    Returns, or the scores where success is the score. Where they were judged from the log, what is
    estimated, and beside it what the critics claim; of runs that learned rewards, how many pairs these
    rank as labelled.

    `summaries` are of runs on one dataset, by the runs' titles.
    """
    rows = summary.settings(summaries)
    heights = np.arange(len(rows))[::-1]
    figure, axes = figures.panels(9.5, 1.9 + 0.34 * len(rows), columns=2, sharey=True)
    left, right = axes[0]
    estimated = any('estimator' in each for each in summaries.values())
    by_success = not estimated and summary.by_success(summaries)
    earned = 'estimate' if estimated else 'score' if by_success else 'return'
    measured = 'estimate' if estimated else 'discounted_return'
    if 'pair_agreement' in rows[0][1]:
        earned = 'pair_agreement'
    for height, (_, setting) in zip(heights, rows):
        if earned in setting:
            figures.interval_dot(left, setting[earned], height, 'C0')
        if 'claimed_value' in setting and measured in setting:
            claimed, true = setting['claimed_value'], setting[measured]
            right.plot([claimed['mean'], true['mean']], [height] * 2, color='0.8', zorder=0)
            label = 'estimated' if estimated else 'measured'
            figures.interval_dot(right, true, height, 'C0', label)
            figures.interval_dot(right, claimed, height, 'C3', 'claimed by the critic')
    if (log := summary.of_log(summaries)) and not by_success:
        left.axvspan(log['mean_low'], log['mean_high'], color='C2', alpha=0.25, linewidth=0)
        left.axvline(log['mean'], color='C2', linewidth=1, label=f'the log {log["mean"]:,.4g}')
    if not by_success:
        figures.references(left, summary.reference_lines(summaries), vertical=True)
    left.set_yticks(heights, [title for title, _ in rows])
    dataset = next(iter(summaries.values()))['dataset']
    left.set(xlabel=_EARNED[earned], title=dataset)
    claims = [abs(s[key]['mean']) for _, s in rows for key in VALUES if key in s]
    if claims and max(claims) > 20 * (np.median(claims) + 1):
        right.set_xscale('symlog', linthresh=10 ** np.ceil(np.log10(np.median(claims) + 1)))
    right.set(
        xlabel='discounted return of the policy',
        title=f'claimed against {"estimated" if estimated else "measured"}',
    )
    for panel in (left, right):
        panel.grid(axis='x', color='0.93')
    figures.legend(figure, columns=5)
    figures.save(figure, path)


def draw_learning_curves(
    rows: list[dict[str, Any]], problem: Problem, title: str, path: Path
) -> None:
    """Means over seeds against steps, a curve per setting, 95 % intervals as bands: of the return, or of
    the score where success is that; or, where neither is measured, of what held-out episodes say.

    `rows` are those of the run's metrics.jsonl.
    """
    evaluations = [row for row in rows if row['event'] == 'evaluation']
    steps = sorted({row['step'] for row in evaluations})
    members = {row['member']: Member(row['setting'], row['seed']) for row in evaluations}
    groups = by_setting([members[index] for index in sorted(members)])
    colors = matplotlib.colormaps['viridis'](np.linspace(0, 0.85, len(groups)))
    shown = [
        (name, text)
        for name, text in _CURVES
        if name in evaluations[0]['measures'] and (name != 'score' or problem.score_by_success)
    ]
    # What is earned says it all.
    shown = shown[:1] if shown[0][0] in ('score', 'return') else shown
    columns = min(len(shown), 3)
    rows_of_panels = -(-len(shown) // columns)
    figure, axes = figures.panels(
        7 if columns == 1 else 4.2 * columns, 4.4 if columns == 1 else 3.6 * rows_of_panels,
        rows_of_panels, columns,
    )  # fmt: skip
    for panel in axes.flat[len(shown) :]:
        panel.remove()
    for panel, (name, text) in zip(axes.flat, shown):
        measured = {(row['step'], row['member']): row['measures'][name] for row in evaluations}
        for color, (label, indices) in zip(colors, groups.items()):
            intervals = [interval(np.array([measured[step, i] for i in indices])) for step in steps]
            figures.interval_band(panel, steps, intervals, label or title, color)
        panel.set(xlabel='steps', ylabel=text)
    if shown[0][0] == 'return':
        figures.references(axes[0, 0], problem.lines)
    figure.suptitle(f'{title} on {problem.name}')
    figures.legend(figure)
    figures.save(figure, path)


# Of a comparison, what the left panel is of.
_EARNED = {
    'return': 'return', 'score': 'successful episodes in %', 'estimate': 'estimated discounted return',
    'pair_agreement': 'held-out pairs ranked as labelled',
}  # fmt: skip
# Of an evaluation, what is drawn of it.
_CURVES = (
    ('score', 'successful episodes in %'),
    ('return', 'return'),
    ('support', 'share of actions that the log supports'),
    ('agreement', 'share of actions as logged'),
    ('normalized_action_distance', 'distance from the logged action'),
    ('td_error', 'TD error on held-out episodes'),
    ('claimed_value', 'value that the critic claims'),
    ('pair_agreement', 'share of held-out pairs ranked as labelled'),
    ('pair_loss', 'cross-entropy of held-out pairs'),
)

"""What a run amounts to: a table over seeds with intervals, and its learning curves."""

import functools
import itertools
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
import scipy.stats

from data.reference_scores import normalized_score
from launch.members import Member
from launch.problem import Problem
from launch.rollout import Episodes

_BOOTSTRAP_SAMPLES = 5_000
_interquartile_mean = functools.partial(scipy.stats.trim_mean, proportiontocut=0.25)
_STYLES = ('--', ':', '-.', (0, (5, 1, 1, 1, 1, 1)))
# Of an evaluation, beside returns and scores: what a critic claims, and what it should have.
_VALUES = ('claimed_value', 'discounted_return', 'value_overestimation')


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


def by_setting(members: list[Member]) -> dict[str, list[int]]:
    """Indices of the members of each setting, by its label."""
    groups: dict[str, list[int]] = {}
    for index, member in enumerate(members):
        groups.setdefault(member.label, []).append(index)
    return groups


def measures(
    episodes: Episodes, claimed: np.ndarray | None, problem: Problem
) -> list[dict[str, float]]:
    """What an evaluation says of each member.

    Args:
        episodes: of all members.
        claimed: their critics' claims (rollout.claimed_values), if they have critics.
        problem: of the run.

    Returns:
        return, return_std, score, length and discounted_return; with critics also claimed_value
        and value_overestimation, the claim less the discounted return.
    """
    rows = []
    for member, (returns, discounted) in enumerate(zip(episodes.returns, episodes.discounted)):
        row = {
            'return': returns.mean(),
            'return_std': returns.std(),
            'score': normalized_score(returns.mean(), problem.scores),
            'length': episodes.lengths[member].mean(),
            'discounted_return': discounted.mean(),
        }
        if claimed is not None:
            row |= {
                'claimed_value': claimed[member],
                'value_overestimation': claimed[member] - discounted.mean(),
            }
        rows.append({name: float(value) for name, value in row.items()})
    return rows


def summarize(
    problem: Problem, members: list[Member], measured: list[dict[str, float]], updates: int
) -> dict[str, Any]:
    """The summary of a run.

    Args:
        problem: of the run.
        members: of the run.
        measured: each member's final evaluation (measures).
        updates: done by each member.
    """
    random, expert = problem.scores
    settings = []
    for label, indices in by_setting(members).items():
        seeds = [members[i].seed for i in indices]
        values = {
            name: np.array([measured[i][name] for i in indices])
            for name in ('return', 'score', *_VALUES)
            if name in measured[indices[0]]
        }
        settings.append(
            {
                'setting': members[indices[0]].setting,
                'label': label,
                **{name: interval(value) for name, value in values.items()},
                'returns_by_seed': dict(zip(seeds, values['return'].tolist())),
                'diverged_seeds': [s for s, r in zip(seeds, values['return']) if np.isnan(r)],
            }
        )
    return {
        'dataset': problem.dataset_id,
        'updates': updates,
        'reference_returns': {'random': random, 'expert': expert},
        'reference_lines': problem.reference_lines,
        'settings': settings,
    }


def table(summaries: dict[str, dict[str, Any]]) -> str:
    """Summaries of runs on one dataset as text, by the runs' titles.

    Steps (updates, or online steps in the environment), returns, scores on the scale random 0,
    expert 100, and, where a run has critics, the discounted return that they claim and the one
    measured.
    """
    with_critics = any('claimed_value' in s for _, s in _rows(summaries))
    header = ['', 'steps', 'seeds', 'return', '95 % interval', 'IQM', 'score', '95 % interval']
    rows = [header + ['claimed', 'measured'] * with_critics]
    for title, setting in _rows(summaries):
        earned, score = setting['return'], setting['score']
        diverged = len(setting['diverged_seeds'])
        row = [
            title,
            f'{setting["updates"]:,}',
            f'{earned["seeds"]}' + (f' ({diverged} diverged)' if diverged else ''),
            f'{earned["mean"]:.3f}',
            f'[{earned["mean_low"]:.3f}, {earned["mean_high"]:.3f}]',
            f'{earned["iqm"]:.3f}',
            f'{score["mean"]:.1f}',
            f'[{score["mean_low"]:.1f}, {score["mean_high"]:.1f}]',
        ]
        if 'claimed_value' in setting:
            row += [f'{setting[key]["mean"]:.4g}' for key in ('claimed_value', 'discounted_return')]
        rows.append(row)
    measured = len(rows)
    first = next(iter(summaries.values()))
    lines = first['reference_lines'] or first['reference_returns']
    rows += [[name, '', '', f'{value:.3f}'] for name, value in lines.items()]
    widths = [max(map(len, column)) for column in itertools.zip_longest(*rows, fillvalue='')]
    text = ['  '.join(c.ljust(width) for c, width in zip(row, widths)).rstrip() for row in rows]
    rule = '-' * max(map(len, text))
    return '\n'.join([text[0], rule, *text[1:measured], rule, *text[measured:]])


def present(summaries: dict[str, dict[str, Any]], figure: Path) -> None:
    """Prints the table of runs on one dataset and draws their comparison."""
    print(f'\n{next(iter(summaries.values()))["dataset"]}\n\n{table(summaries)}')
    draw_comparison(summaries, figure)
    print(f'\nFigure: {figure}')


def _rows(summaries: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """(title, setting) of every setting of every run, the setting with its number of updates."""
    return [
        (' '.join(filter(None, (title, setting['label']))), {'updates': summary['updates']} | setting)
        for title, summary in summaries.items()
        for setting in summary['settings']
    ]


def draw_comparison(summaries: dict[str, dict[str, Any]], path: Path) -> None:
    """Returns with 95 % intervals, and beside them what the critics claim against what is true.

    Args:
        summaries: of runs on one dataset, by the runs' titles.
        path: where to write the PNG.
    """
    rows = _rows(summaries)
    heights = np.arange(len(rows))[::-1]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.5, 1.6 + 0.34 * len(rows)), layout='constrained', sharey=True
    )
    for height, (_, setting) in zip(heights, rows):
        _dot(left, setting['return'], height, 'C0')
        if 'claimed_value' in setting:
            claimed, measured = setting['claimed_value'], setting['discounted_return']
            right.plot([claimed['mean'], measured['mean']], [height] * 2, color='0.8', zorder=0)
            _dot(right, measured, height, 'C0', 'measured')
            _dot(right, claimed, height, 'C3', 'claimed by the critic')
    first = next(iter(summaries.values()))
    lines = first['reference_lines'] or first['reference_returns']
    for style, (name, value) in zip(_STYLES, lines.items()):
        left.axvline(value, color='0.35', linestyle=style, linewidth=1, label=f'{name} {value:.3g}')
    left.set_yticks(heights, [title for title, _ in rows])
    left.set(xlabel='return', title=first['dataset'])
    claims = [abs(s[key]['mean']) for _, s in rows for key in _VALUES[:2] if key in s]
    if claims and max(claims) > 20 * (np.median(claims) + 1):
        right.set_xscale('symlog', linthresh=10 ** np.ceil(np.log10(np.median(claims) + 1)))
    right.set(xlabel='discounted return of the policy', title='claimed against measured')
    for axes in (left, right):
        handles, labels = axes.get_legend_handles_labels()
        unique = dict(zip(labels, handles))
        axes.legend(unique.values(), unique.keys(), fontsize='small', frameon=False,
                    loc='upper center', bbox_to_anchor=(0.5, -0.2), ncols=3)  # fmt: skip
        axes.spines[['top', 'right']].set_visible(False)
        axes.grid(axis='x', color='0.93')
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _dot(axes, values: dict[str, Any], height: float, color: str, label: str | None = None) -> None:
    axes.plot([values['mean_low'], values['mean_high']], [height] * 2, color=color, linewidth=2)
    axes.plot(values['mean'], height, 'o', color=color, markersize=5, label=label)


def draw_learning_curves(
    rows: list[dict[str, Any]], problem: Problem, members: list[Member], title: str, path: Path
) -> None:
    """Mean return over seeds against steps (updates), a curve per setting, 95 % intervals as bands.

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
    for style, (name, value) in zip(_STYLES, lines.items()):
        axes.axhline(value, color='0.35', linestyle=style, linewidth=1, label=f'{name} {value:.3g}')
    axes.set(xlabel='steps', ylabel='return', title=f'{title} on {problem.dataset_id}')
    axes.legend(fontsize='small', loc='center left', bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)

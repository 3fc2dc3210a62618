"""Off-policy evaluation against the truth: how good is what a log says of policies never tried?

    python -m launch.experiments.off_policy_evaluation

Policies on the sepsis records, two seeds each: clones, clones of the best tenth and of 200 patients,
IQL, discrete CQL and BCQ with two settings each, DQN; early and late. They are judged from those records
by every estimator of launch.ope and held against their exact values: all of them, and those for which
launch.ope finds enough in the log. Before and after: with untried treatments valued by what a network
extrapolates, and by the least that the log would allow.
"""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from ml_collections import ConfigDict

from launch import experiments, ope
from launch.configs import bc, discrete_bcq, discrete_cql, dqn, iql
from launch.configs import ope as ope_config
from launch.estimate import estimators, exact, judging
from launch.estimate.estimators import ESTIMATORS, Judged
from launch.report import figures, tables
from launch.run import policies

_EARLY = {'num_updates': 200, 'eval_interval': 100, 'log_interval': 100}
_MIDDLE = {'num_updates': 1_000, 'eval_interval': 500, 'log_interval': 500}
_LATE = {'num_updates': 2_000, 'eval_interval': 1_000, 'log_interval': 500}


def configs() -> list[ConfigDict]:
    """Every method, early and late, and clones of other patients."""
    settings = (
        (bc, {}),
        (iql, {'sweep.expectile': (0.5, 0.8)}),
        (discrete_cql, {'sweep.cql_alpha': (0.05, 1.0)}),
        (discrete_bcq, {'sweep.threshold': (0.05, 0.3)}),
    )
    few = {'dataset': 'local/icu-sepsis/clinician-200-v0'}
    return [
        *(_config(module, sweep | when) for module, sweep in settings for when in (_EARLY, _LATE)),
        _config(bc, few | _MIDDLE),
        _config(bc, {'top_fraction': 0.1} | _MIDDLE),
        _config(dqn, _MIDDLE),
    ]


def _config(module, values: dict[str, Any]) -> ConfigDict:
    config = module.get_config('sepsis')
    config.num_seeds = config.keep_checkpoints = 2
    # They are judged exactly.
    config.eval_episodes = config.final_eval_episodes = 1
    config.update_from_flattened_dict(values)
    return config


def main() -> None:
    """Trains, judges, prints the tables as Markdown and draws the figure."""
    path = experiments.figure('off-policy-evaluation.png')
    runs = [experiments.trained(config) for config in configs()]
    found = [each for run in runs for each in policies.of_run(run, all_checkpoints=True)]
    true = np.concatenate([exact.values(each) for each in found])
    config = ope_config.get_config('sepsis')
    # Of so many policies, FQE's intervals would take most of the time.
    config.num_refits = 0
    limits = config.min_mean_weight, config.min_effective_sample_size, config.min_support
    config.min_mean_weight = config.min_effective_sample_size = config.min_support = 0.0
    dataset, method = ope.load(config), judging.method_of(config)
    everything = judging.judge(dataset, found, method)
    before = judging.judge(dataset, found, method._replace(tried_threshold=0.0))
    print(f'\n{len(true)} policies, exact values from {true.min():.3f} to {true.max():.3f}\n')
    believed = [estimators.believe(each, *limits) for each in everything]
    for title, judged in (
        ('All, untried treatments extrapolated', before),
        ('All', everything),
        ('Those that launch.ope would estimate, untried treatments extrapolated',
         [estimators.believe(each, *limits) for each in before]),
        ('Those that launch.ope would estimate', believed),
    ):  # fmt: skip
        print(f'{title}:\n\n{table(judged, true)}\n')
    draw(everything, believed, true, path)
    print(f'Figure: {path}')


def table(judged: list[Judged], true: np.ndarray) -> str:
    """The quality of every estimator, as Markdown."""
    rows = []
    for name in ESTIMATORS:
        each = quality(judged, true, name)
        coverage = each['coverage']
        rows.append([name, each['policies'], f'{each["error"]:.3f}',
                     '' if np.isnan(coverage) else f'{100 * coverage:.0f} %',
                     f'{each["rank_correlation"]:.2f}', f'{each["regret"]:.3f}'])  # fmt: skip
    header = ['estimator', 'policies', 'mean absolute error', 'coverage of 95 % intervals',
              'rank correlation', 'regret of its choice']  # fmt: skip
    return tables.markdown(header, rows)


def quality(judged: list[Judged], true: np.ndarray, estimator: str) -> dict[str, Any]:
    """How good an estimator is on the policies that it estimates, whose true values are known.

    policies, how many those are; error, the mean absolute one; coverage, the share of intervals that
    hold the true value, NaN if there are none; rank_correlation, Spearman's; regret, by how much the
    policy that it would choose falls short of the best of all. NaN where they are too few.
    """
    estimates = [each.estimates[estimator] for each in judged]
    known = np.array([not each.refusal for each in estimates])
    if known.sum() < 2:
        unknown = dict.fromkeys(('error', 'coverage', 'rank_correlation', 'regret'), np.nan)
        return {'policies': int(known.sum())} | unknown
    value, low, high = (
        np.array([getattr(each, field) for each in estimates])[known]
        for field in ('value', 'low', 'high')
    )
    theirs = true[known]
    return {
        'policies': int(known.sum()),
        'error': np.mean(np.abs(value - theirs)),
        'coverage': np.mean((low <= theirs) & (theirs <= high)) if np.isfinite(low).any() else np.nan,
        'rank_correlation': scipy.stats.spearmanr(value, theirs).statistic,
        'regret': true.max() - theirs[value.argmax()],
    }


def draw(
    everything: list[Judged], believed: list[Judged], true: np.ndarray, path: Path
) -> None:
    """A panel for each estimator: estimates with intervals against exact values.

    What is refused, and so not in `believed`, is drawn hollow.
    """
    figure, axes = figures.panels(13, 6.0, 2, 4, sharex=True, sharey=True)
    first = axes[0, 0]
    algorithms = list(dict.fromkeys(each.algorithm for each in everything))
    axes[-1, -1].set_axis_off()
    for panel, name in zip(axes.flat, ESTIMATORS):
        panel.plot([0, 1], [0, 1], '--', color='0.6', linewidth=1, zorder=0)
        for value, each, kept in zip(true, everything, believed):
            estimate = each.estimates[name]
            if estimate.refusal:
                continue
            color = f'C{algorithms.index(each.algorithm)}'
            filling = 'none' if kept.estimates[name].refusal else color
            panel.plot([value] * 2, [estimate.low, estimate.high], color=color, linewidth=0.8)
            panel.plot(value, estimate.value, 'o', color=color, markerfacecolor=filling, markersize=4)
        panel.set(title=name, xlabel='exact value', xlim=(-0.03, 0.9), ylim=(-0.05, 1.1))
    for row in axes:
        row[0].set_ylabel('estimate')
    for index, algorithm in enumerate(algorithms):
        first.plot([], [], 'o', color=f'C{index}', markersize=4, label=algorithm)
    first.plot([], [], 'o', color='0.4', markerfacecolor='none', markersize=4, label='refused')
    figures.legend(figure, columns=len(algorithms) + 1)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""Off-policy evaluation against the truth: how good is what a log says of policies never tried?

    python -m launch.experiments.off_policy_evaluation

Policies of five algorithms on the sepsis records, two seeds each, early, halfway and late, judged from
those records by every estimator of launch.ope, and held against their exact values: all of them, and
those for which launch.ope finds enough in the log.
"""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from ml_collections import ConfigDict

from launch import experiments, ope
from launch.configs import bc, discrete_bcq, discrete_cql, dqn, iql
from launch.configs import ope as ope_config
from launch.estimate import estimators, exact
from launch.estimate.estimators import ESTIMATORS, Judged
from launch.report import figures, tables
from launch.run import policies

_UPDATES = (250, 1_000, 5_000)


def configs() -> list[ConfigDict]:
    """Every method with every number of updates."""
    return [
        _config(module, num_updates)
        for module in (bc, iql, discrete_cql, discrete_bcq, dqn)
        for num_updates in _UPDATES
    ]


def _config(module, num_updates: int) -> ConfigDict:
    config = module.get_config('sepsis')
    config.num_seeds = 2
    config.num_updates = config.eval_interval = num_updates
    config.log_interval = 250
    # They are judged exactly.
    config.final_eval_episodes = 20
    return config


def main() -> None:
    """Trains, judges, prints the table as Markdown and draws the figure."""
    runs = [experiments.trained(config) for config in configs()]
    true = np.concatenate([exact.values(policies.stateless(run)) for run in runs])
    config = ope_config.get_config('sepsis')
    limits = config.min_mean_weight, config.min_effective_sample_size
    config.min_mean_weight = config.min_effective_sample_size = 0.0
    everything = ope.judge(config, runs)
    believed = [estimators.believe(each, *limits) for each in everything]
    print(f'\n{len(true)} policies, exact values from {true.min():.3f} to {true.max():.3f}\n')
    for title, judged in (('All', everything), ('Those that launch.ope would estimate', believed)):
        rows = []
        for name in ESTIMATORS:
            each = quality(judged, true, name)
            rows.append([name, each['policies'], f'{each["error"]:.3f}',
                         f'{100 * each["coverage"]:.0f} %', f'{each["rank_correlation"]:.2f}',
                         f'{each["regret"]:.3f}'])  # fmt: skip
        header = ['estimator', 'policies', 'mean absolute error', 'coverage of 95 % intervals',
                  'rank correlation', 'regret of its choice']  # fmt: skip
        print(f'{title}:\n\n{tables.markdown(header, rows)}\n')
    path = experiments.RESULTS / 'off-policy-evaluation.png'
    draw(everything, believed, true, path)
    print(f'Figure: {path}')


def quality(judged: list[Judged], true: np.ndarray, estimator: str) -> dict[str, Any]:
    """How good an estimator is on the policies that it estimates, whose true values are known.

    policies, how many those are; error, the mean absolute one; coverage, the share of intervals that
    hold the true value; rank_correlation, Spearman's; regret, by how much the policy that it would
    choose falls short of the best of all. NaN where they are too few.
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
        'coverage': np.mean((low <= theirs) & (theirs <= high)),
        'rank_correlation': scipy.stats.spearmanr(value, theirs).statistic,
        'regret': true.max() - theirs[value.argmax()],
    }


def draw(
    everything: list[Judged], believed: list[Judged], true: np.ndarray, path: Path
) -> None:
    """A panel for each estimator: estimates with intervals against exact values.

    What is refused, and so not in `believed`, is drawn hollow.
    """
    figure, axes = figures.panels(13, 3.4, columns=len(ESTIMATORS), sharex=True, sharey=True)
    first = axes[0, 0]
    algorithms = list(dict.fromkeys(each.algorithm for each in everything))
    for panel, name in zip(axes[0], ESTIMATORS):
        panel.plot([0, 1], [0, 1], '--', color='0.6', linewidth=1, zorder=0)
        for value, each, kept in zip(true, everything, believed):
            estimate = each.estimates[name]
            if estimate.refusal:
                continue
            color = f'C{algorithms.index(each.algorithm)}'
            filling = 'none' if kept.estimates[name].refusal else color
            panel.plot([value] * 2, [estimate.low, estimate.high], color=color, linewidth=0.8)
            panel.plot(value, estimate.value, 'o', color=color, markerfacecolor=filling, markersize=4)
        panel.set(title=name, xlabel='exact value', xlim=(-0.03, 0.9), ylim=(-0.1, 1.6))
    first.set_ylabel('estimate')
    for index, algorithm in enumerate(algorithms):
        first.plot([], [], 'o', color=f'C{index}', markersize=4, label=algorithm)
    first.plot([], [], 'o', color='0.4', markerfacecolor='none', markersize=4, label='refused')
    figures.legend(figure, columns=len(algorithms) + 1)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""Off-policy evaluation against the truth: how good is what a log says of policies never tried?

    python -m launch.experiments.off_policy_evaluation

Policies of five algorithms on the sepsis records, two seeds each, early, halfway and late, judged from
those records by every estimator of launch.ope, and held against their exact values: all of them, and
those for which launch.ope finds enough in the log.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import scipy.stats

matplotlib.use('Agg')

import matplotlib.pyplot as plt
from ml_collections import ConfigDict

from launch import cli, exact, experiments, off_policy, policies, train
from launch.configs import bc, discrete_bcq, discrete_cql, dqn, iql, ope
from launch.off_policy import ESTIMATORS, Judged

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


def main(argv: list[str]) -> None:
    """Trains, judges, prints the table as Markdown and draws the figure."""
    del argv
    cli.use_all_cores()
    runs = [train.train(config) for config in configs()]
    true = np.concatenate([exact.values(policies.stateless(run)) for run in runs])
    config = ope.get_config('sepsis')
    config.min_mean_weight = config.min_effective_sample_size = 0.0
    everything = off_policy.evaluate(config, runs)
    believed = [off_policy.believe(each, ope.get_config('sepsis')) for each in everything]
    print(f'\n{len(true)} policies, exact values from {true.min():.3f} to {true.max():.3f}\n')
    for title, judged in (('All', everything), ('Those that launch.ope would estimate', believed)):
        print(f'{title}:\n\n| estimator | policies | mean absolute error | coverage of 95 % intervals '
              '| rank correlation | regret of its choice |\n|---|---|---|---|---|---|')  # fmt: skip
        for name in ESTIMATORS:
            each = quality(judged, true, name)
            print(f'| {name} | {each["policies"]} | {each["error"]:.3f} '
                  f'| {100 * each["coverage"]:.0f} % | {each["rank_correlation"]:.2f} '
                  f'| {each["regret"]:.3f} |')  # fmt: skip
        print()
    path = experiments.FIGURES / 'off-policy-evaluation.png'
    draw(everything, believed, true, path)
    print(f'Figure: {path}')


def quality(judged: list[Judged], true: np.ndarray, estimator: str) -> dict[str, Any]:
    """How good an estimator is on the policies that it estimates.

    Args:
        judged: the policies.
        true: their values.
        estimator: its name.

    Returns:
        policies, how many those are; error, the mean absolute one; coverage, the share of intervals
        that hold the true value; rank_correlation, Spearman's; regret, by how much the policy that it
        would choose falls short of the best of all. NaN where they are too few.
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

    Args:
        everything: all policies with what every estimator says of them.
        believed: the same without what is refused, which is drawn hollow.
        true: exact values.
        path: where to write the PNG.
    """
    figure, axes = plt.subplots(
        1, len(ESTIMATORS), figsize=(13, 3.4), layout='constrained', sharex=True, sharey=True
    )
    algorithms = list(dict.fromkeys(each.algorithm for each in everything))
    for axis, name in zip(axes, ESTIMATORS):
        axis.plot([0, 1], [0, 1], '--', color='0.6', linewidth=1, zorder=0)
        for value, each, kept in zip(true, everything, believed):
            estimate = each.estimates[name]
            if estimate.refusal:
                continue
            color = f'C{algorithms.index(each.algorithm)}'
            filling = 'none' if kept.estimates[name].refusal else color
            axis.plot([value] * 2, [estimate.low, estimate.high], color=color, linewidth=0.8)
            axis.plot(value, estimate.value, 'o', color=color, markerfacecolor=filling, markersize=4)
        axis.set(title=name, xlabel='exact value', xlim=(-0.03, 0.9), ylim=(-0.1, 1.6))
        axis.spines[['top', 'right']].set_visible(False)
    axes[0].set_ylabel('estimate')
    for index, algorithm in enumerate(algorithms):
        axes[0].plot([], [], 'o', color=f'C{index}', markersize=4, label=algorithm)
    axes[0].plot([], [], 'o', color='0.4', markerfacecolor='none', markersize=4, label='refused')
    figure.legend(loc='outside lower center', ncols=len(algorithms) + 1, frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

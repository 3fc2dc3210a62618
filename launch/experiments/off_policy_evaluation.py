"""Off-policy evaluation against the truth: how good is what a log says of policies never tried?

    python -m launch.experiments.off_policy_evaluation

Policies of five algorithms on the sepsis records, two seeds each, early, halfway and late, judged from
those records by every estimator of launch.ope, and held against their exact values.
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
    judged = off_policy.evaluate(ope.get_config('sepsis'), runs)
    print(f'\n{len(true)} policies, exact values from {true.min():.3f} to {true.max():.3f}\n')
    print('| estimator | policies it estimates | mean absolute error | coverage of 95 % intervals '
          '| rank correlation | regret of its choice |\n|---|---|---|---|---|---|')  # fmt: skip
    for name in ESTIMATORS:
        each = quality(judged, true, name)
        print(f'| {name} | {each["policies"]} | {each["error"]:.3f} | {100 * each["coverage"]:.0f} % '
              f'| {each["rank_correlation"]:.2f} | {each["regret"]:.3f} |')  # fmt: skip
    path = experiments.FIGURES / 'off-policy-evaluation.png'
    draw(judged, true, path)
    print(f'\nFigure: {path}')


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


def draw(judged: list[Judged], true: np.ndarray, path: Path) -> None:
    """A panel for each estimator: estimates with intervals against exact values."""
    figure, axes = plt.subplots(
        1, len(ESTIMATORS), figsize=(13, 3.4), layout='constrained', sharex=True, sharey=True
    )
    algorithms = list(dict.fromkeys(each.algorithm for each in judged))
    for axis, name in zip(axes, ESTIMATORS):
        axis.plot([0, 1], [0, 1], '--', color='0.6', linewidth=1, zorder=0)
        for color, algorithm in enumerate(algorithms):
            shown = [(value, each.estimates[name]) for value, each in zip(true, judged)
                     if each.algorithm == algorithm and not each.estimates[name].refusal]  # fmt: skip
            if not shown:
                continue
            value, estimates = zip(*shown)
            middle = np.array([each.value for each in estimates])
            ends = np.array([[each.low, each.high] for each in estimates]).T
            axis.errorbar(value, middle, np.abs(ends - middle), fmt='o', color=f'C{color}',
                          markersize=4, elinewidth=1, label=algorithm)  # fmt: skip
        refused = sum(bool(each.estimates[name].refusal) for each in judged)
        axis.set(title=name, xlabel='exact value')
        axis.text(0.02, 0.98, f'{refused} not estimated' if refused else '', va='top',
                  transform=axis.transAxes, fontsize='small', color='0.3')  # fmt: skip
        axis.spines[['top', 'right']].set_visible(False)
    axes[0].set_ylabel('estimate')
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=len(algorithms), frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

"""Fitted Q evaluation of Hopper policies against what they earn.

    python -m launch.experiments.fqe_on_hopper

Sixteen policies of IQL and CQL, half of them trained on hopper-medium and half on
medium-replay, are judged from hopper-medium, without the environment, then in the environment:
discounted returns, 20 episodes each.
"""

from pathlib import Path
from types import ModuleType

import numpy as np
import scipy.stats
from ml_collections import ConfigDict

from launch import experiments, ope
from launch.configs import cql, iql
from launch.configs import ope as ope_config
from launch.estimate.estimators import Judged
from launch.report import figures, tables
from launch.run import policies, rollouts
from launch.run.lanes import Lanes
from launch.run.policies import Policies
from launch.run.turns import finish

_EPISODES = 20


def configs() -> list[ConfigDict]:
    """Whose policies are judged."""
    return [
        config_for(module, dataset)
        for dataset in ('medium', 'medium-replay')
        for module in (iql, cql)
    ]


def config_for(module: ModuleType, dataset: str) -> ConfigDict:
    """A method on one of Hopper's datasets, such as 'medium-replay', at the size of two cores."""
    config = module.get_config('mujoco')
    config.dataset, config.num_seeds = f'local/hopper/{dataset}-v0', 4
    config.batch_size, config.network.hidden_sizes = 128, (128, 128)
    config.num_updates, config.log_interval, config.eval_interval = 50_000, 1_000, 10_000
    config.eval_episodes, config.final_eval_episodes = 5, 20
    if module is cql:
        config.num_updates, config.hparams.bc_warm_start_updates = 12_000, 1_000.0
        config.hparams.actor_learning_rate = 3e-4
    return config


def main() -> None:
    """Trains, judges, prints the table as Markdown and draws the figure."""
    path = experiments.figure('fqe-on-hopper.png')
    runs = [experiments.trained(config) for config in configs()]
    config = ope_config.get_config('mujoco')
    # For two cores: smaller networks, fewer and larger steps.
    config.num_updates, config.network.hidden_sizes = 15_000, (128, 128)
    config.hparams.target_rate, config.hparams.learning_rate = 0.02, 1e-3
    gamma = config.hparams.gamma
    measured = np.concatenate([measure(policies.stateless(run), gamma) for run in runs])
    judged = ope.judge(config, runs)
    print(tables.markdown(
        ['policy', 'updates', 'FQE', 'discounted return, measured'],
        [[each.name, f'{each.updates:,}', f'{each.estimates["FQE"].value:.1f}', f'{true:.1f}']
         for each, true in zip(judged, measured)],
    ))  # fmt: skip
    estimated = np.array([each.estimates['FQE'].value for each in judged])
    correlation = scipy.stats.spearmanr(estimated, measured, nan_policy='omit').statistic
    print(f'\nRank correlation {correlation:.2f}')
    draw(judged, measured, f'{config.dataset}: rank correlation {correlation:.2f}', path)
    print(f'Figure: {path}')


def measure(judged: Policies, gamma: float) -> np.ndarray:
    """Mean discounted returns, (policies,)."""
    run = judged.run
    learner = run.learner._replace(gammas=np.full(len(run.finite), gamma, np.float32))
    with Lanes(run.problem, len(run.finite), _EPISODES) as lanes:
        episodes = finish(
            rollouts.evaluate(learner, run.states, lanes, run.finite, _EPISODES, stream=1)
        )
    return episodes.discounted[judged.indices].mean(axis=1)


def draw(judged: list[Judged], measured: np.ndarray, title: str, path: Path) -> None:
    """Estimates against measurements."""
    figure, axes = figures.panels(4.6, 4.2)
    panel = axes[0, 0]
    for color, algorithm in enumerate(dict.fromkeys(each.algorithm for each in judged)):
        chosen = [i for i, each in enumerate(judged) if each.algorithm == algorithm]
        panel.plot(
            measured[chosen], [judged[i].estimates['FQE'].value for i in chosen], 'o',
            color=f'C{color}', label=algorithm,
        )  # fmt: skip
    low, high = panel.get_xlim()
    panel.plot([low, high], [low, high], '--', color='0.6', linewidth=1, label='as measured')
    panel.set(xlabel='discounted return, measured', ylabel='estimate by FQE', title=title)
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

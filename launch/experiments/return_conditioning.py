"""Return conditioning: what Decision Transformer earns against what it is asked for.

    python -m launch.experiments.return_conditioning

Asks policies learned from hopper-medium-replay for returns from the lowest in the dataset to half the
range of its returns beyond the best.
"""

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from data import loading
from launch import experiments
from launch.configs import decision_transformer
from launch.report import figures, tables
from launch.report.summary import interval
from launch.run import policies, rollouts
from launch.run.lanes import Lanes
from launch.run.turns import finish

_TARGETS = 13
_EPISODES = 5


def trained_config() -> ConfigDict:
    """How the policies learn, at the size of two cores."""
    config = decision_transformer.get_config('mujoco')
    config.dataset, config.num_seeds = 'local/hopper/medium-replay-v0', 4
    config.batch_size, config.network.num_layers = 32, 3
    config.hparams.warmup_updates, config.hparams.learning_rate = 250.0, 5e-4
    config.num_updates = config.eval_interval = 2_500
    config.log_interval, config.final_eval_episodes = 250, 10
    return config


def main() -> None:
    """Trains, evaluates, prints the table as Markdown and draws the figure."""
    path = experiments.figure('return-conditioning.png')
    config = trained_config()
    run = experiments.trained(config)
    logged = loading.load(config.dataset).episode_returns
    achieved = achieve(run, grid(logged), _EPISODES)
    print(tables.markdown(
        ['asked for', 'earned', '95 % interval'],
        [[f'{target:,.4g}', *tables.interval_cells(each, ',.4g')]
         for target, each in achieved.items()],
    ))  # fmt: skip
    draw(achieved, logged, config.dataset, path)
    print(f'\nFigure: {path}')


def grid(logged: np.ndarray) -> tuple[float, ...]:
    """Returns to ask for, given those in the dataset."""
    low, best = logged.min(), logged.max()
    return tuple(np.linspace(low, best + (best - low) / 2, _TARGETS).tolist())


def achieve(path: Path, targets: tuple[float, ...], num_episodes: int) -> dict[float, dict[str, Any]]:
    """Intervals over seeds of the mean returns of a run's policies, for each target."""
    run = policies.restore(path)
    with Lanes(run.problem, len(run.finite), num_episodes) as lanes:
        judged = finish(
            rollouts.judge(run.learner, run.states, lanes, run.finite, num_episodes, 1, targets)
        )
    returns = np.reshape([measured['return'] for _, measured in judged], (len(targets), -1))
    return {target: interval(each) for target, each in zip(targets, returns)}


def draw(
    achieved: dict[float, dict[str, Any]], logged: np.ndarray, dataset_id: str, path: Path
) -> None:
    """Earned against asked for, above the returns that the dataset has."""
    figure, axes = figures.panels(5.2, 5.2, 2, sharex=True, height_ratios=(4, 1))
    above, below = axes[:, 0]
    targets = list(achieved)
    figures.interval_band(above, targets, list(achieved.values()), 'earned', 'C0')
    above.plot(targets, targets, '--', color='0.5', linewidth=1, label='as asked for')
    below.hist(logged, bins=60, color='0.7')
    for panel in (above, below):
        panel.axvline(logged.max(), color='C3', linewidth=1, label="the dataset's best")
    above.set_title(f'Decision Transformer on {dataset_id}', fontsize='medium')
    above.set(ylabel='return')
    below.set(xlabel='return asked for', ylabel='episodes')
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

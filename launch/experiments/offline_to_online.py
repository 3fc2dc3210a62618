"""Offline to online: a policy learned from a dataset goes on learning by acting.

    python -m launch.experiments.offline_to_online

The four IQL policies of hopper-medium (d4rl_scores.py), then in the environment with their dataset in
half of each batch. The scores of both stages, one after the other: the members' means, and their range.
"""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from launch import experiments
from launch.configs import iql, online
from launch.experiments import d4rl_scores
from launch.report import figures
from launch.run import metrics


def config(offline: Path) -> ConfigDict:
    """How the policies of an offline run go on."""
    found = online.get_config('iql')
    found.from_run, found.batch_size = str(offline), 128
    found.num_updates, found.log_interval, found.eval_interval = 40_000, 1_000, 5_000
    found.eval_episodes = found.final_eval_episodes = 5
    return found


def main() -> None:
    """Trains, prints where the stages end and draws the curve."""
    path = experiments.figure('offline-to-online.png')
    before = d4rl_scores.config_for(iql, 'medium')
    offline = experiments.trained(before)
    stages = [metrics.curve(run) for run in (offline, experiments.trained(config(offline)))]
    for name, (steps, scores) in zip(('offline', 'online'), stages):
        print(f'{name}: score {np.nanmean(scores[-1]):.1f} after {steps[-1]:,} steps')
    draw(stages, f'IQL on {before.dataset}', path)
    print(f'Figure: {path}')


def draw(stages: list[tuple[np.ndarray, np.ndarray]], title: str, path: Path) -> None:
    """Both learning curves on one axis, on which acting begins at 0."""
    figure, axes = figures.panels(6, 3.6)
    panel = axes[0, 0]
    (offline, offline_scores), (online_steps, online_scores) = stages
    # The online curve begins where the offline one ended.
    online_steps = np.concatenate([[0], online_steps])
    online_scores = np.concatenate([offline_scores[-1:], online_scores])
    for steps, scores, color, name in (
        (offline - offline[-1], offline_scores, 'C3', 'offline: updates on the dataset'),
        (online_steps, online_scores, 'C0', 'online: steps in the environment'),
    ):
        figures.range_band(panel, steps / 1_000, scores, name, color)
    panel.axvline(0, color='0.35', linestyle=':', linewidth=1)
    panel.set(title=title, xlabel='thousand updates, before and while acting', ylabel='score')
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""Offline to online: whether what was learned from a dataset holds while the policy goes on acting.

    python -m launch.experiments.offline_to_online

From hopper-medium: IQL's policies (those of fqe_on_hopper.py) and Cal-QL's go on with their dataset in
half of each batch, RLPD has it in half of each from its first step on, and SAC learns from nothing: in
as many steps of the environment, four seeds each. RLPD makes two updates a step, its authors twenty.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from launch import experiments
from launch.configs import cal_ql, iql, online
from launch.experiments import fqe_on_hopper
from launch.report import figures, tables
from launch.run import metrics

_DATASET = 'medium'
_STEPS, _RANDOM_STEPS = 30_000, 5_000


class Stages(NamedTuple):
    """Steps (evaluations,) and scores (evaluations, members) of a method, before acting and while.

    Attributes:
        offline: updates on the dataset; None for a method that has none.
        online: steps in the environment.
    """

    offline: tuple[np.ndarray, np.ndarray] | None
    online: tuple[np.ndarray, np.ndarray]

    @property
    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """What acting begins with, as step 0, and what follows."""
        steps, scores = self.online
        if self.offline is None:
            return steps, scores
        return np.concatenate([[0], steps]), np.concatenate([self.offline[1][-1:], scores])


def offline_config(module) -> ConfigDict:
    """How a method learns from the dataset."""
    config = fqe_on_hopper.config_for(module, _DATASET)
    if module is cal_ql:
        # Fewer samples than the ten of the authors, and a step size to match few updates.
        config.network.actor_hidden_sizes, config.network.num_sampled_actions = (128, 128), 4
        config.num_updates, config.hparams.actor_learning_rate = 20_000, 3e-4
    return config


def online_config(name: str, offline: Path | None = None) -> ConfigDict:
    """How a method of launch/configs/online.py acts, from the policies of an offline run or without."""
    config = online.get_config(name)
    config.num_updates, config.log_interval, config.eval_interval = _STEPS, 1_000, 5_000
    config.eval_episodes = config.final_eval_episodes = 5
    config.batch_size, config.num_seeds = 128, 4
    if offline:
        config.from_run = str(offline)
        return config
    config.network.hidden_sizes, config.random_steps = (128, 128), _RANDOM_STEPS
    if name == 'rlpd':
        config.updates_per_step = 2
    return config


def _continued(module, name: str) -> Stages:
    offline = experiments.trained(offline_config(module))
    acting = experiments.trained(online_config(name, offline))
    return Stages(metrics.curve(offline), metrics.curve(acting))


def _from_nothing(name: str) -> Stages:
    return Stages(None, metrics.curve(experiments.trained(online_config(name))))


METHODS: dict[str, Callable[[], Stages]] = {
    'IQL': lambda: _continued(iql, 'iql'),
    'Cal-QL': lambda: _continued(cal_ql, 'cal_ql'),
    'RLPD': lambda: _from_nothing('rlpd'),
    'SAC, without the dataset': lambda: _from_nothing('sac'),
}


def main() -> None:
    """Trains, prints where each begins, its least and its end as Markdown, and draws the curves."""
    path = experiments.figure('offline-to-online.png')
    found = {name: stages() for name, stages in METHODS.items()}
    header = 'method', 'begins', 'least after that', 'best', 'ends', 'members at the end'
    print(tables.markdown(header, [[name, *row(stages)] for name, stages in found.items()]))
    draw(found, f'local/hopper/{_DATASET}-v0', path)
    print(f'\nFigure: {path}')


def row(stages: Stages) -> list[str]:
    """The mean score where acting begins, its least and most from then on, and its end.

    Of a method without an offline stage the beginning is its first evaluation.
    """
    _, scores = stages.joined
    means, last = np.nanmean(scores, axis=1), np.sort(scores[-1])
    numbers = means[0], means[1:].min(), means[1:].max(), means[-1]
    return [f'{number:.1f}' for number in numbers] + [', '.join(f'{each:.0f}' for each in last)]


def draw(found: dict[str, Stages], title: str, path: Path) -> None:
    """Learning curves on one axis, on which acting begins at 0, for each method a panel."""
    figure, axes = figures.panels(2 + 2.2 * len(found), 3.6, columns=len(found), sharey=True)
    for panel, (name, stages) in zip(axes[0], found.items()):
        if stages.offline:
            steps, scores = stages.offline
            figures.range_band(
                panel, (steps - steps[-1]) / 1_000, scores, 'offline: updates on the dataset', 'C3'
            )
        steps, scores = stages.joined
        figures.range_band(
            panel, steps / 1_000, scores, 'online: steps in the environment', 'C0'
        )
        panel.axvline(0, color='0.35', linestyle=':', linewidth=1)
        panel.set(title=name, xlabel='thousand')
    axes[0, 0].set_ylabel('score')
    figure.suptitle(title)
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""Wrong rewards: what careful methods do with them is what the log supports.

    python -m launch.experiments.wrong_rewards

The case files with their true rewards, without any, with random and with negated ones, ten seeds each:
the 'survival instinct' of offline RL (Li et al. 2023, https://arxiv.org/abs/2306.03286). Cloning reads
no rewards, and is trained once. What the policies are worth is exact, by the known model: the share of
patients who survive.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from data.loading import Dataset
from data.recipes import icu_sepsis
from launch import experiments
from launch.configs import bc, discrete_bcq, discrete_cql, dqn, iql
from launch.estimate import exact
from launch.report import figures, summary, tables
from launch.run import directory, policies

# In the order of tables.
METHODS = (dqn, bc, discrete_cql, iql, discrete_bcq)
_UPDATES, _BATCH = 2_500, 256


def _random(dataset: Dataset) -> np.ndarray:
    """Each of its own, uniform in [0, 1), as in the paper."""
    return np.random.default_rng(0).random(len(dataset.transitions.reward))


# What becomes of the true ones.
REWARDS = {
    'true': None,
    'zero': lambda dataset: np.zeros(len(dataset.transitions.reward)),
    'random': _random,
    'negated': lambda dataset: -np.asarray(dataset.transitions.reward, np.float64),
}


def config_for(module: ModuleType, dataset: str) -> ConfigDict:
    """A method with its config's values, on one of the datasets."""
    config = module.get_config('sepsis')
    config.dataset, config.batch_size = dataset, _BATCH
    config.num_updates = config.eval_interval = _UPDATES
    # They are valued exactly.
    config.final_eval_episodes = 20
    return config


def dataset_of(rewards: str) -> str:
    """The id of the case files with such rewards."""
    original = bc.get_config('sepsis').dataset
    make = REWARDS[rewards]
    if make is None:
        return original
    return experiments.relabelled(original, f'wrong/icu-sepsis/{rewards}-v0', make, rewards)


def main() -> None:
    """Trains, prints the table as Markdown and draws the figure."""
    path = experiments.figure('wrong-rewards.png')
    datasets = {rewards: dataset_of(rewards) for rewards in REWARDS}
    survive: dict[str, dict[str, dict[str, Any]]] = {}
    for module in METHODS:
        for rewards, dataset in datasets.items():
            # A policy that reads no rewards is the same with all of them.
            config = config_for(module, datasets['true'] if module is bc else dataset)
            of_method = survive.setdefault(directory.title(config), {})
            of_method[rewards] = survival(experiments.trained(config))
    print(tables.markdown(
        ['rewards', *REWARDS],
        [[name, *(tables.with_interval(each, '.3f') for each in row.values())]
         for name, row in survive.items()],
    ))  # fmt: skip
    draw(survive, path)
    print(f'\nFigure: {path}')


def survival(run: Path) -> dict[str, Any]:
    """The exact share of survivors under a run's policies, over seeds (summary.interval)."""
    return summary.interval(exact.values(policies.of_run(run)[0]))


def draw(survive: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """A row for each method, a dot for each kind of rewards."""
    figure, axes = figures.panels(6.4, 3.8)
    panel, names = axes[0, 0], list(survive)
    for method, name in enumerate(names):
        for kind, (rewards, share) in enumerate(survive[name].items()):
            height = len(names) - 1 - method + 0.27 - 0.18 * kind
            figures.interval_dot(panel, share, height, f'C{kind}', f'{rewards} rewards')
    figures.references(panel, icu_sepsis.reference_values(), vertical=True)
    panel.set_yticks(range(len(names)), names[::-1])
    panel.set(title='The case files, with wrong rewards', xlabel='patients who survive')
    figures.legend(figure, 4)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""Scores on Hopper's datasets beside those published on D4RL's originals.

    python -m launch.experiments.d4rl_scores

Four seeds each, with networks and numbers of updates for two cores: about two hours and a half. The
published scores (published_scores.csv) are CORL's (Tarasov et al. 2023,
https://arxiv.org/abs/2210.07105): the last of a million updates, 4 seeds, on other data, in other
versions of the environments. They say what to expect, not what to reproduce.
"""

import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import bc, cql, decision_transformer, iql, td3_bc
from launch.report import figures, summary, tables
from launch.run import directory

PUBLISHED = Path(__file__).with_name('published_scores.csv')
DATASETS = ('medium', 'medium-replay', 'medium-expert')


class Result(NamedTuple):
    """A setting of a finished run; `published` is None where CORL has no score."""

    dataset: str
    name: str
    updates: int
    score: dict[str, Any]
    published: float | None


def configs() -> list[ConfigDict]:
    """Every method on each of the datasets, and cloning of the best tenth."""
    best = [config_for(bc, dataset) for dataset in DATASETS]
    for config in best:
        config.top_fraction, config.num_updates = 0.1, 20_000
    modules = (bc, iql, td3_bc, cql, decision_transformer)
    return best + [config_for(module, dataset) for module in modules for dataset in DATASETS]


def config_for(module, dataset: str) -> ConfigDict:
    """A method on one of Hopper's datasets, at the size of two cores."""
    config = module.get_config('mujoco')
    config.dataset, config.num_seeds = f'local/hopper/{dataset}-v0', 4
    if module is decision_transformer:
        config.batch_size, config.network.num_layers = 32, 3
        config.hparams.warmup_updates, config.hparams.learning_rate = 250.0, 5e-4
        config.num_updates = config.eval_interval = 2_500
        config.log_interval, config.final_eval_episodes = 250, 10
        return config
    config.batch_size, config.network.hidden_sizes = 128, (128, 128)
    config.num_updates, config.log_interval, config.eval_interval = 50_000, 1_000, 10_000
    config.eval_episodes, config.final_eval_episodes = 5, 20
    if module is cql:
        config.num_updates, config.hparams.bc_warm_start_updates = 12_000, 1_000.0
        config.hparams.actor_learning_rate = 3e-4
    return config


def main() -> None:
    """Trains, prints the table as Markdown and draws the figure."""
    path = experiments.figure('d4rl-scores.png')
    found = [
        each for config in configs() for each in results_of(config, experiments.trained(config))
    ]
    results = sorted(found, key=lambda each: (each.dataset, each.name))
    print(tables.markdown(
        ['dataset', 'algorithm', 'updates', 'seeds', 'score', '95 % interval', 'published'],
        [[each.dataset, each.name, f'{each.updates:,}', each.score['seeds'],
          *tables.interval_cells(each.score, '.1f'),
          '' if each.published is None else each.published] for each in results],
    ))  # fmt: skip
    draw(results, path)
    print(f'\nFigure: {path}')


def published() -> dict[str, dict[str, str]]:
    """CORL's scores by dataset, such as 'hopper-medium', and algorithm."""
    lines = [line for line in PUBLISHED.read_text().splitlines() if not line.startswith('#')]
    return {re.sub(r'-v\d+$', '', row['dataset']): row for row in csv.DictReader(lines)}


def results_of(config: ConfigDict, run: Path) -> list[Result]:
    """The final scores of a config's run, each beside what was published for its dataset."""
    dataset = re.fullmatch(r'local/(.+)-v\d+', config.dataset)[1].replace('/', '-')
    # CORL's are of all episodes.
    whole = config.top_fraction == 1
    theirs = published().get(dataset, {}).get(config.algorithm) if whole else None
    title = directory.title(config)
    ended = summary.read(run)
    return [
        Result(
            dataset, f'{title} {setting["label"]}'.strip(), ended['updates'],
            setting['score'], None if theirs is None else float(theirs),
        )
        for setting in ended['settings']
    ]  # fmt: skip


def draw(results: list[Result], path: Path) -> None:
    """A panel for each dataset: our scores with intervals, the published ones beside them."""
    datasets = list(dict.fromkeys(each.dataset for each in results))
    height = 0.9 * len(datasets) + 0.24 * len(results)
    figure, axes = figures.panels(6.4, height, len(datasets), sharex=True)
    for panel, dataset in zip(axes[:, 0], datasets):
        shown = [each for each in results if each.dataset == dataset][::-1]
        for height, each in enumerate(shown):
            figures.interval_dot(panel, each.score, height, 'C0', 'here')
            if each.published is not None:
                panel.plot(
                    each.published, height, 'D', color='C3', markerfacecolor='none',
                    label="published, on D4RL's data",
                )  # fmt: skip
        names = [f'{each.name} ({each.updates / 1000:,g}k)' for each in shown]
        panel.set_yticks(range(len(shown)), names)
        panel.set(title=dataset)
        panel.grid(axis='x', color='0.93')
    axes[-1, 0].set_xlabel('score')
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

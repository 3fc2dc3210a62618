"""AntMaze and OGBench on data that are built here: success beside the published one.

    python -m launch.experiments.antmaze_and_ogbench

Two of D4RL's ant mazes, two of OGBench's tasks with rewards, and a point maze whose policies are told
where to go. Three seeds, at sizes that two cores afford; the values are otherwise those of each config's
domain. What is published (published_success.csv) was trained on the released data, of a million
steps, with networks of 256 to 512 and 500,000 to a million updates.
"""

import csv
import functools
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import bc, crl, fql, hiql, iql, rebrac, td3_bc
from launch.experiments.d4rl_scores import seconds_of
from launch.report import figures, summary, tables
from launch.run import directory

PUBLISHED = Path(__file__).with_name('published_success.csv')


class Task(NamedTuple):
    """What is to be reached, by which algorithms.

    Attributes:
        dataset: to learn from.
        domains: of configs, the first that an algorithm has.
        modules: the algorithms' configs.
        episodes: of the last evaluation, as published.
        values: for all of its algorithms.
    """

    dataset: str
    domains: tuple[str, ...]
    modules: tuple[ModuleType, ...]
    episodes: int
    values: dict[str, Any]


_ANT = {'network.hidden_sizes': (128, 128), 'batch_size': 64, 'num_updates': 300_000}
_ARM = {'network.hidden_sizes': (128, 128, 128), 'batch_size': 64, 'num_updates': 200_000}
_GOALS = {'network.hidden_sizes': (128, 128, 128), 'batch_size': 256, 'num_updates': 100_000}
TASKS = {
    'antmaze-umaze': Task(
        'local/antmaze/umaze-v0', ('antmaze',), (bc, td3_bc, rebrac, iql), 100, _ANT
    ),
    'antmaze-medium-play': Task(
        'local/antmaze/medium-play-v0', ('antmaze-medium-play', 'antmaze'),
        (bc, td3_bc, rebrac, iql), 100, _ANT,
    ),
    'cube-single-play-task2': Task(
        'local/ogbench/cube-single-play-task2-200k-v0', ('cube-single-play',),
        (bc, iql, rebrac, fql), 50, _ARM,
    ),
    'puzzle-3x3-play-task1': Task(
        'local/ogbench/puzzle-3x3-play-task1-200k-v0', ('puzzle-3x3-play',),
        (bc, iql, rebrac, fql), 50, _ARM,
    ),
    'pointmaze-medium-navigate': Task(
        'local/ogbench/pointmaze-medium-navigate-v0', ('goals-pointmaze-medium-navigate',),
        (bc, iql, crl, hiql), 250, _GOALS,
    ),
}  # fmt: skip
# Cloning needs fewer.
_CLONING = {'num_updates': 50_000}


class Result(NamedTuple):
    """What an algorithm made of a task: success in per cent over seeds, and what is published."""

    task: str
    name: str
    sizes: str
    updates: int
    score: dict[str, Any]
    published: float | None
    seconds: float


def configs(task: str) -> list[ConfigDict]:
    """Every algorithm on one of TASKS."""
    return [config_for(module, task) for module in TASKS[task].modules]


def config_for(module: ModuleType, task: str) -> ConfigDict:
    """An algorithm on one of TASKS, at the size of two cores."""
    dataset, domains, _, episodes, values = TASKS[task]
    config = module.get_config(next(domain for domain in domains if domain in module.DOMAINS))
    config.dataset, config.num_seeds, config.final_eval_episodes = dataset, 3, episodes
    config.update_from_flattened_dict(values | (_CLONING if module is bc else {}))
    config.eval_interval, config.eval_episodes = config.num_updates // 5, 20
    return config


def main() -> None:
    """Trains, prints the table as Markdown and draws the figure."""
    path = experiments.figure('antmaze-and-ogbench.png')
    results = [
        result_of(task, config, experiments.trained(config))
        for task in TASKS
        for config in configs(task)
    ]
    print(table(results))
    draw(results, path)
    print(f'\nFigure: {path}')


@functools.cache
def published() -> dict[str, dict[str, str]]:
    """Success in per cent, as text, by task and the name of the algorithm."""
    lines = [line for line in PUBLISHED.read_text().splitlines() if not line.startswith('#')]
    return {row['task']: row for row in csv.DictReader(lines)}


def result_of(task: str, config: ConfigDict, run: Path) -> Result:
    """The success of a config's finished run."""
    name, ended = directory.title(config), summary.read(run)
    theirs = published().get(task, {}).get(name)
    (setting,) = ended['settings']
    sizes = f'{" x ".join(map(str, config.network.hidden_sizes))}, batches of {config.batch_size}'
    return Result(
        task, name, sizes, ended['updates'], setting['score'], float(theirs) if theirs else None,
        seconds_of(run),
    )  # fmt: skip


def table(results: list[Result]) -> str:
    """A row for each result, in Markdown."""
    return tables.markdown(
        ['task', 'algorithm', 'success', '95 % interval', 'published', 'networks', 'updates', 'minutes'],
        [[each.task, each.name, *tables.interval_cells(each.score, '.1f'),
          '' if each.published is None else f'{each.published:.0f}', each.sizes, f'{each.updates:,}',
          f'{each.seconds / 60:.1f}']
         for each in results],
    )  # fmt: skip


def draw(results: list[Result], path: Path) -> None:
    """A panel for each task: success with intervals, and what is published."""
    figure, axes = figures.panels(11, 4.6, 2, 3, sharex=True)
    for panel, task in zip(axes.flat, TASKS):
        here = [each for each in results if each.task == task][::-1]
        for height, each in enumerate(here):
            figures.interval_dot(panel, each.score, height, 'C0', 'three seeds, small sizes')
            if each.published is not None:
                panel.plot(
                    each.published, height, 'D', color='C3', markerfacecolor='none', markersize=5,
                    label='published, on the released data',
                )  # fmt: skip
        panel.set_yticks(range(len(here)), [each.name for each in here])
        panel.set(title=task, xlim=(-4, 104), ylim=(-0.6, len(here) - 0.4))
        panel.grid(axis='x', color='0.93')
    for panel in axes.flat[len(TASKS) :]:
        panel.remove()
    for panel in axes[-1]:
        panel.set_xlabel('success (%)')
    figures.legend(figure, 2)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""AntMaze on data that are built here: success beside the published one.

    python -m launch.experiments.antmaze

Two of D4RL's mazes, three seeds, at sizes that two cores afford; the values are otherwise those of each
config's domain. What is published (published_success.csv) was trained on D4RL's data, of a million steps
as well, with networks of 256 and batches of 256, for 500,000 to a million updates.
"""

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import bc, iql, rebrac, td3_bc
from launch.experiments.d4rl_scores import seconds_of
from launch.report import figures, summary, tables
from launch.run import directory

PUBLISHED = Path(__file__).with_name('published_success.csv')

# By D4RL's name: the dataset, the domains of configs for it, the first that a method has, and the
# methods, on the larger maze the two that are published highest.
TASKS = {
    'antmaze-umaze': (
        'local/antmaze/umaze-v0', ('antmaze-umaze', 'antmaze'), (bc, td3_bc, rebrac, iql)
    ),
    'antmaze-medium-play': (
        'local/antmaze/medium-play-v0', ('antmaze-medium-play', 'antmaze'), (rebrac, iql)
    ),
}
_SIZES = {'network.hidden_sizes': (128, 128), 'batch_size': 64, 'num_updates': 300_000}
# Cloning needs fewer.
_CLONING = {'num_updates': 50_000}


class Result(NamedTuple):
    """What an algorithm made of a task: success in per cent over seeds, and what is published."""

    task: str
    name: str
    updates: int
    score: dict[str, Any]
    published: float | None
    seconds: float


def configs(task: str) -> list[ConfigDict]:
    """The methods on one of TASKS."""
    _, _, methods = TASKS[task]
    return [config_for(module, task) for module in methods]


def config_for(module: ModuleType, task: str) -> ConfigDict:
    """A method on one of TASKS, at the size of two cores."""
    dataset, domains, _ = TASKS[task]
    config = module.get_config(next(domain for domain in domains if domain in module.DOMAINS))
    config.dataset, config.num_seeds, config.final_eval_episodes = dataset, 3, 100
    config.update_from_flattened_dict(_SIZES | (_CLONING if module is bc else {}))
    config.eval_interval, config.eval_episodes = config.num_updates // 5, 20
    return config


def main() -> None:
    """Trains, prints the table as Markdown and draws the figure."""
    path = experiments.figure('antmaze.png')
    results = [
        result_of(task, config, experiments.trained(config))
        for task in TASKS
        for config in configs(task)
    ]
    print(table(results))
    draw(results, path)
    print(f'\nFigure: {path}')


def published() -> dict[str, dict[str, str]]:
    """Success in per cent, as text, by task and the name of the algorithm."""
    return {row['task']: row for row in experiments.published(PUBLISHED)}


def result_of(task: str, config: ConfigDict, run: Path) -> Result:
    """The success of a config's finished run."""
    name, ended = directory.title(config), summary.read(run)
    theirs = published().get(task, {}).get(name)
    (setting,) = ended['settings']
    return Result(
        task, name, ended['updates'], setting['score'], float(theirs) if theirs else None,
        seconds_of(run),
    )  # fmt: skip


def table(results: list[Result]) -> str:
    """A row for each result, in Markdown."""
    return tables.markdown(
        ['task', 'algorithm', 'success', '95 % interval', 'published', 'updates', 'minutes'],
        [[each.task, each.name, *tables.interval_cells(each.score, '.1f'),
          '' if each.published is None else f'{each.published:.0f}', f'{each.updates:,}',
          f'{each.seconds / 60:.0f}']
         for each in results],
    )  # fmt: skip


def draw(results: list[Result], path: Path) -> None:
    """A panel for each task: success with intervals, and what is published."""
    figure, axes = figures.panels(9, 2.7, columns=2)
    for panel, task in zip(axes.flat, TASKS):
        here = [each for each in results if each.task == task][::-1]
        for height, each in enumerate(here):
            figures.interval_dot(panel, each.score, height, 'C0', 'three seeds, small sizes')
            if each.published is not None:
                panel.plot(
                    each.published, height, 'D', color='C3', markerfacecolor='none', markersize=5,
                    label="published, on D4RL's data",
                )  # fmt: skip
        panel.set_yticks(range(len(here)), [each.name for each in here])
        panel.set(title=task, xlim=(-4, 104), ylim=(-0.6, len(here) - 0.4), xlabel='success (%)')
        panel.grid(axis='x', color='0.93')
    figures.legend(figure, 2)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

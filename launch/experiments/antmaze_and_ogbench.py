"""AntMaze and OGBench on data that are built here: success beside the published one.

    python -m launch.experiments.antmaze_and_ogbench [task ...]

Two of D4RL's ant mazes, two of OGBench's tasks with rewards, and a point maze whose policies are told
where to go. Three seeds, at sizes that two cores afford; the values are otherwise those of each config's
domain. What is published (published_success.csv) was trained on the released data, with networks of 256
to 512 and 500,000 to a million updates. Then what the smaller sizes cost in the larger ant maze, one
size at a time.
"""

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data import environments, seeding
from data.flat import flatten_observation
from launch import experiments
from launch.configs import bc, crl, fql, hiql, iql, rebrac, td3_bc
from launch.experiments.d4rl_scores import seconds_of
from launch.report import figures, summary, tables
from launch.run import directory, policies

PUBLISHED = Path(__file__).with_name('published_success.csv')


class Task(NamedTuple):
    """What is to be reached, by which methods.

    Attributes:
        dataset: to learn from.
        domains: of configs, the first that a method has.
        modules: the methods' configs.
        episodes: of the last evaluation, as published.
        values: for all of its methods.
    """

    dataset: str
    domains: tuple[str, ...]
    modules: tuple[ModuleType, ...]
    episodes: int
    values: dict[str, Any]


_ANT = {'network.hidden_sizes': (128, 128), 'batch_size': 64, 'num_updates': 300_000}
# An arm takes milliseconds to step.
_ARM = {
    'network.hidden_sizes': (128, 128, 128), 'batch_size': 64, 'num_updates': 100_000,
    'eval_episodes': 5,
}  # fmt: skip
_GOALS = {'network.hidden_sizes': (128, 128, 128), 'batch_size': 64, 'num_updates': 50_000}
TASKS = {
    'antmaze-umaze': Task(
        'local/antmaze/umaze-v0', ('antmaze-umaze', 'antmaze'), (bc, td3_bc, rebrac, iql), 100, _ANT
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

# What each size costs ReBRAC in the larger ant maze: of two seeds, with the others as above. How near
# its policies come in so many episodes each; the goal is reached within the first of these metres.
LIMITED, LIMITED_SEEDS = 'antmaze-medium-play', 2
NEAR_EPISODES, NEAR = 20, (0.45, 0.6, 0.8, 1.0, 2.0)
SIZES = {
    'as above': {},
    'batches of 256': {'batch_size': 256},
    'networks of 256 x 256': {'network.hidden_sizes': (256, 256)},
    '1,000,000 updates': {'num_updates': 1_000_000},
}


class Result(NamedTuple):
    """What a method made of a task: success in per cent over seeds, and what is published."""

    task: str
    name: str
    updates: int
    score: dict[str, Any]
    published: float | None
    seconds: float


def configs(task: str) -> list[ConfigDict]:
    """The methods on one of TASKS."""
    return [config_for(module, task) for module in TASKS[task].modules]


def config_for(
    module: ModuleType, task: str, otherwise: dict[str, Any] | None = None
) -> ConfigDict:
    """A method on one of TASKS, at the size of two cores; `otherwise` is what else is set."""
    dataset, domains, _, episodes, values = TASKS[task]
    config = module.get_config(next(domain for domain in domains if domain in module.DOMAINS))
    config.dataset, config.num_seeds, config.final_eval_episodes = dataset, 3, episodes
    config.eval_episodes = 20
    cloning = _CLONING if module is bc else {}
    config.update_from_flattened_dict(values | cloning | (otherwise or {}))
    config.eval_interval = config.num_updates // 5
    return config


def limited_configs() -> dict[str, ConfigDict]:
    """ReBRAC in the larger ant maze at each of SIZES."""
    return {
        name: config_for(rebrac, LIMITED, {'num_seeds': LIMITED_SEEDS} | values)
        for name, values in SIZES.items()
    }


def main(tasks: list[str]) -> None:
    """Trains, prints the tables as Markdown and draws the figure."""
    asked = experiments.asked_for(tasks, TASKS, 'task')
    path = experiments.figure('antmaze-and-ogbench.png')
    results = [
        result_of(task, config, experiments.trained(config))
        for task in asked
        for config in configs(task)
    ]
    print(table(results))
    if LIMITED in asked:
        runs = {name: experiments.trained(each) for name, each in limited_configs().items()}
        found = {
            name: result_of(LIMITED, config, runs[name]) for name, config in limited_configs().items()
        }
        nearest = {name: nearest_of(run) for name, run in runs.items()}
        print(f'\n{limited_table(found, nearest)}')
    # A figure of some is none of all.
    if not tasks:
        draw(results, path)
        print(f'\nFigure: {path}')


def published() -> dict[str, dict[str, str]]:
    """Success in per cent, as text, by task and the name of the method."""
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
        ['task', 'method', 'success', '95 % interval', 'published', 'updates', 'minutes'],
        [[each.task, each.name, *tables.interval_cells(each.score, '.1f'),
          '' if each.published is None else f'{each.published:.0f}', f'{each.updates:,}',
          f'{each.seconds / 60:.0f}']
         for each in results],
    )  # fmt: skip


def nearest_of(run: Path) -> np.ndarray:
    """Metres between ant and goal where it is nearest, in episodes of a run's policies, (n,)."""
    found = policies.of_run(run)[0]
    problem, nearest = found.run.problem, []
    envs = [environments.make(problem.env_spec) for _ in range(NEAR_EPISODES)]
    for member in range(len(found.members)):
        seen = [seeding.reset(env, seed)[0] for seed, env in enumerate(envs)]
        least = np.full(len(envs), np.inf)
        running = np.ones(len(envs), bool)
        while running.any():
            flat = [flatten_observation(each, problem.observation_keys, 1)[0] for each in seen]
            actions = found.actions(np.stack(flat))[:, member]
            for index in np.flatnonzero(running):
                seen[index], _, terminated, truncated, _ = envs[index].step(actions[index])
                away = seen[index]['achieved_goal'] - seen[index]['desired_goal']
                least[index] = min(least[index], np.linalg.norm(away))
                running[index] = not (terminated or truncated)
        nearest.append(least)
    for env in envs:
        env.close()
    return np.concatenate(nearest)


def limited_table(found: dict[str, Result], nearest: dict[str, np.ndarray]) -> str:
    """A row for each size, in Markdown: success, and the share of other episodes that come near."""
    return tables.markdown(
        [f'ReBRAC, {LIMITED}', 'success', '95 % interval', 'updates', 'minutes',
         *(f'within {metres} m' for metres in NEAR)],
        [[name, *tables.interval_cells(each.score, '.1f'), f'{each.updates:,}',
          f'{each.seconds / 60:.0f}', *(f'{np.mean(nearest[name] < metres):.0%}' for metres in NEAR)]
         for name, each in found.items()],
    )  # fmt: skip


def draw(results: list[Result], path: Path) -> None:
    """A panel for each task: success with intervals, and what is published."""
    tasks = [task for task in TASKS if any(each.task == task for each in results)]
    figure, axes = figures.panels(11, 2.3 * -(-len(tasks) // 3), -(-len(tasks) // 3), 3)
    for panel, task in zip(axes.flat, tasks):
        here = [each for each in results if each.task == task][::-1]
        for height, each in enumerate(here):
            figures.interval_dot(panel, each.score, height, 'C0', 'three seeds, small sizes')
            if each.published is not None:
                panel.plot(
                    each.published, height, 'D', color='C3', markerfacecolor='none', markersize=5,
                    label='published, on the released data',
                )  # fmt: skip
        panel.set_yticks(range(len(here)), [each.name for each in here])
        panel.set(title=task, xlim=(-4, 104), ylim=(-0.6, len(here) - 0.4), xlabel='success (%)')
        panel.grid(axis='x', color='0.93')
    for panel in axes.flat[len(tasks) :]:
        panel.remove()
    figures.legend(figure, 2)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main, with_arguments=True)

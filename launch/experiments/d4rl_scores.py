"""Nine locomotion datasets in D4RL's compositions: scores beside the published ones.

    python -m launch.experiments.d4rl_scores [algorithm ...]

Trains the named algorithms, or all. What every seed scored goes into notebooks/results/d4rl-scores.csv,
where the rows of other algorithms stay; the tables and the figure are of all that is there.

Four seeds at the sizes of the configs' domain `lean`. Two tables of published scores stand beside them
(published_scores.csv): CORL's, of 4 seeds, and that of ReBRAC's authors, of ten seeds that they tuned
nothing on; both of the last of a million updates, with networks of 256, on D4RL's own data, in older
versions of the environments. Also what the datasets hold, and what the best algorithm makes of it.
"""

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data import loading
from data.reference_scores import normalized_score
from launch import experiments
from launch.configs import (
    awac,
    base,
    bc,
    cql,
    decision_transformer,
    iql,
    rebrac,
    sac,
    td3,
    td3_bc,
    xql,
)  # fmt: skip
from launch.report import figures, kept_scores, summary, tables
from launch.run import metrics

DATASETS = tuple(
    f'{body}-{kind}'
    for body in ('hopper', 'halfcheetah', 'walker2d')
    for kind in ('medium', 'medium-replay', 'medium-expert')
)
_BEST = {'top_fraction': 0.1}
# In the order of tables, and what is set otherwise.
ALGORITHMS = (
    (bc, {}), (bc, _BEST), (td3_bc, {}), (rebrac, {}), (iql, {}), (xql, {}), (awac, {}), (cql, {}),
    (decision_transformer, {}), (sac, {}), (td3, {}),
)  # fmt: skip
# Without anything against extrapolation.
NAIVE = ('SAC', 'TD3')
PUBLISHED = Path(__file__).with_name('published_scores.csv')
SOURCES = ('CORL', 'unseen seeds')
# Points of score that a comparison with what is published leaves.
NEAR = 10
SCORES = 'd4rl-scores.csv'


class Result(NamedTuple):
    """What an algorithm made of a dataset.

    Attributes:
        dataset: by D4RL's name, without a version.
        name: of the algorithm.
        updates: of each seed.
        score: after them, over seeds (summary.interval).
        late: likewise, of means over the last third of the evaluations.
        published: by the name of the source, where it has something.
    """

    dataset: str
    name: str
    updates: int
    score: dict[str, Any]
    late: dict[str, Any]
    published: dict[str, float]


class Held(NamedTuple):
    """Scores of a dataset's episodes: their mean, that of the best tenth of the steps, and the best."""

    mean: float
    best_tenth: float
    best: float


def configs() -> list[ConfigDict]:
    """Every algorithm on every dataset."""
    return [
        config_for(module, dataset, otherwise)
        for module, otherwise in ALGORITHMS
        for dataset in DATASETS
    ]


def config_for(
    module: ModuleType, dataset: str, otherwise: dict[str, Any] | None = None
) -> ConfigDict:
    """An algorithm's lean config on one of DATASETS; `otherwise` is what else is set."""
    own = f'lean-{dataset}'
    config = module.get_config(own if own in module.DOMAINS else 'lean')
    config.dataset = base.D4RL['mujoco'][dataset]
    config.update_from_flattened_dict(otherwise or {})
    return config


def main(names: list[str]) -> None:
    """Trains, keeps the scores, prints the tables as Markdown and draws the figure."""
    path, file = experiments.figure('d4rl-scores.png'), experiments.RESULTS / SCORES
    kept, runs = experiments.scored(configs(), names, file)
    results = [result_of(*cell, curve) for cell, curve in kept.items()]
    held = {dataset: held_in(dataset) for dataset in DATASETS}
    print(
        scores_table(results), nearness_table(results), data_table(results, held), costs_table(runs),
        sep='\n\n',
    )  # fmt: skip
    draw(results, held, path)
    print(f'\nFigure: {path}\nScores: {file}')


def published(dataset: str, name: str) -> dict[str, float]:
    """An algorithm's scores on a dataset, such as 'hopper-medium', by their source."""
    return {
        row['source']: float(row[name])
        for row in experiments.published(PUBLISHED) if row['dataset'] == dataset and row.get(name)
    }  # fmt: skip


def result_of(dataset_id: str, name: str, curve: kept_scores.Curve) -> Result:
    """The scores of an algorithm beside what was published for its dataset."""
    _, body, kind = dataset_id.removesuffix('-v0').split('/')
    dataset = f'{body}-{kind}'
    return Result(
        dataset, name, int(curve.steps[-1]), summary.interval(curve.scores[-1]),
        summary.interval(curve.late), published(dataset, name),
    )  # fmt: skip


def seconds_of(run: Path) -> float:
    """Of a run's training, evaluations left out, by the rates in its metrics."""
    steps = {0: np.inf} | {
        row['step']: row['measures']['updates_per_second']
        for row in metrics.read(run) if row['event'] == 'training'
    }  # fmt: skip
    return float(np.sum(np.diff(list(steps)) / np.array(list(steps.values()))[1:]))


def held_in(dataset: str) -> Held:
    """What a dataset's episodes earned."""
    data = loading.load(base.D4RL['mujoco'][dataset])
    scores = normalized_score(data.episode_returns, data.problem.scores)
    order = np.argsort(scores)[::-1]
    steps = np.cumsum(data.episode_lengths[order])
    best = order[: np.searchsorted(steps, 0.1 * steps[-1]) + 1]
    return Held(float(scores.mean()), float(scores[best].mean()), float(scores.max()))


def scores_table(results: list[Result]) -> str:
    """A row for each result, in Markdown."""
    return tables.markdown(
        ['dataset', 'algorithm', 'score', '95 % interval', 'late mean', *SOURCES],
        [[each.dataset, each.name, *tables.interval_cells(each.score, '.1f'),
          f'{each.late["mean"]:.1f}',
          *(f'{each.published[source]:.1f}' if source in each.published else '' for source in SOURCES)]
         for each in sorted(results, key=lambda each: DATASETS.index(each.dataset))],
    )  # fmt: skip


def nearness_table(results: list[Result]) -> str:
    """A row for each algorithm, in Markdown: sets on which it is near what is published, or above it."""
    rows = []
    for name in dict.fromkeys(each.name for each in results if each.published):
        here = [each for each in results if each.name == name]
        cells = []
        for source in SOURCES:
            theirs = [each for each in here if source in each.published]
            near = [each for each in theirs if each.score['mean'] >= each.published[source] - NEAR]
            cells.append(f'{len(near)} of {len(theirs)}' if theirs else '')
        rows.append([name, *cells])
    return tables.markdown(['within ten points or above', *SOURCES], rows)


def data_table(results: list[Result], held: dict[str, Held]) -> str:
    """A row for each dataset, in Markdown: what it holds, and what is made of it."""
    rows = []
    for dataset, episodes in held.items():
        means = {each.name: each.score['mean'] for each in results if each.dataset == dataset}
        careful = {name: mean for name, mean in means.items() if name not in NAIVE}
        if not careful:
            continue
        name = max(careful, key=careful.get)
        cloned, *naive = (
            f'{means[other]:.1f}' if other in means else '' for other in ('BC', *NAIVE)
        )
        rows.append([
            dataset, *(f'{value:.1f}' for value in episodes), cloned,
            f'{name} {means[name]:.1f}', f'{means[name] / episodes.mean:.1f}',
            f'{means[name] / episodes.best:.2f}', *naive,
        ])  # fmt: skip
    return tables.markdown(
        ['dataset', 'episodes: mean', 'best tenth', 'best', 'BC', 'best algorithm', 'of the mean',
         'of the best', *NAIVE],
        rows,
    )  # fmt: skip


def costs_table(runs: dict[kept_scores.Cell, Path]) -> str:
    """A row for each algorithm that was trained, in Markdown: updates, and how long they take."""
    rows = []
    for name in dict.fromkeys(name for _, name in runs):
        here = [run for (_, each), run in runs.items() if each == name]
        minutes = sum(map(seconds_of, here)) / 60
        rows.append([name, f'{summary.read(here[0])["updates"]:,}', len(here), f'{minutes:.0f}'])
    return tables.markdown(['algorithm', 'updates', 'datasets', 'minutes of training'], rows)


def draw(results: list[Result], held: dict[str, Held], path: Path) -> None:
    """A panel for each dataset: scores with intervals, published ones, and what the episodes earned."""
    names = list(dict.fromkeys(each.name for each in results))
    figure, axes = figures.panels(11, 8.2, 3, 3, sharex=True, sharey=True)
    for panel, (dataset, episodes) in zip(axes.flat, held.items()):
        panel.axvline(episodes.mean, color='0.6', linestyle=':', linewidth=1, label='mean episode')
        panel.axvline(episodes.best, color='0.6', linewidth=1, label='best episode')
        for each in (each for each in results if each.dataset == dataset):
            height = len(names) - 1 - names.index(each.name)
            figures.interval_dot(panel, each.score, height, 'C0', 'four seeds, lean sizes')
            for source, marker in zip(SOURCES, 'Ds'):
                if source in each.published:
                    panel.plot(
                        each.published[source], height, marker, color='C3', markerfacecolor='none',
                        markersize=5, label=f"published on D4RL's data, {source}",
                    )  # fmt: skip
        panel.set_yticks(range(len(names)), names[::-1])
        panel.set(title=dataset)
        panel.grid(axis='x', color='0.93')
    for panel in axes[-1]:
        panel.set_xlabel('score')
    figures.legend(figure, 5)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main, with_arguments=True)

"""Scores on the locomotion datasets beside those published on D4RL's originals.

    for algorithm in bc td3_bc cql iql; do
        python -m launch.train --config=launch/configs/$algorithm.py:mujoco --config.num_seeds=3 \\
            --config.dataset=local/hopper/medium-v0 --config.run_dir=runs/hopper-medium/$algorithm
    done
    python -m launch.experiments.d4rl_scores runs/hopper-medium/*

The published scores (published_scores.csv) are CORL's (Tarasov et al. 2023,
https://arxiv.org/abs/2210.07105): the last of a million updates, 4 seeds, on other data, in other
versions of the environments. They say what to expect, not what to reproduce.
"""

import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from data.recipes.locomotion import REPLAY_STEPS
from launch import cli, experiments, run_directory
from launch.cli import UserError

PUBLISHED = Path(__file__).with_name('published_scores.csv')


class Result(NamedTuple):
    """A setting of a finished run.

    Attributes:
        dataset: as D4RL names it, such as 'hopper-medium'.
        algorithm: as tables name it.
        label: of what is swept or asked for, such as 'target_return=3600'; '' if nothing is.
        updates: that each seed did.
        score: interval over seeds, as in summary.json.
        published: the mean score on D4RL's dataset; None if CORL has none.
    """

    dataset: str
    algorithm: str
    label: str
    updates: int
    score: dict[str, Any]
    published: float | None

    @property
    def name(self) -> str:
        """Of its row."""
        return f'{self.algorithm} {self.label}'.strip()


def main(argv: list[str]) -> None:
    """Prints the table as Markdown and draws the figure."""
    if len(argv) < 2:
        raise UserError('which runs? Name their directories.')
    found = [each for argument in argv[1:] for each in results_of(Path(argument))]
    results = sorted(found, key=lambda each: (each.dataset, each.algorithm, each.label))
    print('| dataset | algorithm | updates | seeds | score | 95 % interval | published |')
    print('|---|---|---|---|---|---|---|')
    for each in results:
        score = each.score
        print(
            f'| {each.dataset} | {each.name} | {each.updates:,} | {score["seeds"]} '
            f'| {score["mean"]:.1f} | [{score["mean_low"]:.1f}, {score["mean_high"]:.1f}] '
            f'| {"" if each.published is None else each.published} |'
        )
    path = experiments.FIGURES / 'd4rl-scores.png'
    draw(results, path)
    print(f'\nFigure: {path}')


def published() -> dict[str, dict[str, str]]:
    """CORL's scores by dataset, such as 'hopper-medium', and algorithm."""
    lines = [line for line in PUBLISHED.read_text().splitlines() if not line.startswith('#')]
    return {re.sub(r'-v\d+$', '', row['dataset']): row for row in csv.DictReader(lines)}


def results_of(run: Path) -> list[Result]:
    """A run's final scores, each beside what was published for its dataset.

    Raises:
        UserError: it is not finished, learned online, or is on none of D4RL's compositions.
    """
    (summary,) = run_directory.summaries([run]).values()
    bodies = '|'.join(env_id.partition('-')[0].lower() for env_id in REPLAY_STEPS)
    found = re.fullmatch(rf'local/({bodies})/([a-z-]+?)(-\d+[km]?)?-v\d+', summary['dataset'])
    if not found:
        raise UserError(f"{run} is on {summary['dataset']}, none of D4RL's compositions made here.")
    dataset, config = f'{found[1]}-{found[2]}', run_directory.load_config(run)
    if 'dataset' not in config:
        raise UserError(f'{run} learned online; the published scores are of offline runs.')
    # All episodes, as CORL.
    whole = config.top_fraction == 1
    theirs = published().get(dataset, {}).get(config.algorithm) if whole else None
    return [
        Result(
            dataset, run_directory.title(config), setting['label'], summary['updates'], setting['score'],
            None if theirs is None else float(theirs),
        )
        for setting in summary['settings']
    ]  # fmt: skip


def draw(results: list[Result], path: Path) -> None:
    """A panel for each dataset: our scores with intervals, the published ones beside them."""
    datasets = list(dict.fromkeys(each.dataset for each in results))
    figure, axes = plt.subplots(
        len(datasets), 1, figsize=(6.4, 0.9 * len(datasets) + 0.24 * len(results)),
        layout='constrained', sharex=True, squeeze=False,
    )  # fmt: skip
    for axis, dataset in zip(axes[:, 0], datasets):
        shown = [each for each in results if each.dataset == dataset][::-1]
        for height, each in enumerate(shown):
            score = each.score
            axis.plot([score['mean_low'], score['mean_high']], [height] * 2, 'C0', linewidth=2)
            axis.plot(score['mean'], height, 'o', color='C0', label='here')
            if each.published is not None:
                axis.plot(
                    each.published, height, 'D', color='C3', markerfacecolor='none',
                    label="published, on D4RL's data",
                )  # fmt: skip
        names = [f'{each.name} ({each.updates / 1000:,g}k)' for each in shown]
        axis.set_yticks(range(len(shown)), names)
        axis.set(title=dataset)
        axis.spines[['top', 'right']].set_visible(False)
        axis.grid(axis='x', color='0.93')
    axes[-1, 0].set_xlabel('score')
    handles, labels = axes[0, 0].get_legend_handles_labels()
    unique = dict(zip(labels, handles))
    figure.legend(
        unique.values(), unique.keys(), loc='outside lower center', ncols=2, frameon=False
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

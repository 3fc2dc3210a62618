"""Shaping: a reward that is far away is found sooner where hindsight says how far.

    python -m launch.experiments.shaping

The crossroads, which pay at the end of a journey alone: as they are, shaped by what the log's journeys
earned, and by what the critics of the runs without shaping claim in the end (data/shaping.py), which
changes no policy's place among others. Ten seeds each; in how many updates the way to the goal, which
earns 1, is found and kept.
"""

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data import shaping
from data.loading import Dataset
from launch import experiments
from launch.configs import discrete_bcq, discrete_cql, iql
from launch.estimate import claims
from launch.report import figures, tables
from launch.run import directory, metrics, policies

METHODS = (discrete_cql, discrete_bcq, iql)
POTENTIALS = ('none', "the log's returns", "a run's values")
_UPDATES, _INTERVAL = 2_000, 50
# The score of a return of 1.
_GOAL = 100.0


class Learned(NamedTuple):
    """When seeds are at the goal.

    Attributes:
        steps: updates before each evaluation, (evaluations,).
        there: whether each seed's policy goes to the goal then, bool (evaluations, seeds).
    """

    steps: np.ndarray
    there: np.ndarray

    @property
    def needed(self) -> np.ndarray:
        """Updates from which on each seed goes to the goal, inf if it does not in the end, (seeds,)."""
        kept = np.logical_and.accumulate(self.there[::-1])[::-1]
        return np.where(kept.any(axis=0), self.steps[kept.argmax(axis=0)], np.inf)


def config_for(module: ModuleType, dataset: str = '') -> ConfigDict:
    """A method with its config's values, evaluated often; on the crossroads or with other rewards."""
    config = module.get_config('crossroads')
    config.dataset = dataset or config.dataset
    config.num_updates, config.log_interval = _UPDATES, _INTERVAL
    config.eval_interval = _INTERVAL
    return config


def shaped(module: ModuleType, potential: str, plain: Path) -> str:
    """The id of the crossroads shaped for a method.

    Args:
        module: of the method.
        potential: of POTENTIALS, but for the first.
        plain: the method's run without shaping.
    """
    config = config_for(module)
    gamma = config.hparams.gamma

    def make(dataset: Dataset) -> np.ndarray:
        if potential == POTENTIALS[1]:
            return shaping.shaped(dataset, shaping.of_returns(dataset, gamma), gamma)
        values = partial(claims.of, policies.of_run(plain)[0])
        return shaping.shaped(dataset, lambda observed: values(observed).mean(axis=1), gamma)

    name = 'returns' if potential == POTENTIALS[1] else f'{config.algorithm}-{plain.name}'
    return experiments.relabelled(
        config.dataset, f'shaping/crossroads/{name.replace("_", "-")}-v0', make, potential
    )


def learned(run: Path) -> Learned:
    """What a finished run's evaluations show."""
    steps, scores = metrics.curve(run)
    return Learned(steps, np.isclose(scores, _GOAL))


def main() -> None:
    """Trains, prints the table as Markdown and draws the figure."""
    path = experiments.figure('shaping.png')
    found: dict[str, dict[str, Learned]] = {}
    for module in METHODS:
        plain = experiments.trained(config_for(module))
        runs = {POTENTIALS[0]: plain} | {
            potential: experiments.trained(config_for(module, shaped(module, potential, plain)))
            for potential in POTENTIALS[1:]
        }
        title = directory.title(config_for(module))
        found[title] = {potential: learned(run) for potential, run in runs.items()}
    print(table(found))
    draw(found, path)
    print(f'\nFigure: {path}')


def table(found: dict[str, dict[str, Learned]]) -> str:
    """The median of the updates needed, their range, and how many seeds end at the goal, as Markdown."""
    rows = []
    for name, by_potential in found.items():
        for potential, each in by_potential.items():
            needed = each.needed
            ends = int(np.isfinite(needed).sum())
            middle, least, most = (
                f'{value:,.0f}' if np.isfinite(value) else 'never'
                for value in (np.median(needed), needed.min(), needed.max())
            )
            rows.append([name, potential, middle, f'{least} to {most}', f'{ends} of {len(needed)}'])
    return tables.markdown(
        ['', 'potential', 'updates to the goal, median', 'of all seeds', 'there in the end'], rows
    )


def draw(found: dict[str, dict[str, Learned]], path: Path) -> None:
    """The share of seeds at the goal against updates, a panel for each method."""
    figure, axes = figures.panels(1 + 3 * len(found), 3.4, columns=len(found), sharey=True)
    for panel, (name, by_potential) in zip(axes[0], found.items()):
        for color, (potential, each) in enumerate(by_potential.items()):
            panel.plot(each.steps, each.there.mean(axis=1), color=f'C{color}', label=potential)
        panel.set(title=name, xlabel='updates')
    axes[0, 0].set_ylabel('share of seeds that go to the goal')
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""One demonstration instead of rewards: Hopper's medium-replay by its best episode alone.

    python -m launch.experiments.demonstrations

Rewards from how near each episode is to the best one, by optimal transport and by the nearest step
(data/demonstrations.py), for IQL; beside it IQL with the true rewards, cloning of all and of the best
tenth, and IQ-Learn from that tenth. Four seeds at the sizes of the configs' domain `lean`.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from data import demonstrations, transforms
from data.loading import Dataset
from launch import experiments
from launch.configs import bc, iq_learn, iql
from launch.experiments import d4rl_scores
from launch.report import figures, summary, tables
from launch.run import directory

DATASET, EXPERTS = 'hopper-medium-replay', 1
_LIKENESS = {
    'optimal transport': demonstrations.transport_rewards,
    'nearest step': demonstrations.nearest_rewards,
}
_BEST = {'top_fraction': 0.1}


def config_for(module, otherwise: dict[str, Any] | None = None) -> ConfigDict:
    """A method with its values on the dataset as it is; `otherwise` is what else is set."""
    return d4rl_scores.config_for(module, DATASET, otherwise)


def imitating(likeness: str) -> ConfigDict:
    """IQL on the dataset with rewards from its best episode, written now if it was not before."""

    def make(dataset: Dataset):
        best = demonstrations.best_episodes(dataset, EXPERTS)
        return _LIKENESS[likeness](dataset, transforms.select(dataset, best))

    config = config_for(iql)
    name = likeness.replace(' ', '-')
    config.dataset = experiments.relabelled(
        config.dataset, f'demonstrations/{DATASET}/{name}-v0', make, likeness
    )
    return config


def configs() -> dict[str, ConfigDict]:
    """Every method, those whose rewards are made included, as the table names it."""
    return (
        {directory.title(each): each for each in (config_for(bc), config_for(bc, _BEST))}
        | {'IQ-Learn from 10 %': config_for(iq_learn, _BEST)}
        | {f'IQL, {likeness}': imitating(likeness) for likeness in _LIKENESS}
        | {'IQL, true rewards': config_for(iql)}
    )


def main() -> None:
    """Trains, prints the table as Markdown and draws the figure."""
    path = experiments.figure('demonstrations.png')
    scores = {
        name: summary.read(experiments.trained(config))['settings'][0]['score']
        for name, config in configs().items()
    }
    print(tables.markdown(
        [DATASET, 'score', '95 % interval'],
        [[name, *tables.interval_cells(score, '.1f')] for name, score in scores.items()],
    ))  # fmt: skip
    draw(scores, path)
    print(f'\nFigure: {path}')


def draw(scores: dict[str, dict[str, Any]], path: Path) -> None:
    """A row for each method, beside what the dataset's episodes score."""
    held = d4rl_scores.held_in(DATASET)
    figure, axes = figures.panels(6.4, 3.4)
    panel = axes[0, 0]
    for height, score in enumerate(reversed(scores.values())):
        figures.interval_dot(panel, score, height, 'C0')
    lines = {'mean episode': held.mean, 'best episode': held.best}
    figures.references(panel, lines, vertical=True)
    panel.set_yticks(range(len(scores)), list(scores)[::-1])
    panel.set(title=f'{DATASET}: one demonstration', xlabel='score')
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

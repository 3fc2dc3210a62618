"""What is in the locomotion datasets, beside D4RL's own.

    python -m launch.experiments.locomotion_datasets

Builds those that are missing: all fifteen in about half an hour on 2 cores.
"""

from pathlib import Path

import gymnasium as gym
import numpy as np

from data import loading
from data.recipes import RECIPES
from data.recipes.locomotion import REPLAY_STEPS
from data.reference_scores import normalized_score, table_scores
from launch import experiments
from launch.report import figures, tables

COMPOSITIONS = ('random', 'medium', 'medium-replay', 'medium-expert', 'expert')
# Mean normalised returns of D4RL's v2 files, where known.
D4RL_MEANS = {
    'Hopper-v5': {'medium': 44},
    'HalfCheetah-v5': {'medium': 41},
    'Walker2d-v5': {'medium': 62},
}


def main() -> None:
    """Prints the table as Markdown and draws the figure."""
    path = experiments.figure('locomotion-datasets.png')
    scores, rows = {}, []
    for env_id in REPLAY_STEPS:
        body, references = env_id.partition('-')[0].lower(), table_scores(gym.spec(env_id))
        for composition in COMPOSITIONS:
            dataset_id = f'local/{body}/{composition}-v0'
            if dataset_id not in RECIPES:
                continue
            data = loading.load(dataset_id)
            returns = data.episode_returns
            each = scores[env_id, composition] = normalized_score(returns, references)
            fell = np.mean(data.transitions.discount[data.episode_offsets[1:] - 1] == 0)
            rows.append([
                f'{body} {composition}', f'{data.episode_lengths.sum():,}', f'{len(returns):,}',
                f'{fell:.0%}', f'{returns.mean():,.0f}', f'{each.mean():.1f} ± {each.std():.1f}',
                f'{each.max():.1f}', D4RL_MEANS[env_id].get(composition, ''),
            ])  # fmt: skip
    print(tables.markdown(
        ['dataset', 'steps', 'episodes', 'fell', 'mean return', 'score: mean ± std', 'best', 'D4RL'],
        rows,
    ))  # fmt: skip
    draw(scores, path)
    print(f'\nFigure: {path}')


def draw(scores: dict[tuple[str, str], np.ndarray], path: Path) -> None:
    """The distribution of the episodes' scores in every dataset, a panel per environment."""
    env_ids = list(dict.fromkeys(env_id for env_id, _ in scores))
    figure, axes = figures.panels(10, 3.4, columns=len(env_ids), sharex=True, sharey=True)
    heights = np.arange(len(COMPOSITIONS))[::-1]
    for panel, env_id in zip(axes[0], env_ids):
        there = [i for i, name in enumerate(COMPOSITIONS) if (env_id, name) in scores]
        values, at = [scores[env_id, COMPOSITIONS[i]] for i in there], heights[there]
        shapes = panel.violinplot(
            values, at, orientation='horizontal', widths=0.8, showextrema=False,
            bw_method=0.1,
        )  # fmt: skip
        for body in shapes['bodies']:
            body.set(facecolor='C0', alpha=0.35)
        panel.plot([v.mean() for v in values], at, 'o', color='C0', markersize=5, label='mean')
        panel.plot([v.max() for v in values], at, '|', color='C0', markersize=12, label='best')
        theirs = D4RL_MEANS[env_id]
        panel.plot(
            list(theirs.values()), [heights[COMPOSITIONS.index(name)] for name in theirs], 'D',
            color='C3', markersize=5, markerfacecolor='none', label="mean of D4RL's",
        )  # fmt: skip
        panel.set(title=env_id, xlabel='normalised return of an episode')
        panel.set_yticks(heights, COMPOSITIONS)
        panel.grid(axis='x', color='0.93')
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""What is in the locomotion datasets, beside D4RL's own.

    python -m launch.experiments.locomotion_datasets

Builds those that are missing: all fifteen in about half an hour on 2 cores.
"""

import matplotlib
import numpy as np

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from data import loading
from data.recipes import RECIPES
from data.recipes.locomotion import REPLAY_STEPS
from data.reference_scores import normalized_score, table_scores
from launch import cli, experiments

COMPOSITIONS = ('random', 'medium', 'medium-replay', 'medium-expert', 'expert')
# Mean normalised returns of D4RL's v2 files, where known.
D4RL_MEANS = {
    'Hopper-v5': {'medium': 44},
    'HalfCheetah-v5': {'medium': 41},
    'Walker2d-v5': {'medium': 62},
}


def main(argv: list[str]) -> None:
    """Prints the table as Markdown and draws the figure."""
    del argv
    path = experiments.FIGURES / 'locomotion-datasets.png'
    scores = {}
    print('| dataset | steps | episodes | fell | mean return | score: mean ± std | best | D4RL |')
    print('|---|---|---|---|---|---|---|---|')
    for env_id in REPLAY_STEPS:
        body = env_id.partition('-')[0].lower()
        for composition in COMPOSITIONS:
            dataset_id = f'local/{body}/{composition}-v0'
            if dataset_id not in RECIPES:
                continue
            data = loading.load(dataset_id)
            returns = data.episode_returns
            each = scores[env_id, composition] = normalized_score(returns, table_scores(env_id))
            fell = np.mean(data.transitions.discount[data.episode_offsets[1:] - 1] == 0)
            theirs = D4RL_MEANS[env_id].get(composition, '')
            print(
                f'| {body} {composition} | {data.episode_lengths.sum():,} | {len(returns):,} '
                f'| {fell:.0%} | {returns.mean():,.0f} | {each.mean():.1f} ± {each.std():.1f} '
                f'| {each.max():.1f} | {theirs} |'
            )
    draw(scores, path)
    print(f'\nFigure: {path}')


def draw(scores: dict[tuple[str, str], np.ndarray], path) -> None:
    """The distribution of the episodes' scores in every dataset, a panel per environment."""
    env_ids = list(dict.fromkeys(env_id for env_id, _ in scores))
    figure, axes = plt.subplots(
        1, len(env_ids), figsize=(10, 3.4), layout='constrained', sharex=True, sharey=True
    )
    heights = np.arange(len(COMPOSITIONS))[::-1]
    for axis, env_id in zip(axes, env_ids):
        there = [i for i, name in enumerate(COMPOSITIONS) if (env_id, name) in scores]
        values, at = [scores[env_id, COMPOSITIONS[i]] for i in there], heights[there]
        shapes = axis.violinplot(
            values, at, orientation='horizontal', widths=0.8, showextrema=False,
            bw_method=0.1,
        )  # fmt: skip
        for body in shapes['bodies']:
            body.set(facecolor='C0', alpha=0.35)
        axis.plot([v.mean() for v in values], at, 'o', color='C0', markersize=5, label='mean')
        axis.plot([v.max() for v in values], at, '|', color='C0', markersize=12, label='best')
        theirs = D4RL_MEANS[env_id]
        axis.plot(
            list(theirs.values()), [heights[COMPOSITIONS.index(name)] for name in theirs], 'D',
            color='C3', markersize=5, markerfacecolor='none', label="mean of D4RL's",
        )  # fmt: skip
        axis.set(title=env_id, xlabel='normalised return of an episode')
        axis.set_yticks(heights, COMPOSITIONS)
        axis.spines[['top', 'right']].set_visible(False)
        axis.grid(axis='x', color='0.93')
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=3, frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

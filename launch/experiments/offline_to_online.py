"""Offline to online: a policy learned from a dataset goes on learning by acting.

    python -m launch.train --config=launch/configs/iql.py:mujoco --config.run_dir=OFFLINE_RUN
    python -m launch.train_online --config=launch/configs/online.py:iql --from_run=OFFLINE_RUN \\
        --config.run_dir=ONLINE_RUN
    python -m launch.experiments.offline_to_online ONLINE_RUN

The scores of both stages, one after the other: the members' means, and their range.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from launch import cli, experiments, problem, run_directory
from launch.cli import UserError


def main(argv: list[str]) -> None:
    """Prints where the stages end and draws the curve."""
    if len(argv) != 2:
        raise UserError('which run of launch.train_online? Name its directory.')
    online = Path(argv[1])
    config = run_directory.load_config(online)
    source = config.get('from_run')
    if not source:
        raise UserError(f'{online} continues no offline run.')
    stages = [experiments.curve(run) for run in (Path(source), online)]
    for name, (steps, scores) in zip(('offline', 'online'), stages):
        print(f'{name}: score {np.nanmean(scores[-1]):.1f} after {steps[-1]:,} steps')
    path = experiments.FIGURES / 'offline-to-online.png'
    dataset_id = problem.load(Path(source) / 'problem.json').dataset_id
    draw(stages, f'{run_directory.title(config)} on {dataset_id}', path)
    print(f'Figure: {path}')


def draw(stages: list[tuple[np.ndarray, np.ndarray]], title: str, path: Path) -> None:
    """Both learning curves on one axis, on which acting begins at 0."""
    figure, axis = plt.subplots(figsize=(6, 3.6), layout='constrained')
    (offline, offline_scores), (online, online_scores) = stages
    # The online curve begins where the offline one ended.
    online = np.concatenate([[0], online])
    online_scores = np.concatenate([offline_scores[-1:], online_scores])
    for steps, scores, color, name in (
        (offline - offline[-1], offline_scores, 'C3', 'offline: updates on the dataset'),
        (online, online_scores, 'C0', 'online: steps in the environment'),
    ):
        experiments.draw_curve(axis, steps, scores, color, name)
    axis.axvline(0, color='0.35', linestyle=':', linewidth=1)
    axis.set(title=title, xlabel='thousand updates, before and while acting', ylabel='score')
    axis.spines[['top', 'right']].set_visible(False)
    figure.legend(frameon=False, loc='outside lower center', ncols=2)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

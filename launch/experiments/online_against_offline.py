"""The seed statement of the field: SAC, which learns online, fails on the log of its own learning.

    python -m launch.train_online --config=launch/configs/online.py:sac --config.env_id=Hopper-v5
    python -m launch.train --config=launch/configs/sac.py:mujoco \\
        --config.dataset=local/hopper/medium-replay-v0
    python -m launch.experiments.online_against_offline ONLINE_RUN:OFFLINE_RUN ...

The data of both come from policies of the same training; only acting in the environment differs. A
pair of run directories for each environment makes a panel each. A step is an update, online one in the
environment too.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from launch import cli, experiments, problem, run_directory
from launch.cli import UserError

_NAMES = ('online: the data is what its own actions show', 'offline: on the log of such a training')


def main(argv: list[str]) -> None:
    """Draws the learning curves."""
    pairs = [argument.split(':') for argument in argv[1:]]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise UserError('name pairs of run directories, ONLINE_RUN:OFFLINE_RUN.')
    path = experiments.FIGURES / 'online-against-offline.png'
    draw([tuple(map(Path, pair)) for pair in pairs], path)
    print(f'Figure: {path}')


def curve(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps (evaluations,) and the members' scores (evaluations, members)."""
    rows = [row for row in run_directory.read_metrics(run) if row['event'] == 'evaluation']
    if not rows:
        raise UserError(f'{run} holds no evaluations.')
    steps = sorted({row['step'] for row in rows})
    members = sorted({row['member'] for row in rows})
    found = {(row['step'], row['member']): row['measures'] for row in rows}
    scores = [[found[step, member]['score'] for member in members] for step in steps]
    return np.array(steps), np.array(scores)


def draw(pairs: list[tuple[Path, Path]], path: Path) -> None:
    """A panel for each environment."""
    figure, axes = plt.subplots(
        1, len(pairs), figsize=(1 + 3.2 * len(pairs), 3.4), layout='constrained', squeeze=False
    )
    for axis, pair in zip(axes[0], pairs):
        for run, name, color in zip(pair, _NAMES, ('C0', 'C3')):
            steps, scores = curve(run)
            axis.plot(steps / 1_000, scores.mean(axis=1), color=color, label=name)
            if scores.shape[1] > 1:
                axis.fill_between(
                    steps / 1_000, scores.min(axis=1), scores.max(axis=1), color=color, alpha=0.15
                )
        axis.axhline(100, color='0.35', linestyle='--', linewidth=1)
        axis.axhline(0, color='0.35', linestyle=':', linewidth=1)
        axis.set(title=problem.load(pair[0] / 'problem.json').env_spec.id, xlabel='thousand steps')
        axis.spines[['top', 'right']].set_visible(False)
    axes[0, 0].set_ylabel('score (0: random, 100: expert)')
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

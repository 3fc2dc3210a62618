"""The seed statement of the field: SAC, which learns online, fails on the log of its own learning.

    python -m launch.train_online --config=launch/configs/online.py:sac --config.env_id=Hopper-v5
    python -m launch.train --config=launch/configs/sac.py:mujoco \\
        --config.dataset=local/hopper/medium-replay-v0
    python -m launch.experiments.online_against_offline ONLINE_RUN:OFFLINE_RUN ...

The data of both come from policies of the same training; only acting in the environment differs. A
pair of run directories, or an online one alone, makes a panel for its environment. A step is an update,
online one in the environment too.
"""

from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from launch import cli, experiments, problem
from launch.cli import UserError

_NAMES = ('online: the data is what its own actions show', 'offline: on the log of such a training')


def main(argv: list[str]) -> None:
    """Draws the learning curves."""
    panels = [argument.split(':') for argument in argv[1:]]
    if not panels or any(len(runs) > 2 for runs in panels):
        raise UserError('name run directories, ONLINE_RUN or ONLINE_RUN:OFFLINE_RUN.')
    path = experiments.FIGURES / 'online-against-offline.png'
    draw([tuple(map(Path, runs)) for runs in panels], path)
    print(f'Figure: {path}')


def draw(panels: list[tuple[Path, ...]], path: Path) -> None:
    """A panel for each online run, with or without an offline one."""
    figure, axes = plt.subplots(
        1, len(panels), figsize=(1 + 3.2 * len(panels), 3.6), layout='constrained', squeeze=False,
        sharey=True,
    )  # fmt: skip
    for axis, runs in zip(axes[0], panels):
        for run, name, color in zip(runs, _NAMES, ('C0', 'C3')):
            experiments.draw_curve(axis, *experiments.curve(run), color, name)
        axis.axhline(100, color='0.35', linestyle='--', linewidth=1)
        axis.axhline(0, color='0.35', linestyle=':', linewidth=1)
        axis.set(title=problem.load(runs[0] / 'problem.json').env_spec.id, xlabel='thousand steps')
        axis.spines[['top', 'right']].set_visible(False)
    axes[0, 0].set_ylabel('score (0: random, 100: expert)')
    labelled = [axis.get_legend_handles_labels() for axis in axes[0]]
    unique = {label: handle for each in labelled for handle, label in zip(*each)}
    figure.legend(unique.values(), unique.keys(), loc='outside lower center', frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

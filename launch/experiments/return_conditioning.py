"""Return conditioning: what Decision Transformer earns against what it is asked for.

    python -m launch.train --config=launch/configs/decision_transformer.py:mujoco \\
        --config.dataset=local/hopper/medium-replay-v0 --config.num_seeds=3
    python -m launch.experiments.return_conditioning RUN_DIRECTORY

Asks the run's policies for returns from the lowest in the dataset to half the range of its returns
beyond the best.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from launch import (
    cli,
    experiments,
    learners,
    members,
    policies,
    problem,
    report,
    rollout,
    run_directory,
)
from launch.cli import UserError

_TARGETS = 13
_EPISODES = 5


def main(argv: list[str]) -> None:
    """Evaluates, prints the table as Markdown and draws the figure."""
    if len(argv) != 2:
        raise UserError('which run of decision_transformer? Name its directory.')
    run = Path(argv[1])
    config = run_directory.load_config(run)
    if config.algorithm != 'decision_transformer':
        raise UserError(f'{run} is a run of {config.algorithm}, which cannot be asked for returns.')
    cli.use_all_cores()
    logged = problem.load_dataset(config).episode_returns
    achieved = achieve(run, grid(logged), _EPISODES)
    print('| asked for | earned | 95 % interval |\n|---|---|---|')
    for target, each in achieved.items():
        print(f'| {target:,.4g} | {each["mean"]:,.4g} '
              f'| [{each["mean_low"]:,.4g}, {each["mean_high"]:,.4g}] |')  # fmt: skip
    path = experiments.FIGURES / 'return-conditioning.png'
    draw(achieved, logged, config.dataset, path)
    print(f'\nFigure: {path}')


def grid(logged: np.ndarray) -> tuple[float, ...]:
    """Returns to ask for, given those in the dataset."""
    low, best = logged.min(), logged.max()
    return tuple(np.linspace(low, best + (best - low) / 2, _TARGETS).tolist())


def achieve(run: Path, targets: tuple[float, ...], num_episodes: int) -> dict[float, dict[str, Any]]:
    """Intervals over seeds of the mean returns for each target (report.interval)."""
    learner, states, task, judged, _, _ = policies.load(run, targets)
    finite = np.asarray(learners.all_finite(states))[: len(judged)]
    with rollout.Environments(task, len(judged), num_episodes) as envs:
        episodes = rollout.evaluate(
            learner, states, envs, task, members.seeds(judged), finite, num_episodes, stream=1
        )
    returns = episodes.returns.mean(axis=1)
    asked = np.array([member.setting['target_return'] for member in judged])
    return {target: report.interval(returns[asked == target]) for target in targets}


def draw(
    achieved: dict[float, dict[str, Any]], logged: np.ndarray, dataset_id: str, path: Path
) -> None:
    """Earned against asked for, above the returns that the dataset has."""
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(5.2, 5), layout='constrained', sharex=True, height_ratios=(4, 1)
    )
    targets = list(achieved)
    low, high = ([each[end] for each in achieved.values()] for end in ('mean_low', 'mean_high'))
    above.fill_between(targets, low, high, color='C0', alpha=0.2, linewidth=0)
    means = [each['mean'] for each in achieved.values()]
    above.plot(targets, means, 'o-', color='C0', markersize=4, label='earned')
    above.plot(targets, targets, '--', color='0.5', linewidth=1, label='as asked for')
    below.hist(logged, bins=60, color='0.7')
    for axis in (above, below):
        axis.axvline(logged.max(), color='C3', linewidth=1, label="the dataset's best")
        axis.spines[['top', 'right']].set_visible(False)
    above.set_title(f'Decision Transformer on {dataset_id}', fontsize='medium')
    above.set(ylabel='return')
    above.legend(frameon=False, fontsize='small')
    below.set(xlabel='return asked for', ylabel='episodes')
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

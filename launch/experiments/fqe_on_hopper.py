"""Fitted Q evaluation of Hopper policies against what they earn.

    python -m launch.experiments.fqe_on_hopper RUN_DIRECTORY ...

Judges every policy of the runs from the data that the first of them learned from, without the
environment, then in the environment: discounted returns, 20 episodes each.
"""

from pathlib import Path

import matplotlib
import numpy as np
import scipy.stats

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from launch import cli, experiments, off_policy, policies, rollout
from launch.cli import UserError
from launch.configs import ope
from launch.off_policy import Judged
from launch.policies import Policies

_EPISODES = 20


def main(argv: list[str]) -> None:
    """Judges, prints the table as Markdown and draws the figure."""
    if len(argv) < 2:
        raise UserError('which runs? Name their directories.')
    cli.use_all_cores()
    runs = [Path(argument) for argument in argv[1:]]
    config = ope.get_config('mujoco')
    found = [policies.stateless(run) for run in runs]
    config.dataset = found[0].problem.dataset_id
    # For two cores: smaller networks, fewer and larger steps.
    config.num_updates, config.network.hidden_sizes = 15_000, (128, 128)
    config.hparams.target_rate, config.hparams.learning_rate = 0.02, 1e-3
    measured = np.concatenate([measure(each, config.hparams.discount) for each in found])
    judged = off_policy.evaluate(config, runs)
    print('\n| policy | updates | FQE | discounted return, measured |\n|---|---|---|---|')
    for each, true in zip(judged, measured):
        print(f'| {each.name} | {each.updates:,} | {each.estimates["FQE"].value:.1f} | {true:.1f} |')
    estimated = np.array([each.estimates['FQE'].value for each in judged])
    correlation = scipy.stats.spearmanr(estimated, measured, nan_policy='omit').statistic
    print(f'\nRank correlation {correlation:.2f}')
    path = experiments.FIGURES / 'fqe-on-hopper.png'
    draw(judged, measured, f'{config.dataset}: rank correlation {correlation:.2f}', path)
    print(f'Figure: {path}')


def measure(judged: Policies, discount: float) -> np.ndarray:
    """Mean discounted returns of raw rewards, (policies,)."""
    task = judged.problem
    raw = task.preprocessing._replace(
        reward_scale=np.float32(1), reward_shift=np.float32(0)
    )
    task = task._replace(preprocessing=raw)
    learner = judged.learner._replace(
        discounts=np.full(len(judged.learner.seeds), discount, np.float32)
    )
    evaluated = np.zeros(judged.indices.max() + 1, bool)
    evaluated[judged.indices] = True
    seeds = judged.learner.seeds[: len(evaluated)]
    with rollout.Environments(task, len(seeds), _EPISODES) as envs:
        episodes = rollout.evaluate(
            learner, judged.states, envs, task, seeds, evaluated, _EPISODES, stream=1
        )
    return episodes.discounted[judged.indices].mean(axis=1)


def draw(judged: list[Judged], measured: np.ndarray, title: str, path: Path) -> None:
    """Estimates against measurements."""
    figure, axis = plt.subplots(figsize=(4.6, 4), layout='constrained')
    for color, algorithm in enumerate(dict.fromkeys(each.algorithm for each in judged)):
        chosen = [i for i, each in enumerate(judged) if each.algorithm == algorithm]
        axis.plot(
            measured[chosen], [judged[i].estimates['FQE'].value for i in chosen], 'o',
            color=f'C{color}', label=algorithm,
        )  # fmt: skip
    low, high = axis.get_xlim()
    axis.plot([low, high], [low, high], '--', color='0.6', linewidth=1, label='as measured')
    axis.set(xlabel='discounted return, measured', ylabel='estimate by FQE', title=title)
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(frameon=False, fontsize='small')
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == '__main__':
    cli.run(main)

"""Writes a dataset again with other rewards.

    python -m launch.relabel --dataset=local/icu-sepsis/clinician-v0 --to=clinic/zeros-v0 --constant=0
    python -m launch.relabel --dataset=clinic/visits-v0 --to=clinic/learned-v0 --reward_run=RUN

The new one is an ordinary Minari dataset, with everything of the old one but its rewards. Its metadata
say how these were made. It appears when it is complete and readable, or not at all. A run that learned
rewards (launch/configs/preference_reward.py) gives the mean of its networks, less --pessimism times
their standard deviation.
"""

import math
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from absl.flags import FLAGS

from data import loading, relabelling
from data.loading import Dataset
from launch import cli
from launch.cli import UserError
from launch.estimate import learned_rewards
from launch.run import directory


class Made(NamedTuple):
    """Rewards of all steps of a dataset.

    Attributes:
        rewards: (N,).
        how: they were made, plain data for the new dataset's metadata.
    """

    rewards: np.ndarray
    how: dict[str, Any]


def main(argv: list[str]) -> None:
    """Makes the rewards, writes, and says where the new dataset is."""
    del argv
    if not FLAGS.dataset or not FLAGS.to:
        raise UserError('--dataset and --to are needed.')
    asked = [name for name in _SOURCES if FLAGS[name].value is not None]
    if len(asked) != 1:
        valid = ', '.join(f'--{name}' for name in _SOURCES)
        said = ' and '.join(f'--{name}' for name in asked) or 'none'
        raise UserError(f'one source of rewards is needed, of {valid}; given: {said}.')
    if FLAGS.pessimism is not None and FLAGS.reward_run is None:
        raise UserError(f'--pessimism={FLAGS.pessimism:g} is of the rewards of a --reward_run.')
    cli.use_all_cores()
    dataset = loading.load(FLAGS.dataset)
    made = _SOURCES[asked[0]](dataset)
    command = shlex.join(['python', '-m', 'launch.relabel', *sys.argv[1:]])
    place = relabelling.write(dataset, made.rewards, FLAGS.to, made.how, command)
    returns = dataset._replace(
        transitions=dataset.transitions._replace(reward=made.rewards)
    ).episode_returns
    print(
        f"  rewards from {made.rewards.min():.4g} to {made.rewards.max():.4g}, episodes' returns from "
        f'{returns.min():.4g} to {returns.max():.4g}.'
    )
    print(f'{FLAGS.to} is built: {place}')


def constant(dataset: Dataset) -> Made:
    """The same reward with every step."""
    value = FLAGS.constant
    if not math.isfinite(value):
        raise UserError(f'--constant={value}: a finite number is needed.')
    return Made(
        np.broadcast_to(np.float64(value), dataset.transitions.reward.shape),
        {'source': 'constant', 'value': value},
    )


def learned(dataset: Dataset) -> Made:
    """The mean of a run's reward models, minus --pessimism standard deviations of them."""
    pessimism, path = FLAGS.pessimism or 0.0, Path(FLAGS.reward_run)
    found = learned_rewards.of_run(path, dataset)
    return Made(
        found.mean - pessimism * found.deviation,
        {
            'source': 'preferences',
            'run': str(path),
            'run_hash': directory.digest(directory.load_config(path)),
            'updates': found.run.updates,
            'networks': found.networks,
            'pessimism': pessimism,
        },
    )


# By the flag that asks for it.
_SOURCES: dict[str, Callable[[Dataset], Made]] = {'constant': constant, 'reward_run': learned}

if __name__ == '__main__':
    flags.DEFINE_string('dataset', None, 'Minari id of the dataset')
    flags.DEFINE_string('to', None, 'Minari id to give to the new one')
    flags.DEFINE_float('constant', None, 'the reward of every step')
    flags.DEFINE_string('reward_run', None, 'directory of a run that learned rewards')
    flags.DEFINE_float(
        'pessimism', None, 'standard deviations of its networks to subtract, if not 0', lower_bound=0.0
    )
    cli.start(main)

"""Writes a dataset again with other rewards.

    python -m launch.relabel --dataset=local/icu-sepsis/clinician-v0 --to=clinic/zeros-v0 --constant=0

The new one is an ordinary Minari dataset, with everything of the old one but its rewards. Its metadata
say how these were made. It appears when it is complete and readable, or not at all.
"""

import math
import shlex
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from absl.flags import FLAGS

from data import loading, relabelling
from data.loading import Dataset
from launch import cli
from launch.cli import UserError


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


# By the flag that asks for it.
_SOURCES: dict[str, Callable[[Dataset], Made]] = {'constant': constant}

if __name__ == '__main__':
    flags.DEFINE_string('dataset', None, 'Minari id of the dataset')
    flags.DEFINE_string('to', None, 'Minari id to give to the new one')
    flags.DEFINE_float('constant', None, 'the reward of every step')
    cli.start(main)

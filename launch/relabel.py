"""Writes a dataset again with other rewards.

    python -m launch.relabel --dataset=local/icu-sepsis/clinician-v0 --to=clinic/zeros-v0 --constant=0
    python -m launch.relabel --dataset=clinic/visits-v0 --to=clinic/learned-v0 --reward_run=RUN

    python -m launch.relabel --dataset=clinic/visits-v0 --to=clinic/near-v0 --likeness=nearest \\
        --demonstrations=clinic/visits-v0:3,17
    python -m launch.relabel --dataset=clinic/visits-v0 --to=clinic/shaped-v0 \\
        --potential='-abs(age - 60)'

The new one is an ordinary Minari dataset, with everything of the old one but its rewards. Its metadata
say how these were made. It appears when it is complete and readable, or not at all. One flag says where
rewards come from:

--constant        the same for every step.
--reward_run      a run that learned rewards (launch/configs/preference_reward.py): the mean of its
                  networks, less --pessimism times their standard deviation.
--likeness        how near episodes are to demonstrations (data/demonstrations.py): to episodes of
                  --demonstrations, or to the --experts of highest return.
--potential, --potential_run, --potential_returns
                  the old rewards, shaped so that what is best stays best for learners of discount
                  --gamma (data/shaping.py): by a formula over observations (data/expressions.py), by
                  what a run's critics claim, or by what the log's episodes earned.

--beside=ID adds the episodes of another dataset, with the rewards that they have. With --constant=0 that
is how UDS learns from unlabelled data (Yu et al. 2022, https://arxiv.org/abs/2202.01741).
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
from minari.storage.datasets_root_dir import get_dataset_path

from data import demonstrations, expressions, flat, loading, relabelling, shaping, transforms
from data.loading import Dataset
from data.recipes import storage
from launch import cli
from launch.cli import UserError
from launch.estimate import claims, learned_rewards
from launch.run import directory, policies


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
    for name in ('constant', 'pessimism', 'gamma'):
        if FLAGS[name].value is not None and not math.isfinite(FLAGS[name].value):
            raise UserError(f'--{name}={FLAGS[name].value}: a finite number is needed.')
    if not FLAGS.dataset or not FLAGS.to:
        raise UserError('--dataset and --to are needed.')
    asked = [
        name for name in _SOURCES if FLAGS[name].value is not None and FLAGS[name].value is not False
    ]
    if len(asked) != 1:
        valid = ', '.join(f'--{name}' for name in _SOURCES)
        said = ' and '.join(f'--{name}' for name in asked) or 'none'
        raise UserError(f'one source of rewards is needed, of {valid}; given: {said}.')
    for name, sources in _READ_BY.items():
        if FLAGS[name].present and asked[0] not in sources:
            raise UserError(
                f'--{name}={FLAGS[name].value} is read with '
                f'{" or ".join(f"--{each}" for each in sources)}, not with --{asked[0]}.'
            )
    # Rewards may take long: that there is a place for them is known before.
    with storage.claimed(FLAGS.to):
        pass
    cli.use_all_cores()
    dataset = loading.load(FLAGS.dataset)
    beside = loading.load(FLAGS.beside) if FLAGS.beside else None
    if beside is not None:
        relabelling.check_beside(dataset, beside)
    made = _SOURCES[asked[0]](dataset)
    command = shlex.join(['python', '-m', 'launch.relabel', *sys.argv[1:]])
    place = relabelling.write(dataset, made.rewards, FLAGS.to, made.how, command, beside)
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


def likeness(dataset: Dataset) -> Made:
    """By how near episodes are to demonstrations."""
    shown, said = _demonstrations(dataset)
    demonstrations.check_alike(dataset, shown)
    rewards = {
        'transport': demonstrations.transport_rewards, 'nearest': demonstrations.nearest_rewards
    }[FLAGS.likeness](dataset, shown)  # fmt: skip
    return Made(
        rewards,
        {'source': FLAGS.likeness, 'demonstrations': said, 'episodes': len(shown.episode_lengths)},
    )


def _demonstrations(dataset: Dataset) -> tuple[Dataset, str]:
    """The episodes that are named, and how they were."""
    name, _, numbers = (FLAGS.demonstrations or '').partition(':')
    if numbers and FLAGS.experts:
        raise UserError(
            f'--experts={FLAGS.experts} chooses by returns, --demonstrations={FLAGS.demonstrations} by '
            'numbers; one of the two is needed.'
        )
    if not (name or FLAGS.experts):
        raise UserError(
            '--likeness needs demonstrations: --experts=N for the episodes of highest return, or '
            '--demonstrations=ID:3,17 for those of these numbers.'
        )
    found = loading.load(name) if name else dataset
    if FLAGS.experts:
        kept = demonstrations.best_episodes(found, FLAGS.experts)
    elif numbers:
        kept = _episodes(numbers, found)
    else:
        return found, found.problem.name
    said = f'{found.problem.name}:{",".join(map(str, kept))}'
    return transforms.select(found, kept), said


def _episodes(numbers: str, dataset: Dataset) -> np.ndarray:
    count = len(dataset.episode_lengths)
    try:
        kept = sorted({int(number) for number in numbers.split(',')})
    except ValueError:
        kept = [-1]
    if kept[0] < 0 or kept[-1] >= count:
        raise UserError(
            f'--demonstrations={FLAGS.demonstrations}: numbers of episodes from 0 to {count - 1:,} are '
            'needed, as in ID:0,3.'
        )
    return np.array(kept)


def by_formula(dataset: Dataset) -> Made:
    """The log's rewards, shaped by a formula over observations."""
    potential = expressions.parse(FLAGS.potential, _entries(dataset))
    return _shaped(dataset, potential, 'formula', FLAGS.potential)


def _entries(dataset: Dataset) -> list[str]:
    """What a formula calls the entries of an observation."""
    name, task = dataset.problem.name, dataset.problem
    space = loading.open_source(get_dataset_path(name), name).observation_space
    names = flat.entries(space, task)
    return names if task.columns or task.observation_keys else [f'observation[{n}]' for n in names]


def by_run(dataset: Dataset) -> Made:
    """The log's rewards, shaped by what the critics of a finished run claim, on average."""
    found = policies.of_run(Path(FLAGS.potential_run))[0]
    policies.check(found, dataset)

    def potential(observations: np.ndarray) -> np.ndarray:
        return claims.of(found, observations).mean(axis=1)

    return _shaped(dataset, potential, 'run', FLAGS.potential_run)


def by_returns(dataset: Dataset) -> Made:
    """The log's rewards, shaped by what its episodes earned from about there on."""
    return _shaped(dataset, shaping.of_returns(dataset, FLAGS.gamma), 'returns', '')


def _shaped(dataset: Dataset, potential: shaping.Potential, kind: str, said: str) -> Made:
    gamma = FLAGS.gamma
    made = {'source': 'potential', 'potential': kind, 'gamma': gamma} | ({kind: said} if said else {})
    return Made(shaping.shaped(dataset, potential, gamma), made)


# By the flag that asks for it.
_SOURCES: dict[str, Callable[[Dataset], Made]] = {
    'constant': constant, 'reward_run': learned, 'likeness': likeness, 'potential': by_formula,
    'potential_run': by_run, 'potential_returns': by_returns,
}  # fmt: skip
# Flags that only some sources read.
_READ_BY = {
    'pessimism': ('reward_run',),
    'demonstrations': ('likeness',), 'experts': ('likeness',),
    'gamma': ('potential', 'potential_run', 'potential_returns'),
}  # fmt: skip

if __name__ == '__main__':
    flags.DEFINE_string('dataset', None, 'Minari id of the dataset')
    flags.DEFINE_string('to', None, 'Minari id to give to the new one')
    flags.DEFINE_string('beside', None, 'Minari id of a dataset whose episodes follow as they are')
    flags.DEFINE_float('constant', None, 'the reward of every step')
    flags.DEFINE_string('reward_run', None, 'directory of a run that learned rewards')
    flags.DEFINE_float(
        'pessimism', None, 'standard deviations of its networks to subtract, if not 0', lower_bound=0.0
    )
    flags.DEFINE_enum('likeness', None, ('transport', 'nearest'), 'to demonstrations, and how measured')
    flags.DEFINE_string(
        'demonstrations', None, 'Minari id, if not the same dataset; ID:0,3 for two of its episodes'
    )
    flags.DEFINE_integer('experts', None, 'demonstrations are so many of highest return', lower_bound=1)
    flags.DEFINE_string('potential', None, "formula that shapes the rewards, as in '-abs(age - 60)'")
    flags.DEFINE_string('potential_run', None, 'run whose claimed values shape the rewards')
    flags.DEFINE_bool('potential_returns', None, "shape the rewards by the log's own returns")
    flags.DEFINE_float('gamma', 0.99, 'the discount that learners will have', 0.0, 1.0)
    cli.start(main)

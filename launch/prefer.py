"""Makes a file of preferences among the segments of a dataset, or checks one that people made.

    python -m launch.prefer --dataset=clinic/visits-v0 --pairs=500 --teacher=noisy --output=prefs.csv
    python -m launch.prefer --dataset=clinic/visits-v0 --file=prefs.csv

A scripted teacher (data/teachers.py) compares segments by the dataset's own rewards. The file is a CSV
that a person can write (data/preferences.py). What is learned from one is launch.train's:

    python -m launch.train --config=launch/configs/preference_reward.py:log \\
        --config.dataset=clinic/visits-v0 --config.preferences=prefs.csv
    python -m launch.relabel --dataset=clinic/visits-v0 --reward_run=RUN --to=clinic/learned-v0

or, for a policy straight from them, launch/configs/cpl.py's.
"""

from pathlib import Path

import numpy as np
from absl import flags
from absl.flags import FLAGS

from data import disk, loading, preferences, teachers
from data.loading import Dataset
from data.teachers import TEACHERS
from data.types import Preferences
from launch import cli
from launch.cli import UserError


def main(argv: list[str]) -> None:
    """Makes a file or checks it, and says what is in it."""
    del argv
    if not FLAGS.dataset:
        raise UserError('whose segments? --dataset=ID says.')
    if bool(FLAGS.file) == bool(FLAGS.output):
        raise UserError('give --output=FILE to make preferences, or --file=FILE to check some.')
    if FLAGS.file:
        made_by = [name for name in ('pairs', 'length', 'teacher', 'seed') if FLAGS[name].present]
        if made_by:
            raise UserError(f'--{made_by[0]} makes preferences; those of --file are there.')
        path = Path(FLAGS.file)
        dataset = loading.load(FLAGS.dataset)
        stated = preferences.read(path, dataset)
    else:
        path = Path(FLAGS.output)
        if path.exists():
            raise UserError(f'--output={path} exists already; choose another file.')
        disk.check_file(path)
        dataset = loading.load(FLAGS.dataset)
        stated = scripted(dataset, FLAGS.teacher, FLAGS.pairs, FLAGS.length, FLAGS.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        preferences.write(path, stated, dataset)
    print('\n'.join(f'  {sentence}.' for sentence in sentences(dataset, stated)))
    print(f'{len(stated.label):,} preferences in {path}')


def scripted(dataset: Dataset, teacher: str, pairs: int, length: int, seed: int) -> Preferences:
    """What a scripted teacher prefers; the same for the same dataset and seed.

    Raises:
        DatasetError: the dataset has nothing to compare.
    """
    rng = np.random.default_rng(seed)
    return teachers.labelled(
        dataset, teachers.drawn(dataset, pairs, length, rng), TEACHERS[teacher], rng
    )


def sentences(dataset: Dataset, stated: Preferences) -> list[str]:
    """What is in preferences, and how far they are those of the dataset's own rewards."""
    number = {value: int(np.sum(stated.label == value)) for value in preferences.LABELS}
    shortest, longest = stated.length.min(), stated.length.max()
    steps = f'{shortest}' if shortest == longest else f'{shortest} to {longest}'
    first, second = teachers.returns(dataset, stated, 1.0).T
    said = [
        f'segments of {steps} steps, from {len(np.unique(stated.episode)):,} of '
        f'{len(dataset.episode_lengths):,} episodes',
        f'the first is better in {number[1.0]:,}, the second in {number[0.0]:,}, neither in '
        f'{number[0.5]:,}',
    ]
    told = (stated.label != 0.5) & (first != second)
    if told.any():
        agreed = np.mean((first > second)[told] == (stated.label > 0.5)[told])
        said.append(
            f"of {told.sum():,} with a better one, and with different returns, {agreed:.1%} are as the "
            "dataset's rewards have it"
        )
    return said


if __name__ == '__main__':
    flags.DEFINE_string('dataset', None, 'Minari id of the dataset')
    flags.DEFINE_integer('pairs', 500, 'how many pairs are compared', lower_bound=1)
    flags.DEFINE_integer(
        'length', 50, 'steps of a segment; a shorter episode is one', lower_bound=1
    )
    flags.DEFINE_enum('teacher', 'return', list(TEACHERS), 'who compares them')
    flags.DEFINE_integer('seed', 0, 'of the pairs and of the teacher', lower_bound=0)
    flags.DEFINE_string('output', None, 'file to write')
    flags.DEFINE_string('file', None, 'file to check')
    cli.start(main)

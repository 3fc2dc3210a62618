"""Turns a table of what happened into a Minari dataset, which needs no environment.

    python -m launch.ingest --file=visits.parquet --dataset=clinic/visits-v0 --episode=patient \\
        --order=visit --observations='age,lab_*' --action=treatment --reward=survived --end=terminated

A row is a decision. The file is Parquet, CSV (also .csv.gz), .npz or HDF5 of flat arrays, or a
directory of such, of any size. Nothing is filled in or turned into numbers unless a flag says how,
and what was done is printed. An original D4RL file is known by its layout, and may name its environment:

    python -m launch.ingest --file=hopper_medium-v2.hdf5 --env_id=Hopper-v5 \\
        --dataset=d4rl/hopper/medium-v2

Cells that are empty, NA, NaN or null are missing. The dataset appears when it is complete and
readable, or not at all.
"""

import math
import shlex
import sys
from pathlib import Path

from absl import flags
from absl.flags import FLAGS

from data.ingestion import d4rl, files, tables
from data.ingestion.d4rl import Bounds
from data.ingestion.roles import ACTIONS, ENDS, FILLS, Roles
from launch import cli
from launch.cli import UserError

_NEEDED = ('episode', 'observations', 'action', 'reward')
_NAMES = (
    'episode', 'reward', 'order', 'terminal', 'end', 'behaviour_probability', 'discount_time', 'fill',
    'actions_are',
)  # fmt: skip
_LISTS = ('observations', 'action', 'categories', 'times')


def main(argv: list[str]) -> None:
    """Ingests, and says what was done and where the dataset is."""
    del argv
    if not FLAGS.file or not FLAGS.dataset:
        raise UserError('--file and --dataset are needed.')
    path = Path(FLAGS.file)
    command = shlex.join(['python', '-m', 'launch.ingest', *sys.argv[1:]])
    bounds = Bounds(*(_numbers(flag) for flag in ('low', 'high')))
    said = [flag for flag in (*_NAMES, *_LISTS) if getattr(FLAGS, flag)]
    if FLAGS.env_id and bounds != d4rl.MEASURED:
        raise UserError(f'--low and --high: the bounds of actions are those of {FLAGS.env_id}.')
    if files.kind(path) == 'hdf5' and not said:
        place, notes = d4rl.convert(
            path, FLAGS.dataset, FLAGS.env_id or '', FLAGS.max_episode_steps, bounds, command
        )
    else:
        _check_flags(said)
        place, notes = tables.ingest(path, FLAGS.dataset, _roles(bounds), command)
    print('\n'.join(f'  {note}.' for note in notes))
    print(f'{FLAGS.dataset} is built: {place}')


def _check_flags(said: list[str]) -> None:
    for flag in ('env_id', 'max_episode_steps'):
        if getattr(FLAGS, flag) is not None:
            raise UserError(
                f'--{flag} is for HDF5 files in the layout of D4RL, ingested without '
                f'{" and ".join(f"--{each}" for each in said) or "naming columns"}; a table names no '
                'environment.'
            )
    observed = {'observations', 'categories', 'times'} & set(said)
    missing = [f'--{flag}' for flag in _NEEDED if flag not in said and not (
        flag == 'observations' and observed)]  # fmt: skip
    if missing:
        raise UserError(f'{" and ".join(missing)} must say which columns of the table these are.')


def _roles(bounds: Bounds) -> Roles:
    named = {flag: getattr(FLAGS, flag) or '' for flag in _NAMES}
    listed = {flag: _parts(flag) for flag in _LISTS}
    return Roles(**named, **listed, low=bounds.low, high=bounds.high)


def _parts(flag: str) -> tuple[str, ...]:
    return tuple(
        part for part in (each.strip() for each in (getattr(FLAGS, flag) or '').split(',')) if part
    )


def _numbers(flag: str) -> tuple[float, ...]:
    try:
        found = tuple(map(float, _parts(flag)))
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise UserError(
            f'--{flag}={getattr(FLAGS, flag)}: finite numbers are needed, as in --{flag}=-1,0.5.'
        )
    return found


if __name__ == '__main__':
    flags.DEFINE_string('file', None, 'table to read, or a directory of tables')
    flags.DEFINE_string('dataset', None, 'Minari id to give it')
    flags.DEFINE_string('episode', None, 'column: whose row it is')
    flags.DEFINE_string('order', None, 'column of numbers or times: orders the rows of an episode')
    flags.DEFINE_string('observations', None, "columns of numbers, as in 'age,lab_*'")
    flags.DEFINE_string('action', None, 'column of labels or amounts; or several of numbers')
    flags.DEFINE_string('reward', None, 'column of numbers')
    flags.DEFINE_string('terminal', None, 'column that is 1 in the row that ends an episode')
    flags.DEFINE_enum('end', None, ENDS, 'how the last row of every episode ends it')
    flags.DEFINE_string('behaviour_probability', None, 'column: of the action that was taken')
    flags.DEFINE_string('discount_time', None, 'column of times that discounts count')
    flags.DEFINE_enum('fill', None, FILLS, 'what a missing observation is')
    flags.DEFINE_string('categories', None, 'columns observed as an entry of 0 and 1 per category')
    flags.DEFINE_string('times', None, 'columns observed as days since the earliest')
    flags.DEFINE_enum('actions_are', None, ACTIONS, 'where the columns do not tell')
    flags.DEFINE_string('low', None, 'lower bounds of continuous actions: one, or one per column')
    flags.DEFINE_string('high', None, 'upper bounds')
    flags.DEFINE_string(
        'env_id', None, 'of D4RL files: gymnasium id of the environment to evaluate in'
    )
    flags.DEFINE_integer(
        'max_episode_steps',
        None,
        'of D4RL files without timeouts: where episodes were cut',
        lower_bound=1,
    )
    cli.start(main)

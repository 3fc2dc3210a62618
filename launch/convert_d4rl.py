"""Turns an original D4RL file into a Minari dataset.

    python -m launch.convert_d4rl --file=hopper_medium-v2.hdf5 --env_id=Hopper-v5 \\
        --dataset=d4rl/hopper/medium-v2

For the tasks whose observations are plain vectors today as they were then: Hopper, HalfCheetah,
Walker2d, Adroit. The dataset appears when it is complete and readable, or not at all.
"""

from pathlib import Path

from absl import flags
from absl.flags import FLAGS

from data import d4rl
from launch import cli
from launch.cli import UserError


def main(argv: list[str]) -> None:
    """Converts and says where the dataset is."""
    del argv
    if None in (FLAGS.file, FLAGS.dataset, FLAGS.env_id):
        raise UserError('--file, --dataset and --env_id are all needed.')
    path = d4rl.convert(Path(FLAGS.file), FLAGS.dataset, FLAGS.env_id, FLAGS.max_episode_steps)
    print(f'{FLAGS.dataset} is built: {path}')


if __name__ == '__main__':
    flags.DEFINE_string('file', None, 'D4RL file (HDF5)')
    flags.DEFINE_string('dataset', None, 'Minari id to give it')
    flags.DEFINE_string('env_id', None, 'gymnasium id of the environment to evaluate in')
    flags.DEFINE_integer(
        'max_episode_steps', None, 'where a file without timeouts cut its episodes', lower_bound=1
    )
    cli.start(main)

"""Films an episode of a log as it was, from the states of MuJoCo that its infos keep.

    python -m launch.replay --dataset=local/kitchen/complete-v0 --episode=3 --video=chores.mp4
"""

from pathlib import Path

from absl import flags
from absl.flags import FLAGS

from data import loading
from launch import cli
from launch.cli import UserError
from launch.run import films


def main(argv: list[str]) -> None:
    """Draws, writes, and says where the video is."""
    del argv
    if not FLAGS.dataset or not FLAGS.video:
        raise UserError('--dataset and --video are needed.')
    place = films.prepared(Path(FLAGS.video))
    dataset = loading.load(FLAGS.dataset)
    films.write(place, lambda: films.of_log(dataset, FLAGS.episode))


if __name__ == '__main__':
    flags.DEFINE_string('dataset', None, 'Minari id of the dataset')
    flags.DEFINE_integer('episode', 0, 'its number, as recorded', lower_bound=0)
    flags.DEFINE_string('video', None, '.mp4 or .gif to write')
    cli.start(main)

"""Runs on one dataset side by side: one table, one figure.

    python -m launch.compare launch/configs/bc.py:sepsis launch/configs/iql.py:sepsis
    python -m launch.compare RUN_DIRECTORY ... --output=comparison.png

Each argument is a finished run's directory, or a config file with its domain, which is then run (or
found finished, if it was run before).
"""

from pathlib import Path

from absl import flags
from absl.flags import FLAGS

from launch import cli, report, run_directory, train
from launch.cli import UserError


def main(argv: list[str]) -> None:
    """Runs what is to be run, prints the table and draws the figure."""
    cli.use_all_cores()
    if len(argv) < 2:
        raise UserError('what is to be compared? Name run directories or config files.')
    output = Path(FLAGS.output)
    if not output.parent.is_dir():
        raise UserError(f'--output={output}: there is no directory {output.parent}.')
    paths = [_finished_run(argument) for argument in argv[1:]]
    summaries = run_directory.summaries(paths)
    report.present(summaries, output)


def _finished_run(argument: str) -> Path:
    if Path(argument).is_dir():
        return Path(argument)
    config = cli.load_config(argument)
    if FLAGS.num_updates:
        config.num_updates = FLAGS.num_updates
    if FLAGS.num_seeds:
        config.num_seeds = FLAGS.num_seeds
    if FLAGS.dataset:
        config.dataset = FLAGS.dataset
    return train.train(config)


if __name__ == '__main__':
    flags.DEFINE_string('output', 'comparison.png', 'PNG to write')
    flags.DEFINE_integer(
        'num_updates', None, 'updates of the configs, if not their own', lower_bound=1
    )
    flags.DEFINE_integer(
        'num_seeds', None, 'seeds of the configs, if not their own', lower_bound=1
    )
    flags.DEFINE_string('dataset', None, 'dataset of the configs, if not their own')
    cli.run(main)

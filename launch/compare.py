"""Runs on one dataset side by side: one table, one figure.

    python -m launch.compare launch/configs/bc.py:sepsis launch/configs/iql.py:sepsis
    python -m launch.compare RUN_DIRECTORY ... --output=comparison.png

Each argument is a finished run's directory, or a config file with its domain, which is then run (or
found finished, if it was run before).
"""

from pathlib import Path

from absl import flags
from absl.flags import FLAGS
from ml_collections import ConfigDict

from launch import cli, train
from launch.cli import UserError
from launch.configs import as_python
from launch.report import figures, finished


def main(argv: list[str]) -> None:
    """Runs what is to be run, prints the table and draws the figure."""
    cli.use_all_cores()
    if len(argv) < 2:
        raise UserError('what is to be compared? Name run directories or config files.')
    output = Path(FLAGS.output)
    if not output.parent.is_dir():
        raise UserError(f'--output={output}: there is no directory {output.parent}.')
    figures.check(output)
    found = [Path(each) if Path(each).is_dir() else _config(each) for each in argv[1:]]
    if FLAGS.print_config:
        for argument, each in zip(argv[1:], found):
            if not isinstance(each, Path):
                print(f'# {argument}\n{as_python(each)}\n')
        return
    paths = [each if isinstance(each, Path) else train.train(each) for each in found]
    finished.present(paths, output)


def _config(argument: str) -> ConfigDict:
    config = cli.load_config(argument)
    # A value of the wrong type is found by train.validate.
    with config.ignore_type():
        for key in ('num_updates', 'num_seeds', 'dataset'):
            if FLAGS[key].value:
                config[key] = FLAGS[key].value
    train.validate(config)
    return config


if __name__ == '__main__':
    flags.DEFINE_string('output', 'comparison.png', 'PNG to write')
    flags.DEFINE_integer(
        'num_updates', None, 'updates of the configs, if not their own', lower_bound=1
    )
    flags.DEFINE_integer(
        'num_seeds', None, 'seeds of the configs, if not their own', lower_bound=1
    )
    flags.DEFINE_string('dataset', None, 'dataset of the configs, if not their own')
    flags.DEFINE_bool('print_config', False, 'print the merged configs and stop')
    cli.start(main, with_arguments=True)

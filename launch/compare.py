"""Runs on one dataset side by side: one table, one figure.

    python -m launch.compare launch/configs/bc.py:sepsis launch/configs/iql.py:sepsis
    python -m launch.compare RUN_DIRECTORY ... --output=comparison.png

Each argument is a finished run's directory, or a config file with its domain, which is then run (or
found finished, if it was run before).
"""

import json
from pathlib import Path

from absl import flags

from launch import cli, report, run_directory, train
from launch.cli import UserError

_OUTPUT = flags.DEFINE_string('output', 'comparison.png', 'PNG to write')
_NUM_UPDATES = flags.DEFINE_integer(
    'num_updates', None, 'updates of the configs, if not their own', lower_bound=1
)
_NUM_SEEDS = flags.DEFINE_integer(
    'num_seeds', None, 'seeds of the configs, if not their own', lower_bound=1
)
_DATASET = flags.DEFINE_string('dataset', None, 'dataset of the configs, if not their own')


def main(argv: list[str]) -> None:
    """Runs what is to be run, prints the table and draws the figure."""
    cli.use_all_cores()
    if len(argv) < 2:
        raise UserError('what is to be compared? Name run directories or config files.')
    output = Path(_OUTPUT.value)
    if not output.parent.is_dir():
        raise UserError(f'--output={output}: there is no directory {output.parent}.')
    paths = [_finished_run(argument) for argument in argv[1:]]
    summaries = {}
    for path in paths:
        title = run_directory.load_config(path).algorithm.upper().replace('_', ' ')
        summaries[title if title not in summaries else str(path)] = _summary(path)
    datasets = {summary['dataset'] for summary in summaries.values()}
    if len(datasets) > 1:
        raise UserError(f'the runs are on different datasets: {", ".join(sorted(datasets))}.')
    print(f'\n{datasets.pop()}\n\n{report.table(summaries)}')
    report.draw_comparison(summaries, output)
    print(f'\nFigure: {output}')


def _finished_run(argument: str) -> Path:
    if Path(argument).is_dir():
        return Path(argument)
    config = cli.load_config(argument)
    if _NUM_UPDATES.value:
        config.num_updates = _NUM_UPDATES.value
    if _NUM_SEEDS.value:
        config.num_seeds = _NUM_SEEDS.value
    if _DATASET.value:
        config.dataset = _DATASET.value
    return train.train(config)


def _summary(path: Path) -> dict:
    file = path / 'summary.json'
    if not file.exists():
        run_directory.load_config(path)
        raise UserError(f'{path} is not finished: there is no {file.name} in it.')
    return json.loads(file.read_text())


if __name__ == '__main__':
    cli.run(main)

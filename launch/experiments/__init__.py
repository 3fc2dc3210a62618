"""Statements of the field that are shown here rather than repeated, one file each.

    python -m launch.experiments.case_files

Each file owns its configs: it trains them, or finds them trained, and ends with a table and a figure in
notebooks/results.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from data import loading, relabelling
from data.loading import Dataset
from data.recipes import storage
from launch import cli, train, train_online
from launch.cli import UserError
from launch.report import figures, finished, kept_scores
from launch.run import directory

RESULTS = Path(__file__).parents[2] / 'notebooks' / 'results'


def asked_for(named: Sequence[str], there_are: Iterable[str], what: str) -> list[str]:
    """What was named, or, if nothing was, all that there is; each once, in the order of `there_are`.

    Args:
        named: the program's arguments.
        there_are: their valid values.
        what: one of them is, in a word.

    Raises:
        UserError: one is not among them.
    """
    valid = list(dict.fromkeys(there_are))
    if unknown := set(named) - set(valid):
        raise UserError(f'there is no {what} {min(unknown)!r} here; valid: {", ".join(valid)}.')
    return [name for name in valid if not named or name in named]


def trained(config: ConfigDict) -> Path:
    """The directory of a config's finished run, trained now if it was not before."""
    learns_online = 'from_run' in config
    return train_online.train_online(config) if learns_online else train.train(config)


def scored(
    configs: Iterable[ConfigDict], names: Sequence[str], file: Path
) -> tuple[dict[kept_scores.Cell, kept_scores.Curve], dict[kept_scores.Cell, Path]]:
    """Trains the named algorithms, or all, and keeps what their seeds score beside that of the others.

    Args:
        configs: of algorithms on datasets, each pair once, of which every member differs in its seed.
        names: of algorithms, as tables print them.
        file: of launch.report.kept_scores, added to after every run.

    Returns:
        what the file has of the configs, in their order; and the directories of the runs.

    Raises:
        UserError: a name is of none of the configs, or the file is damaged.
    """
    cells = {(config.dataset, directory.title(config)): config for config in configs}
    asked = asked_for(names, (name for _, name in cells), 'algorithm')
    # A damaged file is refused before the work.
    kept, runs = kept_scores.read(file), {}
    for cell, config in cells.items():
        if cell[1] in asked:
            runs[cell] = trained(config)
            kept = kept_scores.add({cell: kept_scores.of_run(runs[cell])}, file, cells)
    return {cell: kept[cell] for cell in cells if cell in kept}, runs


def relabelled(
    dataset_id: str, to: str, make: Callable[[Dataset], np.ndarray], source: str
) -> str:
    """A dataset with other rewards, written now if it was not before; its id.

    Args:
        dataset_id: of the one with the old rewards.
        to: the id of the new one.
        make: the rewards of all steps, (N,).
        source: where they are from, for the new one's metadata.
    """
    if not storage.is_stored(to):
        dataset = loading.load(dataset_id)
        relabelling.write(dataset, make(dataset), to, {'source': source}, ' '.join(sys.argv))
    return to


def figure(name: str) -> Path:
    """Where an experiment's figure goes, tried before the work that it shows."""
    path = RESULTS / name
    figures.check(path)
    return path


def published(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV of published numbers, whose comments say where they are from."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith('#')]
    return list(csv.DictReader(lines))


def compare(configs: list[ConfigDict], name: str) -> None:
    """Trains all configs, prints their table and draws what they earn and claim.

    Args:
        configs: on one dataset.
        name: of the PNG in notebooks/results.
    """
    path = figure(name)
    finished.present([trained(config) for config in configs], path)


def start(main: Callable[..., None], with_arguments: bool = False) -> None:
    """Starts an experiment as a program.

    Args:
        main: takes the list of arguments, if there may be any, else nothing.
        with_arguments: whether there may be arguments that are no flags.
    """

    def begin(argv: list[str]) -> None:
        cli.use_all_cores()
        main(*([argv[1:]] if with_arguments else []))

    cli.start(begin, with_arguments)

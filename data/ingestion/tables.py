"""A table on disk becomes a Minari dataset without an environment.

It is read once, in blocks. Its cells go to files beside the dataset; what is kept in memory are the
numbers of its rows in their order, a mark or two of each, and the names of the episodes.
"""

import shutil
from pathlib import Path

import gymnasium as gym
import numpy as np
from tqdm import tqdm

from data import loading
from data.columns import METADATA, Columns
from data.ingestion import choices, features, roles
from data.ingestion.cells import LARGEST_FLOAT64, Codes, Numbers
from data.ingestion.choices import Readers
from data.ingestion.episodes import Ends, Order, buffers, durations, ends, sort
from data.ingestion.files import open_table
from data.ingestion.formats import Table
from data.ingestion.roles import Roles
from data.loading import DURATION, LOG_PROB
from data.precision import LARGEST
from data.recipes import storage
from data.types import DatasetError


def ingest(path: Path, dataset_id: str, wanted: Roles, command: str) -> tuple[Path, list[str]]:
    """Writes the dataset, all or nothing.

    Args:
        path: of a table, or of a directory of equal ones.
        dataset_id: to give to the dataset.
        wanted: what its columns are.
        command: line that asks for this, kept with the dataset.

    Returns:
        The dataset's directory, and what was done and lost on the way, a sentence each.

    Raises:
        DatasetError: the id cannot be given, or the table cannot be used as asked.
    """
    with storage.claimed(dataset_id) as place:
        table = open_table(path)
        found = roles.resolve(wanted, table)
        with storage.appearing(place) as data_path:
            scratch = data_path.with_name('scratch')
            scratch.mkdir()
            columns = _write(table, found, scratch, data_path, dataset_id, command)
            shutil.rmtree(scratch)
            # What cannot be loaded does not appear.
            loading.read(data_path.parent, dataset_id)
    return place, list(columns.notes)


class _Readers:
    """A reader for each thing that a table holds."""

    def __init__(self, found: Roles, scratch: Path):
        def numbers(name: str, times: bool | None = False) -> Numbers | None:
            return (
                Numbers(name, scratch / f'role-{len(self.singles)}', times=times) if name else None
            )

        self.singles: list[Codes | Numbers | None] = []
        self.episode = Codes(found.episode, scratch / 'episode')
        for flag, times in (('reward', False), ('terminal', False), ('behaviour_probability', False),
                            ('order', None), ('discount_time', None)):  # fmt: skip
            self.singles.append(numbers(getattr(found, flag), times))
        self.reward, self.terminal, self.probability, self.order, self.time = self.singles
        self.actions: Readers = choices.open_columns(found, scratch)
        self.observations = features.open_columns(found, scratch)

    def all(self) -> list[Codes | Numbers]:
        singles = [self.episode, *(reader for reader in self.singles if reader)]
        return [*singles, *self.actions.all(), *self.observations.values()]


def _write(
    table: Table, found: Roles, scratch: Path, data_path: Path, dataset_id: str, command: str
) -> Columns:
    """Reads, checks, sorts and writes the table."""
    readers = _Readers(found, scratch)
    _read(table, readers, found.columns)
    _check(readers, found, table.path)
    order = sort(readers.episode, readers.order, table.path)
    ended = ends(order, readers.terminal, found.end, readers.episode, table.path)
    chosen = choices.choose(readers.actions, found, ended.kept, table.path)
    observed = features.Observations(readers.observations, found.fill, order)
    infos = {}
    if readers.probability:
        _check_probabilities(readers.probability, chosen.space, ended.kept, table.path)
        infos[LOG_PROB] = lambda rows: np.log(readers.probability.spool.take(rows))
    if readers.time:
        lasting = durations(order, readers.time, readers.episode, table.path)
        infos[DURATION] = lambda rows: lasting[rows]
    size = len(observed.features)
    kept = Columns(
        observed.features, found.action, chosen.labels, found.episode, found.reward,
        order=found.order, duration=found.discount_time,
        notes=(*_size(order, ended, readers), *_of_steps(readers), *chosen.notes, *observed.notes,
               *(f'WARNING: {each}' for each in (*chosen.warnings, *observed.warnings,
                                                 *readers.reward.rounding.sentences(
                                                     [readers.reward.name], 'reward')))),
    )  # fmt: skip
    episodes = buffers(
        order, ended, size, observed.matrix, chosen.values, readers.reward.spool.take, infos
    )
    storage.write(
        data_path,
        (gym.spaces.Box(-np.inf, np.inf, (size,), np.float32), chosen.space),
        tqdm(episodes, f'writing {dataset_id}', len(order.offsets) - 1, unit=' episodes'),
        {
            'dataset_id': dataset_id,
            'description': f'ingested from {table.path.name}',
            'code_permalink': command,
            METADATA: kept.to_json(),
        },
    )
    return kept


def _size(order: Order, ended: Ends, readers: _Readers) -> list[str]:
    """What became of the rows."""
    lengths, rows = np.diff(order.offsets), len(order.rows)
    lone = int(np.count_nonzero((lengths == 1) & ~ended.terminated))
    steps, cut = int(np.count_nonzero(ended.kept)), int(np.count_nonzero(~ended.terminated))
    said = [
        f'{rows:,} rows: {steps:,} steps in {len(lengths) - lone:,} episodes, '
        f'{int(ended.terminated.sum()):,} of which terminated'
    ]
    if cut:
        left_out = readers.reward.spool.take(slice(None))[~ended.kept]
        said.append(
            f'{cut:,} episodes are truncated: what followed their last row is not recorded, so that it '
            f'only closes the episode; its action and its reward are left out, a reward of '
            f'{left_out.sum():,.6g} in all ({np.count_nonzero(left_out):,} of these rows have one)'
        )
    if lone:
        said.append(
            f'WARNING: {lone:,} truncated episodes of a single row hold no step and are left out'
        )
    return said


def _of_steps(readers: _Readers) -> list[str]:
    """What is kept beside the steps."""
    said = []
    if readers.probability:
        said.append(f'{readers.probability.name}: its logarithm is kept with each step')
    if readers.time:
        unit = 'days' if readers.time.times else 'units'
        said.append(
            f'{readers.time.name}: a step lasts as many of its {unit} as pass to the next row'
        )
    return said


def _read(table: Table, readers: _Readers, names: tuple[str, ...]) -> int:
    """Reads all rows; returns how many there are."""
    count = 0
    with tqdm(
        total=table.size, unit='B', unit_scale=True, desc=f'reading {table.path.name}'
    ) as progress:
        for block in table.blocks(names):
            for reader in readers.all():
                reader.add(block)
            count += len(block.columns[names[0]])
            progress.update(block.position - progress.n)
    if not count:
        raise DatasetError(f'{table.path}: it has columns and no rows.')
    return count


def _check_marks(terminal: Numbers, where: Path) -> None:
    values = terminal.spool.take(slice(None))
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        raise DatasetError(
            f'{where}: the column {terminal.name!r} (--terminal) must hold 0 and 1, or true and false; '
            f'it is {values[wrong.argmax()]:g} in row {wrong.argmax() + 1:,} of all.'
        )


def _check(readers: _Readers, found: Roles, where: Path) -> None:
    """Refuses cells that cannot be used in whatever is no observation."""
    singles = {'episode': readers.episode, 'order': readers.order, 'reward': readers.reward,
               'terminal': readers.terminal, 'behaviour_probability': readers.probability,
               'discount_time': readers.time}  # fmt: skip
    for flag, reader in (*singles.items(), *(('action', each) for each in readers.actions.all())):
        if reader is None:
            continue
        if 'missing' in reader.troubles:
            trouble = reader.troubles['missing']
            raise DatasetError(
                f'{where}: the column {reader.name!r} (--{flag}) is missing in {trouble.count:,} rows, '
                f'the first is {trouble.where}; complete these rows, or leave their episodes out.'
            )
        kinds = () if flag == 'action' else ('text', 'times', 'untimely', 'type', 'infinite')
        for kind in kinds:
            if kind in reader.troubles:
                _refuse(flag, reader, kind, where)
    features.check(readers.observations, found.fill, where)
    if readers.terminal:
        _check_marks(readers.terminal, where)
    for flag in ('order', 'discount_time'):
        reader = singles[flag]
        if reader and reader.largest >= LARGEST_FLOAT64:
            raise DatasetError(
                f'{where}: {reader.name!r} (--{flag}) holds numbers beyond 2**53, whose last digits '
                'would be lost: subtract or divide by a constant.'
            )
    if readers.reward.largest > LARGEST:
        raise DatasetError(
            f'{where}: the reward {readers.reward.name!r} is beyond float32: scale it.'
        )


def _refuse(flag: str, reader: Codes | Numbers, kind: str, where: Path) -> None:
    trouble = reader.troubles[kind]
    needed = 'numbers'
    if flag in ('order', 'discount_time'):
        needed = (
            'times in ISO 8601 like those before'
            if reader.times
            else 'numbers, or times in ISO 8601'
        )
    if flag == 'episode':
        needed = 'either text or numbers'
    if flag == 'terminal':
        needed = '0 and 1, or true and false'
    raise DatasetError(
        f'{where}: the column {reader.name!r} (--{flag}) must hold {"finite " * (kind == "infinite")}'
        f'{needed}; {trouble.where} has {str(trouble.example)[:60]!r}, and {trouble.count:,} rows in '
        'all are like it.'
    )


def _check_probabilities(
    probability: Numbers, space: gym.Space, kept: np.ndarray, where: Path
) -> None:
    """A density may be above 1, a probability may not; neither may be 0 where the action was taken."""
    most = 1.0 if isinstance(space, gym.spaces.Discrete) else np.inf
    values = probability.spool.take(slice(None))
    wrong = kept & ~((values > 0) & (values <= most))
    if wrong.any():
        row = int(wrong.argmax())
        needed = 'in (0, 1]' if most == 1 else 'above 0, as densities of continuous actions are'
        raise DatasetError(
            f'{where}: {probability.name!r} (--behaviour_probability) must be {needed}; it is '
            f'{values[row]:g} in row {row + 1:,} of all, and wrong in {np.count_nonzero(wrong):,} rows.'
        )

"""metrics.jsonl: a row for every member after every chunk of updates, and for every evaluation."""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data import disk
from launch.cli import UserError
from launch.run import documents
from launch.run.checkpoints import Checkpoints
from launch.run.members import Member

_FILE = 'metrics.jsonl'
_ROW = {
    'step': int, 'event': str, 'member': int, 'seed': int, 'setting': {'*': documents.NUMBER},
    'measures': {'*': documents.NUMBER},
}  # fmt: skip


def row(
    event: str, index: int, member: Member, step: int, measures: dict[str, float]
) -> dict[str, Any]:
    """What metrics.jsonl holds of a member at a step; event is 'training' or 'evaluation'."""
    return {
        'step': step,
        'event': event,
        'member': index,
        'seed': member.seed,
        'setting': member.setting,
        'measures': {name: float(value) for name, value in measures.items()},
    }


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a run directory's metrics.jsonl; a last line cut by a kill is left out.

    Raises:
        UserError: another line is no row.
    """
    file = path / _FILE
    return list(_rows(file, _written(file)))


def _written(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b''


def _rows(file: Path, written: bytes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(written.split(b'\n')[:-1], 1):
        yield _parsed(file, number, line)


def _parsed(file: Path, number: int, line: bytes) -> dict[str, Any]:
    where = f'{file}, line {number},'
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f'{where} is damaged: it is no JSON ({error}).') from error
    return documents.check(where, content, _ROW)


def rewind(path: Path, checkpoints: Checkpoints) -> None:
    """Goes back to the last checkpoint up to which no row is lost or changed, or to the start.

    Later rows, of a killed run, and later checkpoints, from which no run could be finished, are removed.

    Raises:
        UserError: it would be the start, of a run that has been at its end.
    """
    file, gone = path / _FILE, []
    written = _written(file)
    for step in reversed(checkpoints.steps()):
        mark = checkpoints.mark(step) or _mark_up_to(file, written, step)
        if mark and _mark(written[: mark['bytes']]) == mark:
            break
        gone.append(step)
    else:
        step, mark = 0, _mark(b'')
    if gone:
        said = f'{file} has lost rows before step {gone[-1]:,}, or they have changed'
        if not step and any(path.glob('summary*.json')):
            raise UserError(
                f'{said}: {path} has no checkpoint to go on from; restore it from a copy, or train from '
                'the start in another config.run_dir.'
            )
        where = f'its checkpoint after {step:,}' if step else 'its start'
        print(f'{said}: {path} goes back to {where}.')
    for each in gone:
        checkpoints.delete(each)
    if len(written) > mark['bytes']:
        os.truncate(file, mark['bytes'])


def _mark(written: bytes) -> dict[str, int]:
    """By what rows are known to be those that a checkpoint was made after."""
    return {'bytes': len(written), 'crc32': zlib.crc32(written)}


def _mark_up_to(file: Path, written: bytes, step: int) -> dict[str, int] | None:
    """That of the rows up to a step, where a checkpoint has none; None if they do not reach it whole."""
    last, end = None, 0
    try:
        for number, line in enumerate(written.split(b'\n')[:-1], 1):
            row = _parsed(file, number, line)
            if row['step'] > step:
                break
            last, end = row, end + len(line) + 1
    except UserError:
        return None
    whole = last and (last['event'], last['step']) == ('evaluation', step)
    return _mark(written[:end]) if whole else None


def curve(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps (evaluations,) and the members' scores (evaluations, members) of a run directory.

    Raises:
        UserError: it holds no evaluations, or not all.
    """
    rows = [each for each in read(path) if each['event'] == 'evaluation']
    if not rows:
        raise UserError(f'{path} holds no evaluations.')
    steps = sorted({each['step'] for each in rows})
    members = sorted({each['member'] for each in rows})
    found = {(each['step'], each['member']): each['measures'].get('score') for each in rows}
    for step in steps:
        for member in members:
            if found.get((step, member)) is None:
                raise UserError(f'{path / _FILE} has no score of member {member} at step {step}.')
    return np.array(steps), np.array([[found[step, m] for m in members] for step in steps])


class Unwritten:
    """The log of a process that leaves it to the first."""

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Writes nothing."""


class MetricsLog:
    """metrics.jsonl and TensorBoard, and W&B if asked for.

    Attributes:
        judged: step of the last evaluation that was there when it was opened; 0 without any.
    """

    def __init__(self, path: Path, first_step: int, wandb_config: dict[str, Any] | None = None):
        """Args: the run, the steps done (rows of later ones are gone: `rewind`), W&B's config."""
        from tensorboardX import SummaryWriter

        self._file = path / _FILE
        written = _written(self._file)
        self._mark, rows = _mark(written), _rows(self._file, written)
        self.judged = max((each['step'] for each in rows if each['event'] == 'evaluation'), default=0)
        self._writer = SummaryWriter(str(path / 'tensorboard'), purge_step=first_step + 1)
        self._wandb = None
        if wandb_config is not None:
            try:
                import wandb
            except ImportError as error:
                raise UserError(
                    "config.wandb needs the package wandb: pip install -e '.[wandb]'."
                ) from error
            self._wandb = wandb.init(
                project='offline-rl-jax',
                id=hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16],
                resume='allow',
                config=wandb_config,
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._writer.close()
        if self._wandb:
            self._wandb.finish()

    @property
    def mark(self) -> dict[str, int]:
        """Of all that is written, for a checkpoint to keep."""
        return self._mark

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows of {'step', 'event', 'member', 'seed', 'setting', 'measures'}."""
        added = ''.join(documents.dumps(each) + '\n' for each in rows).encode()
        with disk.writing(self._file), self._file.open('ab') as file:
            file.write(added)
        crc = zlib.crc32(added, self._mark['crc32'])
        self._mark = {'bytes': self._mark['bytes'] + len(added), 'crc32': crc}
        for each in rows:
            scalars = {
                f'{each["event"]}/{name}/member{each["member"]}': value
                for name, value in each['measures'].items()
                if np.isfinite(value)
            }
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, each['step'])
            if self._wandb:
                self._wandb.log(scalars | {'step': each['step']})
        self._writer.flush()

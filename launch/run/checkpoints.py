"""What a run goes on from: checkpoints/STEP in its directory, written by orbax.

Every array has a leading axis of members, each of them once: what fills the mesh of a machine's devices
(learners) is added where a checkpoint is restored, on however many devices of whatever kind. Beside the
arrays, a checkpoint says which part of metrics.jsonl it was made after (metrics.rewind), and
checkpoints/STEP/files.json how long its files are and what their checksums were. Several processes save
one checkpoint together, each the rows that are on its devices, and all read the whole of it.
"""

import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import LatestN
from orbax.checkpoint.options import MultiprocessingOptions

from data import disk
from data.types import Array
from launch.cli import UserError
from launch.run import documents, processes, spread

_FOLDER, _FILES, _MARK = 'checkpoints', 'files.json', 'mark'
# Seconds in which the removal of a save comes to its end.
_REMOVAL = 0.5


class Damaged(UserError):
    """A checkpoint that cannot be read."""


def steps(path: Path) -> list[int]:
    """After how many updates the checkpoints in a run directory were made, the oldest first."""
    # orbax gives a checkpoint this name when it is whole.
    there = (path / _FOLDER).glob('[0-9]*')
    return sorted(int(entry.name) for entry in there if entry.name.isdecimal())


class Checkpoints:
    """The states of all members at the last evaluations; each save is all or nothing.

    Only `save` and `delete` change what is there: a run can be read while it is trained.
    """

    def __init__(self, path: Path, num_members: int, keep: int = 1):
        """Args: the run directory, the run's members, and how many of the last saves stay."""
        self._run, self._path = path, path / _FOLDER
        self._num_members, self._keep = num_members, keep

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        # Made by whoever writes alone: it removes what it takes for the leftovers of another.
        self._path.mkdir(parents=True, exist_ok=True)
        return self._managed_by(range(jax.process_count()))

    def _managed_by(self, numbers: Iterable[int]) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self._path.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=LatestN(self._keep), enable_async_checkpointing=False, create=False,
                multiprocessing_options=MultiprocessingOptions(active_processes=set(numbers)),
            ),
        )  # fmt: skip

    def latest(self) -> int | None:
        """Updates done at the last save, None before the first."""
        return max(self.steps(), default=None)

    def steps(self) -> list[int]:
        """Those of all saves that are kept, the oldest first."""
        return steps(self._run)

    def save(self, step: int, mark: dict[str, int], **trees: Any) -> None:
        """Saves named trees of arrays, `states` among them, after `step` updates or steps.

        All processes of a run do so at once.

        Args:
            step: done by each member.
            mark: what to know of the run's metrics at this step.
            trees: of arrays with a leading axis of members, and of what fills the mesh after them.
        """
        items = {
            name: ocp.args.StandardSave(jax.tree.map(self._members, _storable(tree)))
            for name, tree in trees.items()
        }
        items[_MARK] = ocp.args.JsonSave(mark)
        with disk.writing(self._path):
            self._manager.save(step, args=ocp.args.Composite(**items))
        if not processes.is_first():
            return
        folder = self._path / str(step)
        files = sorted(file for file in folder.rglob('*') if file.is_file())
        measured = {str(file.relative_to(folder)): _measure(file) for file in files}
        documents.write(folder / _FILES, measured)

    def _members(self, array: Array) -> Array:
        """An array without what fills the mesh."""
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            # Of one that is divided evenly, each process writes what it has.
            if len(array) == self._num_members:
                return array
            array = spread.whole(array)
        return np.asarray(array)[: self._num_members]

    def delete(self, step: int) -> None:
        """Removes a save; done by one process alone."""
        self._managed_by([jax.process_index()]).delete(step)

    def mark(self, step: int) -> dict[str, int] | None:
        """What a save knows of the run's metrics; None if it was made before they were marked."""
        file = self._path / str(step) / _MARK / 'metadata'
        return documents.read(file, {'bytes': int, 'crc32': int}) if file.exists() else None

    def restore_latest(self, **trees: Any) -> tuple[int, dict[str, Any]]:
        """The last save that there is, its step first; as `restore`.

        A run that is being trained may replace it meanwhile: then the next one is taken.
        """
        while True:
            step = self.latest()
            if step is None:
                raise UserError(f'{self._run} has no checkpoint yet.')
            try:
                return step, self.restore(step, **trees)
            except Damaged:
                if self.latest() == step:
                    raise

    def restore_all(self, **trees: Any) -> list[tuple[int, dict[str, Any]]]:
        """Each save that is kept, the oldest first, but for those that go meanwhile in a running run."""
        found, failed = [], {}
        # The last one stays for longest.
        for step in reversed(self.steps()):
            try:
                found.append((step, self.restore(step, **trees)))
            except Damaged as error:
                failed[step] = error
        if failed:
            time.sleep(_REMOVAL)
        for step, error in failed.items():
            if step in self.steps():
                raise error
        return found[::-1] or [self.restore_latest(**trees)]

    def restore(self, step: int, **trees: Any) -> dict[str, Any]:
        """What was saved after a step, by name, with the structure and placement of what is given.

        Args:
            step: of a save that is kept.
            trees: by the names that they were saved with, members filled up to the mesh.

        Raises:
            UserError: the checkpoint is of other arrays.
            Damaged: its files are not what was saved.
        """
        folder = self._path / str(step)
        self._check_files(folder, set(trees))
        return {name: self._restore(folder, name, tree) for name, tree in trees.items()}

    def _restore(self, folder: Path, name: str, tree: Any) -> Any:
        plain = _storable(tree)
        try:
            handler, item = ocp.StandardCheckpointHandler(), (folder / name).absolute()
            stored = {each.name: each for each in jax.tree.leaves(handler.metadata(item).tree)}
        # A damaged file fails in whichever library meets the damage first.
        except Exception as error:
            raise self._damaged(folder, _reason(folder / name, error)) from error
        names = jax.tree.leaves(ocp.tree.get_param_names(plain, include_empty_nodes=False))
        self._check_structure(folder / name, stored, dict(zip(names, jax.tree.leaves(plain))))
        # Arrays of NumPy, so that nothing asks for the devices that it was saved on.
        target = jax.tree.unflatten(
            jax.tree.structure(plain),
            [np.broadcast_to(np.zeros((), stored[each].dtype), stored[each].shape) for each in names],
        )
        try:
            found = handler.restore(item, args=ocp.args.StandardRestore(target))
        except Exception as error:
            raise self._damaged(folder, _reason(folder / name, error)) from error
        rows = list(map(np.asarray, jax.tree.leaves(found)))
        count = self._num_members
        if any(each.tobytes() != row[count - 1].tobytes() for row in rows for each in row[count:]):
            raise UserError(
                f'checkpoint {folder} is of {len(rows[0])} members, its config.json of {count}.'
            )
        placed = map(_placed, jax.tree.leaves(tree), (row[:count] for row in rows))
        return jax.tree.unflatten(jax.tree.structure(tree), list(placed))

    def _check_structure(self, item: Path, stored: dict[str, Any], ours: dict[str, Any]) -> None:
        """Raises UserError unless the stored arrays are those that are restored."""
        count = self._num_members
        differences = [f'it has no {name}' for name in ours if name not in stored]
        differences += [f'it has {name} too' for name in stored if name not in ours]
        for name in ours.keys() & stored.keys():
            there, here = stored[name], ours[name]
            wanted = (count, *here.shape[1:])
            # Older saves have copies of the last member, fewer than there were devices.
            filled = len(there.shape) > 0 and count <= there.shape[0] < 2 * count
            if not filled or there.shape[1:] != wanted[1:] or there.dtype != here.dtype:
                differences.append(
                    f'{name} is {there.dtype} {tuple(there.shape)} for {here.dtype} {wanted}'
                )
        if differences:
            more = f', and {len(differences) - 3} more' if len(differences) > 3 else ''
            raise UserError(
                f'checkpoint {item.parent} is of other members or networks than its config.json: of '
                f'{item.name}, {"; ".join(differences[:3])}{more}.'
            )

    def _check_files(self, folder: Path, names: set[str]) -> None:
        """Raises Damaged unless the files of these trees are those that were saved, if that is known."""
        if not folder.is_dir():
            raise self._damaged(folder, 'it is not there')
        try:
            manifest = documents.read(folder / _FILES, {'*': [int]})
        # It was made before files were listed, or killed between.
        except FileNotFoundError:
            return
        for name, saved in manifest.items():
            tree, *inside = Path(name).parts
            # A replay buffer is large, and of no use to whoever wants the policies.
            if inside and tree not in names:
                continue
            try:
                found = _measure(folder / name)
            except FileNotFoundError:
                raise self._damaged(folder, f'its file {name} is missing') from None
            if found[0] != saved[0]:
                reason = f'its file {name} has {found[0]:,} bytes of {saved[0]:,}'
                raise self._damaged(folder, reason)
            if found != saved:
                raise self._damaged(folder, f'the bytes of its file {name} have changed')

    def _damaged(self, folder: Path, reason: str) -> Damaged:
        before = [step for step in self.steps() if str(step) != folder.name]
        other = f'remove it to go on from that after {before[-1]:,}, or ' if before else ''
        return Damaged(
            f'checkpoint {folder} is damaged: {reason}; restore it from a copy, {other}train from the '
            'start in another config.run_dir.'
        )


def _measure(file: Path) -> list[int]:
    return [file.stat().st_size, disk.checksum(file)]


def _reason(item: Path, error: Exception) -> str:
    """What is wrong with a part of a checkpoint of whose files nothing is known."""
    for file in (item, item / '_METADATA', item / 'manifest.ocdbt'):
        if not file.exists():
            return f'{item.name if file == item else f"its file {item.name}/{file.name}"} is missing'
    lines = str(error).strip().splitlines() or ['no reason given']
    return f'{item.name} cannot be decoded ({type(error).__name__}: {lines[0][:200]})'


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _storable(tree: Any) -> Any:
    """A tree without random keys."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)


def _placed(like: Any, rows: np.ndarray) -> Any:
    """Rows of members where `like` is, the last repeated to fill it."""
    filled = np.pad(rows, [(0, len(like) - len(rows))] + [(0, 0)] * (rows.ndim - 1), 'edge')
    if not isinstance(like, jax.Array):
        return filled
    data = jax.random.key_data(like) if _is_key(like) else like
    placed = spread.out(filled, data.sharding)
    return jax.random.wrap_key_data(placed) if _is_key(like) else placed

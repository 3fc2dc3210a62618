"""Arrays of a dataset that are kept on disk and memory-mapped, and looked at before they are believed.

They lie beside the dataset, or, where that directory cannot be written, in the user's cache directory
($XDG_CACHE_HOME/offline-rl-jax or ~/.cache/offline-rl-jax). Beside the arrays, index.json says what they
were made from, and of every file its checksum and what the system said of it when it was written: a file
of which it still says so is believed, any other is read once more and compared.
"""

import contextlib
import hashlib
import json
import shutil
import stat
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data import disk
from data.locking import exclusive
from data.types import DatasetError

_DIRECTORY, _LOCK, _UNFINISHED, _INDEX = 'flat', '.flat.lock', '.flat.unfinished', 'index.json'

# Of each array, its number type and its shape.
Kinds = Mapping[str, tuple[Any, tuple[int, ...]]]


class Cached(NamedTuple):
    """What is cached.

    Attributes:
        arrays: memory maps by name, which cannot be written.
        fingerprint: of their numbers, equal where these are equal; the index has it as `contents`.
        notes: what else whoever wrote them said.
    """

    arrays: dict[str, np.ndarray]
    fingerprint: str
    notes: dict[str, Any]


def obtain(
    path: Path,
    what: str,
    key: str,
    write: Callable[[Path], dict[str, Any]],
    kinds: Callable[[dict[str, Any]], Kinds],
) -> Cached:
    """Arrays that are cached, or are written now.

    Args:
        path: of the dataset.
        what: it is, for messages.
        key: of what the arrays are made from; those of another key are made again.
        write: writes the arrays as .npy files into a directory; returns notes, plain data.
        kinds: notes -> the kinds of the arrays that must be there; there may be others.

    Raises:
        DatasetError: there is no place for them.
        OSError: they cannot be written.
    """
    homes = path, _own(path)
    for home in homes:
        if found := _read(home / _DIRECTORY, key, kinds):
            return found
    home = _writable(homes, what)
    with exclusive(home / _LOCK, f'the cache of {what}'):
        # Whoever held the lock before may have written it.
        found = _read(home / _DIRECTORY, key, kinds)
        if not found:
            _write(home, key, write)
            found = _read(home / _DIRECTORY, key, kinds)
    if not found:
        raise DatasetError(f'{home / _DIRECTORY}: what was written there is not what can be read.')
    return found


def _own(path: Path) -> Path:
    """Where a user keeps what belongs to a directory."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return disk.own() / f'{path.name}-{digest}'


def _writable(homes: tuple[Path, ...], what: str) -> Path:
    refusals = []
    for home in homes:
        try:
            disk.check_directory(home)
            home.mkdir(parents=True, exist_ok=True)
            return home
        except OSError as error:
            refusals.append(f'{error.filename} ({error.strerror})')
    raise DatasetError(
        f'the cache of {what} can be written neither into {" nor into ".join(refusals)}; '
        'XDG_CACHE_HOME names a directory for caches.'
    )


def _write(home: Path, key: str, write: Callable[[Path], dict[str, Any]]) -> None:
    building = home / _UNFINISHED
    # Only the holder of the lock writes here, so what is found was left by a killed process.
    _remove(building)
    building.mkdir()
    try:
        with disk.writing(building):
            notes = write(building)
            files = {file.stem: _described(file) for file in sorted(building.glob('*.npy'))}
            numbers = [[name, file['crc32']] for name, file in files.items()]
            index = {
                'fingerprint': key,
                'contents': hashlib.sha256(json.dumps(numbers).encode()).hexdigest(),
                'files': files,
                'notes': notes,
            }
            _write_index(building, index)
        _remove(home / _DIRECTORY)
        building.rename(home / _DIRECTORY)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_index(directory: Path, index: dict[str, Any]) -> None:
    disk.write_text(directory / _INDEX, json.dumps(index | {'crc32': _checksum_of(index)}))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _described(file: Path) -> dict[str, Any]:
    return {'crc32': disk.checksum(file), 'stat': _stat(file)}


def _stat(file: Path) -> list[int]:
    """Changes whenever a file does.

    Raises:
        OSError: it is no file, but a directory or a link.
    """
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f'{file} is no file')
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _read(
    cache: Path, key: str, kinds: Callable[[dict[str, Any]], Kinds]
) -> Cached | None:
    """What a directory holds; None if that is not what was written there, or of another key."""
    try:
        index = json.loads((cache / _INDEX).read_text())
        if index.pop('crc32') != _checksum_of(index) or index['fingerprint'] != key:
            return None
        listed, found, arrays = index['files'], {}, {}
        for name, entry in listed.items():
            file = cache / f'{name}.npy'
            found[name] = entry | {'stat': _stat(file)}
            if found[name] != entry and disk.checksum(file) != entry['crc32']:
                return None
            arrays[name] = np.load(file, mmap_mode='r')
        needed = kinds(index['notes'])
        if any((arrays[name].dtype, arrays[name].shape) != kind for name, kind in needed.items()):
            return None
        if found != listed:
            # Where it cannot be noted that they have been read, they are read each time.
            with contextlib.suppress(OSError):
                _write_index(cache, index | {'files': found})
        return Cached(arrays, index['contents'], index['notes'])
    # Whatever is wrong with it, it is made again.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _checksum_of(index: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(index).encode())

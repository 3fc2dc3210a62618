"""What is written: tried before the work that it is for, and given its space before it is mapped."""

import errno
import math
import mmap
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import DTypeLike

# More than file systems keep within their own records, so that a full one shows.
_TRIAL = 1 << 16
_BLOCK = 1 << 22
_ZEROS = bytes(_BLOCK)
# Of an array that stays in memory.
_SMALL = 1 << 26
# What is the matter with a disk, when it is no matter of names: full, too large a file, too large a map.
_OF_DISKS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENOMEM, errno.ENOLCK,
    errno.EOPNOTSUPP,
)  # fmt: skip
# What is said where a file system cannot take space ahead of need.
_NO_ALLOCATION = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Gives a path to what the system says of a disk without one, also through HDF5 and orbax.

    Raises:
        OSError: with a path.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        number = _errno(error)
        if number not in _OF_DISKS or getattr(error, 'filename', None) is not None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def write_text(file: Path, text: str) -> None:
    """Writes a file, which appears whole or not at all.

    Raises:
        OSError: with a path.
    """
    temporary = file.with_name(f'{file.name}.part')
    with writing(file):
        temporary.write_text(text)
        temporary.replace(file)


def _errno(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    # Of HDF5 as it closes a file, and of orbax, the text alone has the number.
    found = re.search(r"(?:errno = |os_error_code=')(\d+)", str(error))
    return int(found[1]) if found else None


def check_file(path: Path) -> None:
    """Tries whether a file can be written, there already or not; leaves everything as it is.

    Raises:
        OSError: with a path and what the system says: it is a directory, or below something that is
            none; the disk is full or read-only; a name is too long; it is not permitted.
    """
    if path.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    else:
        # A link may lead to where there is nothing yet.
        check_directory(Path(os.path.realpath(path)) if path.is_symlink() else path)


def check_directory(path: Path) -> None:
    """Tries whether something can be written into a directory, or made there if there is none."""
    try:
        there = _nearest(path)
        if there.is_dir():
            check_space(there, _TRIAL)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    if not there.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))


def check_space(path: Path, size: int) -> None:
    """Tries whether a directory has room for so many bytes more.

    For whoever writes through a library that does not survive a full disk, as HDF5.

    Raises:
        OSError: with the path.
    """
    # Without a name: others find nothing meanwhile, and a kill leaves nothing.
    with writing(path), tempfile.TemporaryFile(dir=path) as trial:
        _allocate(trial.fileno(), 0, size)


def _nearest(path: Path) -> Path:
    """A path, or the longest beginning of it that is there; the rest are names that can be given."""
    if _is_there(path):
        return path
    there = _nearest(path.parent)
    if there.is_dir():
        _is_there(there / path.name)
    return there


def _is_there(path: Path) -> bool:
    """Unlike Path.exists, of links too that lead nowhere, and an error if a name is too long."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def checksum(file: Path) -> int:
    """The crc32 of all bytes of a file."""
    found = 0
    with file.open('rb') as stream:
        while block := stream.read(_BLOCK):
            found = zlib.crc32(block, found)
    return found


def new_array(file: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """A new .npy file of zeros, mapped to be written.

    All its space is taken here: where a disk is found full while a map is written, the process dies.

    Raises:
        OSError: with the path; the disk has no space for it.
    """
    with writing(file):
        array = np.lib.format.open_memmap(file, 'w+', dtype, shape)
        with file.open('r+b') as stream:
            _allocate(stream.fileno(), array.offset, array.offset + array.nbytes)
    return array


def own() -> Path:
    """The user's directory for what can be made again."""
    return platformdirs.user_cache_path('offline-rl-jax')


def scratch(dtype: DTypeLike, shape: tuple[int, ...]) -> np.ndarray:
    """A new array of any numbers, in memory if it is small, else on disk, for this process alone.

    The file has no name, so that nothing of it is left however the process ends.

    Raises:
        OSError: with the path of its directory, `own`; the disk has no space for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= _SMALL:
        return np.empty(shape, dtype)
    directory = own()
    directory.mkdir(parents=True, exist_ok=True)
    with writing(directory), tempfile.TemporaryFile(dir=directory) as file:
        _allocate(file.fileno(), 0, size)
        return np.memmap(file, dtype, 'r+', shape=shape)


def expect_random_reads(arrays: Iterable[np.ndarray]) -> None:
    """Says of memory maps that rows are read in no order, if they are too large to be kept in memory.

    Else the system reads many rows around each that is needed, which is well where they are needed
    soon, and hundreds of times as slow where they have to go before.
    """
    maps = [array for array in arrays if isinstance(array.base, mmap.mmap)]
    if sum(array.nbytes for array in maps) > _memory() / 2:
        for array in maps:
            array.base.madvise(mmap.MADV_RANDOM)


def _memory() -> int:
    """Bytes that this process may have: those of the machine, or of its control group on it."""
    limits = [os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')]
    groups = Path('/proc/self/cgroup')
    for line in groups.read_text().splitlines() if groups.exists() else ():
        _, controllers, group = line.split(':', 2)
        if not controllers:
            root, name = Path('/sys/fs/cgroup'), 'memory.max'
        elif 'memory' in controllers.split(','):
            root, name = Path('/sys/fs/cgroup/memory'), 'memory.limit_in_bytes'
        else:
            continue
        place = root / group.lstrip('/')
        for file in (each / name for each in (place, *place.parents)):
            if file.is_file() and (limit := file.read_text().strip()).isdecimal():
                limits.append(int(limit))
    return min(limits)


def _allocate(descriptor: int, begin: int, end: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, end)
    except OSError as error:
        if error.errno not in _NO_ALLOCATION:
            raise
        for position in range(begin, end, len(_ZEROS)):
            os.pwrite(descriptor, _ZEROS[: end - position], position)

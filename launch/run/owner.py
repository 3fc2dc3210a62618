"""Which process trains in a run directory: one at a time."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.locking import is_at
from launch.cli import UserError

LOCK = '.lock'


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds a run directory, which the system releases when this process ends in whatever way.

    It is made, and removed again if nothing came into it.

    Raises:
        UserError: another process holds it.
    """
    made = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(path)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f'process {os.getpid()} on {platform.node()}'.encode(), 0)
        yield
    finally:
        (path / LOCK).unlink(missing_ok=True)
        os.close(descriptor)
        for each in made:
            if any(each.iterdir()):
                break
            each.rmdir()


def holder(path: Path) -> str:
    """What is to be read of who holds a run directory; empty if nobody does."""
    file = path / LOCK
    return file.read_text() if file.exists() else ''


def _locked(path: Path) -> int:
    """The descriptor of the locked file in a run directory."""
    file = path / LOCK
    if file.is_symlink():
        raise UserError(f'{file} is a link, which no run makes; remove it.')
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 200, 0).decode(errors='replace') or 'another process'
            os.close(descriptor)
            raise UserError(
                f'{path} is being trained by {owner}: wait for it, or choose another config.run_dir.'
            ) from None
        # Whoever held it may have removed the file: the lock of one without a name excludes nobody.
        if is_at(file, os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)

"""One process at a time builds a thing on disk; the others wait for it."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds a file lock, which the system releases when this process ends in whatever way.

    Whoever waits must look again, once inside, whether there is still anything to build.

    Args:
        path: of the lock file, which is removed at the end.
        what: is being built, for the message to whoever waits.
    """
    while True:
        with path.open('w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f'{what} is being built by another process: waiting', file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held it has removed the file: the lock of one without a name excludes nobody.
            if not _is_at(path, file):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False

"""One process at a time builds a thing on disk; the others wait for it."""

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.disk import writing


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds a file lock, which the system releases when this process ends in whatever way.

    Whoever waits must look again, once inside, whether there is still anything to build.

    Args:
        path: of the lock file, which is removed at the end; what holds something stays as it is.
        what: is being built, for the message to whoever waits.

    Raises:
        OSError: something else is in its place, a link included, or it cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EEXIST, 'something else is in the place of a lock', str(path))
            with writing(path):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    print(f'{what} is being built by another process: waiting', file=sys.stderr)
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever held it has removed the file: the lock of one without a name excludes nobody.
            if not is_at(path, found):
                continue
            try:
                yield
            finally:
                if not found.st_size:
                    path.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)


def is_at(path: Path, found: os.stat_result) -> bool:
    """Whether a file still has a path as its name."""
    try:
        return os.path.samestat(path.lstat(), found)
    except FileNotFoundError:
        return False

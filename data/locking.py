"""One process at a time builds a thing on disk; the others wait for it."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds a file lock, which the system releases when this process ends in whatever way.

    Whoever waits must look again, once inside, whether there is still anything to build.

    Args:
        path: of the lock file, which is removed at the end.
        what: is being built, for the message to whoever waits.
    """
    with path.open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f'{what} is being built by another process: waiting', file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
        # Safe only after success: whoever gets hold of a lock from here on finds it built.
        path.unlink(missing_ok=True)

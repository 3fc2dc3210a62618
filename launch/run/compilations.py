"""What is compiled is kept: a program need not compile what one before it has compiled.

It lies in the user's cache directory ($XDG_CACHE_HOME/offline-rl-jax/compiled, or in ~/.cache). JAX
finds an entry by a hash of the computation, its options, the versions of JAX and XLA, and the kind and
number of the devices, of a processor also the instructions that it has. But it writes in place and
removes nothing: what a killed program or a full disk left of an entry, and what is too much, goes here.
"""

import contextlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax

from data import disk

# Bytes that are kept; seconds of compilation that are worth an entry.
_MOST, _LEAST = 1 << 29, 0.1
# What JAX says of an entry that it cannot read or write; it compiles then.
_TROUBLE = re.compile(
    r"Error (reading|writing) persistent compilation cache entry for '(.*?)': (.*)", re.DOTALL
)


def keep() -> None:
    """Has JAX keep what it compiles, unless it was told where already; call before any jax work."""
    if jax.config.jax_compilation_cache_dir is not None:
        return
    path = disk.own() / 'compiled'
    try:
        disk.check_directory(path)
        # What lies there is run as it is: it is nobody else's to write.
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _shrink(path)
    except OSError as error:
        _warn(f'it cannot be kept in {error.filename} ({error.strerror})')
        return
    jax.config.update('jax_compilation_cache_dir', str(path))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', _LEAST)
    _mend(path)


def _shrink(path: Path) -> None:
    """Removes what was not used for longest."""
    kept = 0
    for _, size, file in sorted(_files(path), reverse=True):
        kept += size
        if kept > _MOST:
            file.unlink(missing_ok=True)


def _files(path: Path) -> Iterator[tuple[float, int, Path]]:
    """When each was used, and its bytes."""
    for file in path.rglob('*'):
        # Another program may be removing the same.
        with contextlib.suppress(FileNotFoundError):
            if file.is_file():
                found = file.stat()
                yield max(found.st_atime, found.st_mtime), found.st_size, file


def _mend(path: Path) -> None:
    """Removes what cannot be read, or was not written to its end; says the first of either."""
    show, said = warnings.showwarning, set()

    def showwarning(message, *where):
        trouble = _TROUBLE.match(str(message))
        if trouble is None:
            show(message, *where)
            return
        doing, name, reason = trouble.groups()
        # Its entries of other shapes are made again too: which it was is not said.
        with contextlib.suppress(OSError):
            for entry in path.glob(f'{name}-*'):
                entry.unlink(missing_ok=True)
        if doing not in said:
            said.add(doing)
            _warn(f'{doing} an entry of {path} failed ({" ".join(reason.split())})')

    warnings.showwarning = showwarning


def _warn(reason: str) -> None:
    print(
        f'WARNING: what is compiled will be compiled again: {reason}. XDG_CACHE_HOME names a directory '
        'for caches; --nocompilation_cache goes without.',
        file=sys.stderr,
    )

"""Several processes that train one run, each its own members on its own devices (jax.distributed).

All of them run the same program; the first alone writes files and prints. What one has to know of the
others goes through `gather`, which is also where they wait for each other and hear of a failure. Of a
run of one process, all of this is about that process.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data.types import DatasetError
from launch.cli import Interrupted, UserError

# Seconds in which all processes of a run have to be there.
_MEETING = 120
# Seconds for which whoever has failed waits for the others to hear of it.
_HEARING = 60
# What an exchange begins with: whoever fails says so to whatever the others are exchanging.
_CONTENT, _FAILURE = b'.', b'!'


class _Lost(UserError):
    """A process of the run is gone."""


class _Elsewhere(UserError):
    """A process of the run has failed, and said so."""


def define_flags() -> None:
    """Those by which `joined` knows of other processes."""
    flags.DEFINE_bool('distributed', False, 'train in several processes, of a cluster that jax detects')
    flags.DEFINE_string('coordinator', None, 'or of any: HOST:PORT where process 0 is met by the others')
    flags.DEFINE_integer('num_processes', None, 'how many there are', lower_bound=1)
    flags.DEFINE_integer('process_id', None, 'which this is, from 0', lower_bound=0)


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Makes this process one of those that train a run, if flags say so; entered before any jax work.

    Within, all but the first are silent. Where one fails, all end, and its error is said once.

    Raises:
        UserError: the flags do not go together, or the processes do not meet, or one is gone.
    """
    detected = flags.FLAGS.distributed
    given = {name: flags.FLAGS[name].value for name in ('coordinator', 'num_processes', 'process_id')}
    if detected or any(each is not None for each in given.values()):
        _check(detected, given)
        _meet(detected, given)
    try:
        with contextlib.nullcontext() if is_first() else _silence():
            yield
    except _Elsewhere:
        if is_first():
            raise
        sys.exit(1)
    except (_Lost, Interrupted) as error:
        _leave_at_exit(128 + error.args[0] if isinstance(error, Interrupted) else 1)
        raise
    except Exception as error:
        plain = isinstance(error, UserError | DatasetError | OSError)
        said = str(error) if plain else repr(error)
        failure = _FAILURE + said.encode()
        # They may be waiting for this one's part of something else, such as a checkpoint.
        waiting = threading.Timer(_HEARING, _leave, [1, f'error: {said}'])
        waiting.daemon = True
        waiting.start()
        try:
            found = _exchange(failure)
        except _Lost as lost:
            _leave_at_exit(1)
            # What jax says of those who are gone comes to the same.
            raise (lost if isinstance(error, jax.errors.JaxRuntimeError) else error) from None
        finally:
            waiting.cancel()
        # What several find wrong is said by one of them.
        if failure in found[: jax.process_index()]:
            sys.exit(1)
        raise


def _check(detected: bool, given: dict[str, Any]) -> None:
    missing = [f'--{name}' for name, value in given.items() if value is None]
    if detected and len(missing) < len(given):
        raise UserError(
            '--distributed takes from the cluster what --coordinator, --num_processes and --process_id '
            'say where there is none; give either.'
        )
    if detected:
        return
    if missing:
        raise UserError(
            f'{" and ".join(missing)} not given: each of several processes needs --coordinator, the '
            'HOST:PORT where process 0 is met, --num_processes and its own --process_id.'
        )
    coordinator, number, index = given.values()
    host, _, port = coordinator.rpartition(':')
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f'--coordinator={coordinator}: HOST:PORT of process 0 is needed.')
    if index >= number:
        raise UserError(
            f'--process_id={index} of --num_processes={number}; valid: from 0 to {number - 1}.'
        )
    if index == 0:
        try:
            socket.create_server(('', int(port))).close()
        except OSError as error:
            raise UserError(
                f'--coordinator={coordinator}: process 0 cannot listen there ({error.strerror}); choose '
                'another port.'
            ) from error


def _meet(detected: bool, given: dict[str, Any]) -> None:
    same = '' if detected else f' with this --coordinator={given["coordinator"]} and --num_processes'
    # In jax, whoever waits for too long is aborted in C++.
    waiting = threading.Timer(_MEETING, _leave, [1, (
        f'error: not all processes were there within {_MEETING} seconds; have all been started{same}, '
        'and can they reach process 0?'
    )])  # fmt: skip
    waiting.daemon = True
    waiting.start()
    try:
        _initialize(detected, given)
        # jax has taken it for notices of preemption, and nobody would end by it.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        # gloo says at its first exchange that it has met the others.
        with _silence():
            gather(None)
    finally:
        waiting.cancel()


def _initialize(detected: bool, given: dict[str, Any]) -> None:
    try:
        jax.distributed.initialize(
            *given.values(), initialization_timeout=10 * _MEETING,
            cluster_detection_method=None if detected else 'deactivate',
        )  # fmt: skip
    # Each kind of cluster fails in ways of its own where it is not what it seems.
    except (ValueError, KeyError, RuntimeError, ImportError, OSError) as error:
        said = f'{type(error).__name__}: {" ".join(str(error).split())}'
        if not detected:
            raise UserError(f'--coordinator={given["coordinator"]}: {said}') from error
        raise UserError(
            f'--distributed: jax detects no SLURM, TPU pod, GKE or Open MPI here ({said}); '
            '--coordinator, --num_processes and --process_id do without.'
        ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Loses what this process prints, in C++ too, and its warnings and progress bars."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open('w') as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            with contextlib.redirect_stderr(nowhere):
                yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)


def _leave(code: int, said: str = '') -> None:
    """Ends this process without jax's farewell, which waits for all others."""
    print(said, end='\n' if said else '', file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _leave_at_exit(code: int) -> None:
    # What is registered last is called first.
    atexit.register(_leave, code)


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return jax.process_index() == 0


def gather(content: Any) -> list[Any]:
    """What each process has to say, in their order: whatever JSON can hold; floats are exact.

    Raises:
        UserError: a process has failed, or is gone, or does not come for half an hour.
    """
    return list(map(json.loads, exchange(json.dumps(content).encode())))


def by_first(function: Callable[[], Any]) -> Any:
    """What a function returns in the first process, which alone calls it, for all: as for gather."""
    return gather(function() if is_first() else None)[0]


def part() -> None:
    """Ends what all processes do together: the first goes on alone, for however long, the others end."""
    if jax.process_count() > 1:
        gather(None)
        jax.distributed.shutdown()
    if not is_first():
        sys.exit()


def in_first(
    context: Callable[[], contextlib.AbstractContextManager[Any]],
) -> contextlib.AbstractContextManager[Any]:
    """A context that the first process alone enters."""
    return context() if is_first() else contextlib.nullcontext()


def agree(facts: dict[str, Any]) -> None:
    """Raises UserError unless all processes have the same facts, JSON by name."""
    first, *others = (flatten_dict(each, sep='.') for each in gather(facts))
    for number, each in enumerate(others, 1):
        names = first.keys() | each.keys()
        different = sorted(name for name in names if first.get(name) != each.get(name))
        if different:
            raise UserError(
                f'not the same in process 0 and in process {number}: {", ".join(different)}; '
                'all take one command, and find the same files.'
            )


def exchange(content: bytes) -> list[bytes]:
    """What each process gives, in their order; as `gather`."""
    found = _exchange(_CONTENT + content)
    for number, each in enumerate(found):
        if each.startswith(_FAILURE):
            raise _Elsewhere(f'in process {number}: {each.removeprefix(_FAILURE).decode()}')
    return [each.removeprefix(_CONTENT) for each in found]


def _exchange(content: bytes) -> list[bytes]:
    if jax.process_count() == 1:
        return [content]
    lengths = _stacked(np.array([len(content)], np.int32))[:, 0]
    # Few different lengths, each of which is compiled for.
    padded = np.zeros(1 << int(lengths.max() - 1).bit_length(), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    return [row[:length].tobytes() for row, length in zip(_stacked(padded), lengths)]


def _stacked(array: np.ndarray) -> np.ndarray:
    """An array of each process, all of one shape, (processes, ...)."""
    # Of the hosts, where it is noticed at once who is gone. jax's own gathering wants as many devices in
    # every process.
    devices = [jax.local_devices(number, 'cpu')[0] for number in range(jax.process_count())]
    mesh = Mesh(np.array(devices), ('process',))
    laid = jax.make_array_from_process_local_data(
        NamedSharding(mesh, PartitionSpec('process')), array[None], (len(devices), *array.shape)
    )
    try:
        return np.asarray(_replicated(mesh)(laid))
    # NumPy passes on what jax raises as a ValueError.
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        raise _Lost(
            'another process of this run has ended, or has said nothing for half an hour; the same '
            'command, in all of them, goes on from the last checkpoint.'
        ) from error


@cache
def _replicated(mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
    return jax.jit(lambda array: array, out_shardings=NamedSharding(mesh, PartitionSpec()))

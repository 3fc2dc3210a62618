"""How every program starts and how it fails."""

import contextlib
import importlib
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from data import workers
from data.types import DatasetError
from launch.configs import UnknownDomainError, as_python, register_parsers
from launch.run import compilations

_CONFIGS = Path(__file__).parent / 'configs'
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds that an interrupted program may take to end; a compiled computation can take longer.
_GRACE = 3.0
# What an interrupted program says, the innermost last.
_standing: list[Callable[[], str]] = [lambda: '']


class UserError(Exception):
    """Something the user gave cannot be used; the message says what, why and what can."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM; its arguments are the signal and what is said of where things stand."""


@contextlib.contextmanager
def interruptible(standing: Callable[[], str]) -> Iterator[None]:
    """What an interruption in this block says, worked out when it comes."""
    _standing.append(standing)
    try:
        yield
    finally:
        _standing.pop()


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Ends a block with Interrupted at the first signal, within a few seconds; further ones are ignored.

    Python raises it between two steps of its own. Where a compiled computation goes on for longer, the
    process ends as if it were killed, which loses nothing that would be kept.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ended, interrupted = threading.Event(), threading.Event()

    def interrupt(number, frame):
        del frame
        interrupted.set()
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number, _standing[-1]())

    def watch():
        received = iter(lambda: os.read(reader, 1), b'')
        number = next((byte[0] for byte in received if byte[0] in _SIGNALS), None)
        os.close(reader)
        if number:
            said = _standing[-1]()
            if not ended.wait(_GRACE):
                _say_interrupted(said)
                os._exit(128 + number)

    before = {each: signal.getsignal(each) for each in _SIGNALS}
    for each, handler in before.items():
        # A shell has what it runs in the background ignore Ctrl-C.
        if handler is not signal.SIG_IGN:
            signal.signal(each, interrupt)
    waking = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(waking)
        os.close(writer)
        if not interrupted.is_set():
            for each, handler in before.items():
                signal.signal(each, handler)


def _say_interrupted(standing: str) -> None:
    print(f'interrupted: {standing}' if standing else 'interrupted', file=sys.stderr, flush=True)


def start(main: Callable[[list[str]], None], with_arguments: bool = False) -> None:
    """Starts an absl program; an error that is the user's ends it with one sentence and status 1.

    An interruption ends it with one line too, and the status that shells give.

    Args:
        main: takes the arguments that are no flags, after the program's name.
        with_arguments: whether there may be any.
    """
    logging.set_verbosity(logging.WARNING)
    packages = flags.DEFINE_multi_string(
        'import', [], 'package to import first, such as one that registers environments'
    )
    cached = flags.DEFINE_bool('compilation_cache', True, 'keep what is compiled for later programs')

    def begin(argv: list[str]) -> None:
        if len(argv) > 1 and not with_arguments:
            raise UserError(f'unexpected argument {argv[1]!r}: values are given as --flag=value.')
        if cached.value:
            compilations.keep()
        else:
            jax.config.update('jax_enable_compilation_cache', False)
        for name in packages.value:
            _import(name)
        main(argv)

    with _sentences(), _interrupts():
        app.run(begin, flags_parser=_parsed)


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except Interrupted as interruption:
        number, said = interruption.args
        _say_interrupted(said)
        sys.exit(128 + number)
    except (UserError, DatasetError, UnknownDomainError) as error:
        sys.exit(f'error: {error}')
    except OSError as error:
        sys.exit(f'error: {_said(error)}')
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sys.exit(
            'error: there is not enough memory for as many members, networks and batches of these '
            f'sizes ({" ".join(str(error).split())[:200]}).'
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that there is not enough memory, the host's or a device's."""
    return isinstance(error, MemoryError) or 'out of memory' in str(error).lower()


def _said(error: OSError) -> str:
    """What the system says of a path; of an error that names none, all that is known of it."""
    if isinstance(error.filename, str | bytes | Path):
        paths = (error.filename, error.filename2)
        return f'{" and ".join(os.fsdecode(path) for path in paths if path)}: {error.strerror}.'
    *_, where = traceback.extract_tb(error.__traceback__)
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text} ({where.filename}, line {where.lineno}).'


def _parsed(argv: list[str]) -> list[str]:
    """Sets the flags; returns what is left."""
    with _flags_in_sentences():
        return flags.FLAGS(argv)


@contextlib.contextmanager
def _flags_in_sentences() -> Iterator[None]:
    try:
        yield
    # What is written as a tuple is read by Python's own parser, which may find more than wrong syntax.
    except (flags.Error, ValueError, TypeError, MemoryError, RecursionError) as error:
        said = ' '.join(str(error).split()) or f'a flag cannot be read ({type(error).__name__})'
        raise UserError(said if said.endswith('?') else f'{said.rstrip(".")}.') from error


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    # It is a program of the user's, and may be one that ends when it is imported.
    except (Exception, SystemExit) as error:
        raise UserError(
            f'--import={name}: it cannot be imported ({type(error).__name__}: {error}).'
        ) from error


def start_with_config(
    main: Callable[..., None],
    default: str,
    with_arguments: bool = False,
    merge: Callable[[ConfigDict], None] | None = None,
) -> None:
    """Starts an absl program on what --config=FILE:DOMAIN and --config.KEY=VALUE name.

    With --print_config it prints that config instead, as the text of a config file.

    Args:
        main: takes the config, and the other arguments if there may be any.
        default: of --config, a file of launch/configs and its domain.
        with_arguments: whether there may be arguments that are no flags.
        merge: puts what other flags say into the config.
    """
    default = str(_CONFIGS / default)
    # ml_collections reads the command line later, and would end in a traceback of its own.
    with _sentences():
        _check_overrides(sys.argv[1:], load_config(_config_argument(sys.argv[1:], default)))
    register_parsers()
    with _sentences(), _flags_in_sentences():
        config = config_flags.DEFINE_config_file('config', default, 'config file, and its domain')
    printed = flags.DEFINE_bool('print_config', False, 'print the merged config and stop')

    def begin(argv: list[str]) -> None:
        if merge:
            merge(config.value)
        if printed.value:
            print(as_python(config.value))
        else:
            main(config.value, *([argv[1:]] if with_arguments else []))

    start(begin, with_arguments)


def load_config(value: str) -> ConfigDict:
    """The config that FILE or FILE:DOMAIN names.

    Raises:
        UserError: there is no such file, or it is no config file.
        UnknownDomainError: the file has no such domain.
    """
    path, colon, domain = value.partition(':')
    if not Path(path).is_file():
        there = ', '.join(sorted(str(file) for file in _CONFIGS.glob('[!_]*.py') if file.stem != 'base'))
        raise UserError(f'no config file {path}; those of this repository are {there}.')
    try:
        # It is a program of the user's, in which anything may go wrong.
        space = runpy.run_path(path)
        if 'get_config' not in space:
            raise UserError(f'config file {path} has no function get_config.')
        made = space['get_config'](*([domain] if colon else []))
    except (UserError, UnknownDomainError):
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f'config file {path} cannot be used: {_reason(error, path)}.') from error
    if not isinstance(made, ConfigDict):
        raise UserError(
            f'get_config of config file {path} returns a {type(made).__name__}; an '
            'ml_collections.ConfigDict is needed.'
        )
    return made


def _reason(error: BaseException, path: str) -> str:
    """What went wrong in a file of the user's, and in which line."""
    lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == path]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    said = ' '.join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f'{type(error).__name__}{f" in line {line}" if line else ""}: {said.rstrip(".")}'


def _config_argument(arguments: list[str], default: str) -> str:
    value = default
    for index, argument in enumerate(arguments):
        if argument in ('--config', '-config') and index + 1 < len(arguments):
            value = arguments[index + 1]
        elif argument.startswith(('--config=', '-config=')):
            value = argument.partition('=')[2]
    return value


def _check_overrides(arguments: list[str], config: ConfigDict) -> None:
    for argument in arguments:
        name = argument.partition('=')[0].lstrip('-').removeprefix('no')
        if not argument.startswith('-') or not name.startswith('config.'):
            continue
        node, path = config, 'config'
        for key in name.split('.')[1:]:
            if not isinstance(node, ConfigDict) or key not in node:
                valid = ', '.join(sorted(node)) if isinstance(node, ConfigDict) else 'none'
                raise UserError(f'unknown key {key!r} in {path}; valid ones: {valid}.')
            node, path = node[key], f'{path}.{key}'
        if not isinstance(node, ConfigDict | bool | int | float | str | tuple):
            raise UserError(f'{path} is {node!r} in the config file; values of that type are set there.')
        if isinstance(node, ConfigDict):
            raise UserError(f'{path} holds keys; each is given alone, as --{path}.KEY=VALUE.')


def use_all_cores() -> None:
    """One XLA host device per core, so that members share out over them; call before any jax work.

    Without effect on a machine with an accelerator, whose devices come first.
    """
    jax.config.update('jax_num_cpu_devices', workers.num_cores())

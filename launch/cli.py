"""How every program starts and how it fails."""

import importlib
import importlib.util
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import ConfigDict, FieldReference, config_flags

from data.types import DatasetError
from launch.configs import UnknownDomainError

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


@contextmanager
def interruptible(standing: Callable[[], str]) -> Iterator[None]:
    """What an interruption in this block says, worked out when it comes."""
    _standing.append(standing)
    try:
        yield
    finally:
        _standing.pop()


@contextmanager
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


def start(main: Callable[[list[str]], None]) -> None:
    """Starts an absl program; an error that is the user's ends it with one sentence and status 1.

    An interruption ends it with one line too, and the status that shells give.
    """
    logging.set_verbosity(logging.WARNING)
    packages = flags.DEFINE_multi_string(
        'import', [], 'package to import first, such as one that registers environments'
    )

    def begin(argv: list[str]) -> None:
        for name in packages.value:
            _import(name)
        main(argv)

    try:
        with _interrupts():
            app.run(begin)
    except Interrupted as interruption:
        number, said = interruption.args
        _say_interrupted(said)
        sys.exit(128 + number)
    except (UserError, DatasetError, UnknownDomainError) as error:
        sys.exit(f'error: {error}')


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise UserError(f'--import={name}: it cannot be imported ({error}).') from error


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
    # ml_collections reads the command line here, and would end in a traceback of its own.
    try:
        _check_overrides(sys.argv[1:], load_config(_config_argument(sys.argv[1:], default)))
    except (UserError, UnknownDomainError) as error:
        sys.exit(f'error: {error}')
    config = config_flags.DEFINE_config_file('config', default, 'config file, and its domain')
    printed = flags.DEFINE_bool('print_config', False, 'print the merged config and stop')

    def begin(argv: list[str]) -> None:
        if len(argv) > 1 and not with_arguments:
            raise UserError(f'unexpected argument {argv[1]!r}: values are given as --config.KEY=VALUE.')
        if merge:
            merge(config.value)
        if printed.value:
            print(as_python(config.value))
        else:
            main(config.value, *([argv[1:]] if with_arguments else []))

    start(begin)


def as_python(config: ConfigDict) -> str:
    """A config as the text of a config file, which --config takes."""
    lines, paths = [], {}

    def write(node: ConfigDict, path: str, indent: str) -> None:
        for key, value in node.items(preserve_field_references=True):
            if isinstance(value, FieldReference):
                paths.setdefault(id(value), []).append(path + key)
                value = value.get()
            if isinstance(value, ConfigDict):
                lines.append(f'{indent}{key!r}: {{')
                write(value, f'{path}{key}.', indent + '    ')
                lines.append(f'{indent}}},')
            else:
                # Infinity is no literal of Python.
                text = re.sub(r"\binf\b(?!')", "float('inf')", repr(value))
                lines.append(f'{indent}{key!r}: {text},')

    write(config, '', '        ')
    references = []
    for source, *others in (sorted(each, key=lambda path: path.count('.')) for each in paths.values()):
        node, _, key = f'config.{source}'.rpartition('.')
        references += [f'    config.{other} = {node}.get_ref({key!r})' for other in others]
    return '\n'.join(
        ['from ml_collections import ConfigDict', '', '', 'def get_config():',
         '    config = ConfigDict({', *lines, '    })', *references, '    return config']
    )  # fmt: skip


def check_counts(
    config: ConfigDict, positive: tuple[str, ...], multiples: tuple[str, ...], owner: str = 'config'
) -> None:
    """Raises UserError unless keys are at least 1, and some multiples of log_interval."""
    for key in positive:
        if config[key] < 1:
            raise UserError(f'{owner}.{key} is {config[key]}; at least 1 is needed.')
    for key in multiples:
        if config[key] % config.log_interval:
            raise UserError(
                f'{owner}.{key} is {config[key]}, no multiple of {owner}.log_interval, '
                f'{config.log_interval}.'
            )


def load_config(value: str) -> ConfigDict:
    """The config that FILE or FILE:DOMAIN names.

    Raises:
        UserError: there is no such file.
        UnknownDomainError: the file has no such domain.
    """
    path, colon, domain = value.partition(':')
    if not Path(path).is_file():
        there = ', '.join(sorted(str(file) for file in _CONFIGS.glob('[!_]*.py')))
        raise UserError(f'no config file {path}; those of this repository are {there}.')
    specification = importlib.util.spec_from_file_location('config', path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.get_config(domain) if colon else module.get_config()


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


def use_all_cores() -> None:
    """One XLA host device per core, so that members share out over them; call before any jax work.

    Without effect on a machine with an accelerator, whose devices come first.
    """
    jax.config.update('jax_num_cpu_devices', os.cpu_count())

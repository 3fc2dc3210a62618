"""How every program starts and how it fails."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import jax
from absl import app, logging
from ml_collections import ConfigDict, config_flags

from data.types import DatasetError
from launch.configs.base import UnknownDomainError


class UserError(Exception):
    """Something the user gave cannot be used; the message says what, why and what can."""


def run(main: Callable[[list[str]], None]) -> None:
    """Runs an absl program; an error that is the user's ends it with one sentence and status 1."""
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except (UserError, DatasetError, UnknownDomainError) as error:
        sys.exit(f'error: {error}')


def run_with_config(main: Callable[..., None], default: str, with_arguments: bool = False) -> None:
    """Runs an absl program on what --config=FILE:DOMAIN and --config.KEY=VALUE name.

    Args:
        main: takes the config, and the other arguments if there may be any.
        default: of --config.
        with_arguments: whether there may be arguments that are no flags.
    """
    # ml_collections reads the command line here, and would end in a traceback of its own.
    try:
        _check_overrides(sys.argv[1:], load_config(_config_argument(sys.argv[1:], default)))
    except (UserError, UnknownDomainError) as error:
        sys.exit(f'error: {error}')
    config = config_flags.DEFINE_config_file('config', default, 'config file and domain')

    def start(argv: list[str]) -> None:
        if with_arguments:
            main(config.value, argv[1:])
            return
        if len(argv) > 1:
            raise UserError(f'unexpected argument {argv[1]!r}: values are given as --config.KEY=VALUE.')
        main(config.value)

    run(start)


def load_config(value: str) -> ConfigDict:
    """The config that FILE or FILE:DOMAIN names.

    Raises:
        UserError: there is no such file.
        UnknownDomainError: the file has no such domain.
    """
    path, colon, domain = value.partition(':')
    if not Path(path).is_file():
        there = sorted(str(file) for file in Path(__file__).parent.glob('configs/[!_]*.py'))
        raise UserError(f'no config file {path}; those of this repository are {", ".join(there)}.')
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

"""One file per algorithm, what they all may raise, and how configs and their values are written."""

import re
from collections.abc import Callable

from absl import flags
from ml_collections import ConfigDict, FieldReference, config_flags


class UnknownDomainError(ValueError):
    """The part after the colon of --config names no domain of that config file."""


def as_python(config: ConfigDict) -> str:
    """A config as the text of a config file, which --config takes."""
    lines, references = [], {}

    def write(node: ConfigDict, path: str, indent: str) -> None:
        for key, value in node.items(preserve_field_references=True):
            if isinstance(value, FieldReference):
                references[path + key] = value
                value = value.get()
            if isinstance(value, ConfigDict):
                lines.append(f'{indent}{key!r}: {{')
                write(value, f'{path}{key}.', indent + '    ')
                lines.append(f'{indent}}},')
            else:
                text = repr(value)
                if not isinstance(value, str):
                    # These are no literals of Python.
                    text = re.sub(r"\b(inf|nan)\b(?!')", r"float('\1')", text)
                lines.append(f'{indent}{key!r}: {text},')

    write(config, '', '        ')
    # A reference stands at the shortest of its paths, and the others refer to it.
    places = {
        id(references[path]): path
        for path in sorted(references, key=lambda path: path.count('.'), reverse=True)
    }
    said = []
    for path, reference in references.items():
        followed, how = _followed(reference)
        place = places.get(id(followed), path)
        if place != path:
            node, _, key = f'config.{place}'.rpartition('.')
            said.append(f'    config.{path} = {node}.{how.format(repr(key))}')
    return '\n'.join(
        ['from ml_collections import ConfigDict', '', '', 'def get_config():',
         '    config = ConfigDict({', *lines, '    })', *said, '    return config']
    )  # fmt: skip


def _followed(reference: FieldReference) -> tuple[FieldReference, str]:
    """What a reference follows, and the method that makes such a reference; itself if it is none that
    follows. ml_collections has no public name for it."""
    made_by = [getattr(op.fn, '__qualname__', '').split('.<locals>')[0] for op in reference._ops]
    if made_by == ['FieldReference.identity']:
        return reference._value, 'get_oneway_ref({})'
    if made_by == ['FieldReference._apply_cast_op']:
        return reference._ops[0].args[0], f'get_ref({{}}).to_{reference.get_type().__name__}()'
    return reference, 'get_ref({})'


def register_parsers() -> None:
    """Has --config.KEY=VALUE take whole numbers like 1e6, and say what is needed."""
    config_flags.register_flag_parser_for_type(int, _Number(_whole, 'a whole number'))
    config_flags.register_flag_parser_for_type(float, _Number(float, 'a number'))
    config_flags.register_flag_parser_for_type(bool, _Truth())


class _Number(flags.ArgumentParser):
    """Reads numbers of a kind, which its messages call `name`."""

    def __init__(self, read: Callable[[str], int | float], name: str):
        self._read, self._name = read, name

    def parse(self, argument: str | int | float) -> int | float:
        try:
            return self._read(argument)
        except (ValueError, OverflowError):
            raise ValueError(f'{self._name} is needed') from None


class _Truth(flags.BooleanParser):
    def parse(self, argument: str | bool) -> bool:
        try:
            return super().parse(argument)
        except (ValueError, TypeError):
            raise ValueError('True or False is needed') from None


def _whole(text: str | int) -> int:
    """An integer, written as one or like 1e6."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not number.is_integer():
        raise ValueError
    return int(number)

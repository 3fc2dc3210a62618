"""The JSON files of a run: valid, whole or absent, and read with a sentence on what is wrong in them."""

import json
import math
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from data import disk
from launch.cli import UserError

# One that may be unknown; and one that may not.
NUMBER, KNOWN_NUMBER = (int, float), (float, int)
_NAMES = {str: 'text', bool: 'true or false', int: 'a whole number', dict: 'an object', list: 'a list'}


def dumps(content: Any, indent: int | None = None) -> str:
    """JSON; it has no numbers that are not finite: they become null."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write(file: Path, content: dict[str, Any]) -> None:
    """Writes a file, which appears whole or not at all."""
    disk.write_text(file, dumps(content, indent=2))


def read(file: Path, schema: dict[str, Any]) -> dict[str, Any]:
    """What a file holds, of which a schema (`check`) is true.

    Raises:
        UserError: it is no JSON, or not what the schema says.
    """
    try:
        content = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise UserError(f'{file} is damaged: it is no JSON ({error}).') from error
    return check(str(file), content, schema)


def check(where: str, content: Any, schema: Any, key: str = '') -> Any:
    """Content of which a schema is true, with NaN for null where it wants a number.

    Args:
        where: it was read, for the message.
        content: as JSON has it.
        schema: a type or several; {key: schema} for an object with at least these keys, of which the
            key '*' stands for all others; [schema] for a list of as many as there are.
        key: of the content in what was read.

    Raises:
        UserError: it is of another type or lacks a key.
    """
    kind = type(schema) if isinstance(schema, dict | list) else schema
    if kind is NUMBER and content is None:
        return math.nan
    kinds = kind if isinstance(kind, tuple) else (kind,)
    # To Python, true is a number.
    if not isinstance(content, kinds) or (isinstance(content, bool) and bool not in kinds):
        known = (_NAMES[each] for each in kinds if each in _NAMES)
        wanted = 'a number' if float in kinds else ' or '.join(known)
        found = json.dumps(content)
        found = found if len(found) <= 60 else f'{found[:60]}...'
        raise UserError(f'{where} is damaged: {key or "all of it"} is {found}, not {wanted}.')
    if isinstance(schema, list):
        return [check(where, each, schema[0], f'{key}[{i}]') for i, each in enumerate(content)]
    if not isinstance(schema, dict):
        return content
    lacking = [name for name in schema if name != '*' and name not in content]
    if lacking:
        raise UserError(f'{where} is damaged: {key or "it"} has no {lacking[0]!r}.')
    found = dict(content)
    for name, value in content.items():
        if name in schema or '*' in schema:
            inner = schema.get(name, schema.get('*'))
            found[name] = check(where, value, inner, f'{key}.{name}'.lstrip('.'))
    return found


def like(default: Any, there: Any = None) -> Any:
    """The schema of a config's key whose default is a value, and of those keys in it that are there."""
    if isinstance(default, ConfigDict):
        inside = there if isinstance(there, dict) else {}
        return {key: like(each, inside[key]) for key, each in default.items() if key in inside}
    if isinstance(default, tuple | list):
        return list
    return KNOWN_NUMBER if isinstance(default, float) else type(default)

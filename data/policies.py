"""Policies kept in files: networks' parameters by name, as float16 in NumPy's compressed archives.

Beside them are tables of what each is.
"""

import csv
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from data import disk

_SEPARATOR = '/'


def write(path: Path, policies: Mapping[str, Any]) -> None:
    """Writes flax parameters by the policies' names; the file appears whole or not at all."""
    arrays = flatten_dict(dict(policies), sep=_SEPARATOR)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix('.part')
    with disk.writing(path), temporary.open('wb') as file:
        np.savez_compressed(
            file, **{name: np.asarray(array, np.float16) for name, array in arrays.items()}
        )
    temporary.replace(path)


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote, as float32."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name].astype(np.float32) for name in archive.files}
    return unflatten_dict(arrays, sep=_SEPARATOR)


def table(file: Traversable, kind: type) -> tuple:
    """The rows of a CSV as a NamedTuple whose fields are its columns; () if there is no file."""
    rows = csv.DictReader(file.read_text().splitlines() if file.is_file() else [])
    types = kind.__annotations__
    return tuple(kind(**{name: types[name](text) for name, text in row.items()}) for row in rows)

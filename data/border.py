"""What strangers wrote, looked at before anything is allocated or made of it."""

import json
import math
import reprlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from minari.dataset._storages import get_storage_keys
from minari.dataset.minari_dataset import DATASET_ID_RE
from minari.serialization import deserialize_space

from data.types import DatasetError

METADATA = 'metadata.json'
# What is more is no description of a dataset.
_MOST_BYTES, _MOST_ENTRIES, _MOST_COUNTED = 1 << 28, 10**7, 2**53
_LARGEST = sys.float_info.max
# Deflate, the strongest compression that HDF5 always has, makes at most 1,032 bytes of one; what was
# never written takes none, and may well be small.
_MOST_COMPRESSED, _UNWRITTEN = 1_100, 1 << 26


class _Field(NamedTuple):
    """What an entry of the metadata must be; `needed` ones must be there, and may not be null."""

    kind: str
    holds: Callable[[Any], bool]
    needed: bool = False


def _is_text(value: Any) -> bool:
    # Halves of letters are what JSON can hold and nothing can print.
    return isinstance(value, str) and value.encode(errors='replace').decode() == value


def _is_id(value: Any) -> bool:
    return _is_text(value) and DATASET_ID_RE.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_COUNTED


def _is_number(value: Any) -> bool:
    # A whole number may be beyond what is a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _are_texts(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))


def _are_lines(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


_TEXT, _TEXTS = _Field('a text', _is_text), _Field('a list of texts', _are_texts)
_NUMBER = _Field('a finite number', _is_number)
_COUNT = _Field(f'a whole number from 0 to {_MOST_COUNTED:,}', _is_count, needed=True)
_SCORES = 'ref_min_score', 'ref_max_score'
_FIELDS = {
    'dataset_id': _Field('a Minari id', _is_id, needed=True),
    'minari_version': _TEXT._replace(needed=True),
    'data_format': _Field(
        f'one of {", ".join(get_storage_keys())}',
        lambda value: _is_text(value) and value in get_storage_keys(),
        needed=True,
    ),
    'observation_space': _TEXT._replace(needed=True),
    'action_space': _TEXT._replace(needed=True),
    'total_episodes': _COUNT,
    'total_steps': _COUNT,
    'env_spec': _TEXT,
    'eval_env_spec': _TEXT,
    **dict.fromkeys(_SCORES, _NUMBER),
    'reference_lines': _Field('finite numbers by name', _are_lines),
    'columns': _Field('an object', lambda value: isinstance(value, dict)),
    'rewards': _Field('an object', lambda value: isinstance(value, dict)),
    'description': _TEXT,
    'algorithm_name': _TEXT,
    'code_permalink': _TEXT,
    'author': _TEXTS,
    'author_email': _TEXTS,
    'requirements': _TEXTS,
    'combined_datasets': _TEXTS,
    'dataset_size': _NUMBER,
    **dict.fromkeys(
        ('jpeg_encoding', 'score_by_success'),
        _Field('true or false', lambda value: isinstance(value, bool)),
    ),
}


def read_metadata(data_path: Path, owner: str) -> dict[str, Any]:
    """The metadata of a Minari dataset, every entry that is used here or by Minari of its own kind.

    Entries that may be missing are, where they are null.

    Args:
        data_path: the directory of the metadata and the episodes.
        owner: for the messages.

    Raises:
        DatasetError: something of it cannot be believed.
        OSError: it cannot be read.
    """
    file = data_path / METADATA
    if not file.is_file():
        raise DatasetError(f'{owner}: there is no file {file}.')
    if file.stat().st_size > _MOST_BYTES:
        raise DatasetError(f'{owner}: {file} has more than {_MOST_BYTES:,} bytes.')
    found = _json(file.read_bytes(), f'{owner}: its {METADATA}')
    # Minari makes sets of the authors, whatever they are.
    optional = _FIELDS.keys() - {'author', 'author_email'}
    found = {name: value for name, value in found.items() if value is not None or name not in optional}
    missing = sorted(name for name, field in _FIELDS.items() if field.needed and name not in found)
    if missing:
        raise DatasetError(f'{owner}: its metadata lacks {" and ".join(missing)}.')
    for name, field in _FIELDS.items():
        if name in found and not field.holds(found[name]):
            shown = reprlib.repr(found[name])
            raise DatasetError(f'{owner}: {name} of its metadata is {shown}; it must be {field.kind}.')
    for one, other in (_SCORES, _SCORES[::-1]):
        if one in found and other not in found:
            raise DatasetError(
                f'{owner}: its metadata has {one} and no {other}; only both give a return its meaning.'
            )
    for name in ('observation_space', 'action_space'):
        _check_space(found[name], f'{owner}: {name} of its metadata')
    _check_counts(found, data_path, owner)
    return found


def _json(content: bytes, owner: str) -> dict[str, Any]:
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{owner} is no JSON ({error}).') from error
    if not isinstance(plain, dict):
        raise DatasetError(f'{owner} is no object of JSON.')
    return plain


def _check_space(text: str, owner: str) -> None:
    """Refuses what is no space, or so large that making it would be the harm."""
    plain = _json(text.encode(), owner)
    try:
        entries = _entries(plain, owner)
        # Each has bounds, which are written down.
        if entries > min(len(text), _MOST_ENTRIES):
            raise DatasetError(f'{owner} has {entries:,} entries, more than it has bounds.')
        if not entries and plain['type'] in ('Box', 'Dict'):
            raise DatasetError(f'{owner} has no entries.')
        deserialize_space(plain)
    except DatasetError:
        raise
    # Whichever of the constructors meets what it does not expect.
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, ArithmeticError,
            NotImplementedError, RecursionError) as error:  # fmt: skip
        raise DatasetError(f'{owner} is no space ({type(error).__name__}: {_line(error)}).') from error


def _entries(plain: dict[str, Any], owner: str) -> int:
    """How many numbers an element of a space has, as far as making it would take space."""
    nested = plain.get('subspaces', ())
    count = sum(_entries(each, owner) for each in (
        nested.values() if isinstance(nested, dict) else nested))  # fmt: skip
    if plain['type'] == 'Discrete' and not (_is_count(plain['n']) and 0 < plain['n'] <= _MOST_ENTRIES):
        raise DatasetError(
            f'{owner} has {str(plain["n"])[:60]} elements; valid: from 1 to {_MOST_ENTRIES:,}.'
        )
    if plain['type'] != 'Box':
        return count
    if not all(map(_is_count, plain['shape'])):
        raise DatasetError(f'{owner} is a Box of the shape {str(plain["shape"])[:60]}.')
    if np.dtype(plain['dtype']).kind not in 'biuf':
        raise DatasetError(f'{owner} is a Box of {str(plain["dtype"])[:60]}, no numbers.')
    return count + math.prod(plain['shape'])


def _check_counts(metadata: dict[str, Any], data_path: Path, owner: str) -> None:
    """Refuses counts that the files of a dataset cannot hold."""
    size = sum(file.stat().st_size for file in data_path.rglob('*'))
    for name, most in (('total_episodes', size), ('total_steps', _MOST_COMPRESSED * size)):
        if metadata[name] > most:
            raise DatasetError(
                f'{owner}: {name} of its metadata is {metadata[name]:,}; its files have {size:,} bytes, '
                'which cannot hold as many.'
            )


def _line(error: Exception) -> str:
    return ' '.join(str(error).split())[:200]


def opened(group: h5py.h5g.GroupID, name: bytes, owner: str) -> h5py.h5g.GroupID | h5py.h5d.DatasetID:
    """What a group has under a name, if it is in the file itself.

    Raises:
        DatasetError: there is nothing, or a link.
    """
    if name not in group:
        raise DatasetError(f'{owner} is not there.')
    if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise DatasetError(f'{owner} is a link; the file itself must hold it.')
    return h5py.h5o.open(group, name)


def extent(item: h5py.h5d.DatasetID, owner: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and number type of an array that the file holds as it says.

    Raises:
        DatasetError: it does not, or these are no numbers.
    """
    try:
        shape, dtype = item.shape, item.dtype
    # What h5py says of types that NumPy does not have.
    except (TypeError, ValueError, RuntimeError) as error:
        raise DatasetError(f'{owner} is of a type that cannot be read ({_line(error)}).') from error
    if dtype.kind not in 'biuf':
        raise DatasetError(f'{owner} holds {dtype}, no numbers.')
    if not shape:
        raise DatasetError(f'{owner} holds a single value, no rows.')
    _check_stored(item, shape, owner)
    return shape, dtype


def _check_stored(item: h5py.h5d.DatasetID, shape: tuple[int, ...], owner: str) -> None:
    """Raises DatasetError for an array whose bytes are elsewhere, or fewer than it needs."""
    # All bytes in one place of this file, as HDF5 has made sure.
    if item.get_offset() is not None:
        return
    how = item.get_create_plist()
    if how.get_layout() == h5py.h5d.VIRTUAL or how.get_external_count():
        raise DatasetError(f'{owner} is kept in other files; the file itself must hold it.')
    declared, stored = math.prod(shape) * item.get_type().get_size(), item.get_storage_size()
    if declared > max(_MOST_COMPRESSED * stored, _UNWRITTEN):
        raise DatasetError(
            f'{owner} has the shape {shape}, {declared:,} bytes, of which the file holds {stored:,}.'
        )


def no_marks(values: np.ndarray) -> np.ndarray:
    """Those of numbers that should say yes or no, as 1 or 0, which say neither; NaN among them."""
    values = np.asarray(values)
    return values[(values != 0) & (values != 1)]


def arrays(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """The arrays of an HDF5 file by their paths in it, none of them larger than what is there.

    Raises:
        DatasetError: it has links, or an array that it does not hold.
    """
    found = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group):
            for each in item:
                if not isinstance(item.get(each, getlink=True), h5py.HardLink):
                    place = f'{name}/{each}'.removeprefix('/')
                    raise DatasetError(f'{path}: {place} is a link; the file itself must hold it.')
        # Those without rows have nothing to be read.
        elif isinstance(item, h5py.Dataset) and item.shape:
            found[name] = item

    visit('', file)
    file.visititems(visit)
    for name, item in found.items():
        _check_stored(item.id, item.shape, f'{path}: {name}')
    return found

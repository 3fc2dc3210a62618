"""Writes episodes as a Minari dataset, many times faster than Minari does.

The layout on disk is Minari's own, to be read with minari.load_dataset. Minari makes every array
resizable and looks at each element's type; with tens of thousands of short episodes that takes far
longer than collecting them. Ours are contiguous arrays, made through HDF5's low-level interface.
"""

import functools
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_dataset import parse_dataset_id
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path

from data import disk
from data.locking import exclusive
from data.types import DatasetError

# Bytes that HDF5 keeps of a group and of an array beside its numbers, and how much is written between
# two looks at the disk: HDF5 does not survive a full one.
_GROUP, _ARRAY, _ROOM = 1 << 12, 1 << 10, 1 << 20


def is_stored(dataset_id: str) -> bool:
    """Whether a dataset, which is there as a whole or not at all, is in Minari's local storage."""
    return (get_dataset_path(dataset_id) / 'data').exists()


@contextmanager
def claimed(dataset_id: str) -> Iterator[Path]:
    """The place of a new dataset that is no recipe's, while nobody else builds there.

    Raises:
        DatasetError: the id is malformed, a recipe's, or taken.
    """
    try:
        namespace, _, _ = parse_dataset_id(dataset_id)
    # Minari raises a TypeError where the version is missing.
    except (ValueError, TypeError) as error:
        raise DatasetError(f'dataset {dataset_id}: not a Minari id; clinic/visits-v0 is one.') from error
    if (namespace or '').split('/')[0] == 'local':
        raise DatasetError(f'dataset {dataset_id}: ids that begin with local/ are recipes.')
    path = get_dataset_path(dataset_id)
    disk.check_directory(path)
    new = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(path.with_name(f'.{path.name}.lock'), dataset_id):
            if path.exists():
                raise DatasetError(f'dataset {dataset_id} exists already: {path}.')
            yield path
    finally:
        for parent in new:
            # Those that hold something are not ours alone.
            with suppress(OSError):
                parent.rmdir()


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """An empty directory for `write`; the dataset appears at `path` if and when the block succeeds."""
    unfinished = path.with_name(f'.{path.name}.unfinished')
    # What is found was left by a killed process: only one at a time writes here.
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with disk.writing(path):
            (unfinished / 'data').mkdir(parents=True)
            yield unfinished / 'data'
            unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write(
    data_path: Path,
    spaces: tuple[gym.Space, gym.Space],
    episodes: Iterable[EpisodeBuffer],
    metadata: Mapping[str, Any],
    env_spec: EnvSpec | None = None,
) -> None:
    """Writes a new dataset, holding one episode at a time in memory.

    Args:
        data_path: an empty directory (for load_dataset it must end in <dataset id>/data).
        spaces: of observations and actions.
        episodes: numpy arrays, nested in dictionaries at will.
        metadata: further entries of the dataset's metadata.
        env_spec: recorded as the environment of the dataset; None if it has none.
    """
    storage = MinariStorage.new(
        data_path,
        observation_space=spaces[0],
        action_space=spaces[1],
        env_spec=env_spec,
        data_format='hdf5',
    )
    total_episodes = total_steps = 0
    with h5py.File(data_path / 'main_data.hdf5', 'w') as file:
        room = 0
        for episode in episodes:
            size = _size(vars(episode))
            if size > room:
                # What is not on disk yet takes no more than what was written since.
                file.flush()
                room = max(size, _ROOM)
                disk.check_space(data_path, 2 * room)
            room -= size
            group = h5py.h5g.create(file.id, f'episode_{total_episodes}'.encode())
            _write_attribute(group, 'id', total_episodes)
            _write_attribute(group, 'total_steps', len(episode))
            for name in ('observations', 'actions', 'rewards', 'terminations', 'truncations'):
                _write_arrays(group, name, getattr(episode, name))
            if episode.infos:
                _write_arrays(group, 'infos', episode.infos)
            total_episodes += 1
            total_steps += len(episode)
    storage.update_metadata(
        {
            'minari_version': minari.__version__,
            'total_episodes': total_episodes,
            'total_steps': total_steps,
            'dataset_size': float(storage.get_size()),
            **metadata,
        }
    )


def _size(value: Any) -> int:
    """Bytes that something takes in a file, about, and not less."""
    if isinstance(value, dict):
        return sum(map(_size, value.values())) + _GROUP
    return np.asarray(value).nbytes + _ARRAY


def _write_arrays(group: h5py.h5g.GroupID, name: str, value: np.ndarray | dict) -> None:
    if isinstance(value, dict):
        subgroup = h5py.h5g.create(group, name.encode())
        for key, item in value.items():
            _write_arrays(subgroup, key, item)
    else:
        array = np.ascontiguousarray(value)
        kind = _kind(array.dtype)
        dataset = h5py.h5d.create(group, name.encode(), kind, _space(array.shape))
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array, kind)


def _write_attribute(group: h5py.h5g.GroupID, name: str, value: int) -> None:
    array = np.array(value, np.int64)
    h5py.h5a.create(group, name.encode(), _kind(array.dtype), _space(())).write(array)


@functools.cache
def _kind(dtype: np.dtype) -> h5py.h5t.TypeID:
    return h5py.h5t.py_create(dtype, logical=True)


@functools.cache
def _space(shape: tuple[int, ...]) -> h5py.h5s.SpaceID:
    return h5py.h5s.create_simple(shape)

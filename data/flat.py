"""From Minari's episodes to flat arrays: reading, checking, and what becomes of each space."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import gymnasium as gym
import h5py
import minari
import numpy as np
from minari.dataset.minari_dataset import MinariDataset
from minari.dataset.minari_storage import is_image_space

from data import border
from data.problem import Problem
from data.types import DatasetError

# What the libraries raise of files that are not what they should be.
_DAMAGED = (
    OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError, RuntimeError,
    MemoryError,
)  # fmt: skip
_FIELDS = ('observations', 'actions', 'rewards', 'terminations', 'truncations')


def flatten_observation(observation: Any, keys: tuple[str, ...], length: int) -> np.ndarray:
    """Concatenates the entries of an observation, in the order of `keys`, to (length, size).

    Args:
        observation: an array, or nested dicts of arrays, each (length, ...).
        keys: as in Problem.observation_keys.
        length: the common leading size.
    """
    if not keys:
        return np.asarray(observation, np.float32).reshape(length, -1)
    parts = []
    for key in keys:
        entry = observation
        for name in key.split('/'):
            entry = entry[name]
        parts.append(np.asarray(entry, np.float32).reshape(length, -1))
    return np.concatenate(parts, axis=1)


def observation_keys(space: gym.Space, dataset_id: str, prefix: str = '') -> tuple[str, ...]:
    """Paths of the entries of a dict space, sorted; () for a plain Box.

    Raises:
        DatasetError: an entry is no Box of numbers.
    """
    if isinstance(space, gym.spaces.Dict):
        return tuple(
            key
            for name in sorted(space.spaces)
            for key in observation_keys(space[name], dataset_id, f'{prefix}{name}/')
        )
    if not isinstance(space, gym.spaces.Box) or is_image_space(space):
        raise DatasetError(
            f'dataset {dataset_id}: observation space {space} is not supported; '
            'Box and (nested) Dict of Box are, images are not.'
        )
    return (prefix.removesuffix('/'),) if prefix else ()


def episodes(source: MinariDataset) -> Iterator[minari.EpisodeData]:
    """All episodes in order, without their infos.

    Raises:
        DatasetError: the file is damaged, or does not hold numbers where they are needed.
    """
    with _reading(source):
        if source.storage.FORMAT == 'hdf5':
            yield from _hdf5_episodes(source)
            return
        for episode in source.iterate_episodes():
            for name in _FIELDS:
                _check_numbers(getattr(episode, name), f'{_named(source, episode.id)}, {name}')
            yield episode


@contextmanager
def _reading(source: MinariDataset) -> Iterator[None]:
    """Makes one sentence of whatever a library says of damaged files."""
    try:
        yield
    except _DAMAGED as error:
        if isinstance(error, DatasetError):
            raise
        reason = ' '.join(str(error).split())[:200]
        raise DatasetError(
            f'dataset {source.id}: its file in {source.storage.data_path} is damaged ({reason}).'
        ) from error


def _named(source: MinariDataset, index: int) -> str:
    return f'dataset {source.id}, episode {index}'


def _check_numbers(values: Any, owner: str) -> None:
    if isinstance(values, dict):
        for name, each in values.items():
            _check_numbers(each, f'{owner}/{name}')
    elif np.ndim(values) == 0 or np.asarray(values).dtype.kind not in 'biuf':
        raise DatasetError(f'{owner} holds {np.asarray(values).dtype}, no rows of numbers.')


def _hdf5_episodes(source: MinariDataset) -> Iterator[minari.EpisodeData]:
    """What Minari yields but for the infos, four times as fast.

    With tens of thousands of short episodes, the time goes into opening arrays; HDF5's low-level
    interface is quicker at that, and infos need not be opened.
    """
    with h5py.File(source.storage.data_path / 'main_data.hdf5', 'r') as file:
        for index in source.episode_indices:
            owner = _named(source, index)
            group = border.opened(file.id, f'episode_{index}'.encode(), owner)
            fields = {name: _read(group, name.encode(), f'{owner}, {name}') for name in _FIELDS}
            yield minari.EpisodeData(id=int(index), infos={}, **fields)


def infos(source: MinariDataset, name: str) -> Iterator[np.ndarray]:
    """One entry of the infos of every episode, float64 (T,) each; (0,) where there is none.

    Raises:
        DatasetError: the file is damaged, or these are no numbers.
    """
    with _reading(source):
        if source.storage.FORMAT != 'hdf5':
            for episode in source.iterate_episodes():
                yield np.asarray((episode.infos or {}).get(name, ()), np.float64)
            return
        with h5py.File(source.storage.data_path / 'main_data.hdf5', 'r') as file:
            for index in source.episode_indices:
                owner = _named(source, index)
                group = border.opened(file.id, f'episode_{index}'.encode(), owner)
                found = ()
                if b'infos' in group:
                    group = border.opened(group, b'infos', f'{owner}, infos')
                    if name.encode() in group:
                        found = _read(group, name.encode(), f'{owner}, infos {name!r}')
                yield np.asarray(found, np.float64)


def _read(group: h5py.h5g.GroupID, name: bytes, owner: str) -> np.ndarray | dict:
    item = border.opened(group, name, owner)
    if isinstance(item, h5py.h5g.GroupID):
        return {key.decode(): _read(item, key, f'{owner}/{key.decode()}') for key in item}
    array = np.empty(*border.extent(item, owner))
    item.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array


def flatten_episode(
    source: MinariDataset, episode: minari.EpisodeData, task: Problem
) -> dict[str, np.ndarray]:
    """One episode of a dataset as arrays of its T steps: Transition's fields, and truncation.

    Raises:
        DatasetError: the episode is empty, its fields differ in length or size, hold NaN or infinite
            values, or actions outside the bounds.
    """

    keys, action_map = task.observation_keys, task.action_map

    def fail(field: str, fault: str) -> NoReturn:
        raise DatasetError(f'dataset {source.id}, episode {episode.id}, {field}: {fault}.')

    rewards = np.asarray(episode.rewards, np.float32).reshape(-1)
    length = len(rewards)
    if not length:
        fail('rewards', 'the episode is empty')
    for field in ('actions', 'terminations', 'truncations'):
        if len(getattr(episode, field)) != length:
            fail(field, f'{len(getattr(episode, field))} entries for {length} rewards')
    for field in ('terminations', 'truncations'):
        if np.ndim(getattr(episode, field)) != 1:
            fail(field, f'of the shape {np.shape(getattr(episode, field))}, not one entry a step')
    try:
        observations = flatten_observation(episode.observations, keys, length + 1)
    except (ValueError, KeyError) as error:
        fail('observations', f'not {length + 1} observations of {keys or "one array"} ({error})')
    if observations.shape[1] != task.spec.observation_size:
        fail('observations', f'{observations.shape[1]} features, not {task.spec.observation_size}')

    actions = np.asarray(episode.actions).reshape(length, -1)
    if actions.shape[1] != (1 if action_map.discrete else action_map.size):
        fail('actions', f'{actions.shape[1]} entries a step do not fit {source.action_space}')
    for field, values in (
        ('observations', observations),
        ('actions', actions),
        ('rewards', rewards),
    ):
        if not np.all(np.isfinite(values)):
            fail(field, 'NaN or infinite values')
    if action_map.outside(actions).any():
        fail('actions', f'outside the bounds of {source.action_space}')
    return {
        'observation': observations[:-1],
        'action': action_map.to_algorithm(actions),
        'reward': rewards,
        'discount': ~np.asarray(episode.terminations, bool),
        'next_observation': observations[1:],
        'truncation': episode.truncations,
    }

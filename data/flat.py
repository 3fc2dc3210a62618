"""From Minari's episodes to flat arrays: reading, checking, and what becomes of each space."""

from collections.abc import Iterator
from typing import Any, NoReturn

import gymnasium as gym
import h5py
import minari
import numpy as np
from minari.dataset.minari_dataset import MinariDataset
from minari.dataset.minari_storage import is_image_space

from data.problem import Problem
from data.types import DatasetError

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
        DatasetError: the file is damaged.
    """
    try:
        if source.storage.FORMAT == 'hdf5':
            yield from _hdf5_episodes(source)
        else:
            yield from source.iterate_episodes()
    except (OSError, KeyError) as error:
        raise DatasetError(
            f'dataset {source.id}: its file in {source.storage.data_path} is damaged ({error}).'
        ) from error


def _hdf5_episodes(source: MinariDataset) -> Iterator[minari.EpisodeData]:
    """What Minari yields but for the infos, four times as fast.

    With tens of thousands of short episodes, the time goes into opening arrays; HDF5's low-level
    interface is quicker at that, and infos need not be opened.
    """
    with h5py.File(source.storage.data_path / 'main_data.hdf5', 'r') as file:
        for index in source.episode_indices:
            group = h5py.h5g.open(file.id, f'episode_{index}'.encode())
            fields = {name: _read(group, name.encode()) for name in _FIELDS}
            yield minari.EpisodeData(id=int(index), infos={}, **fields)


def infos(source: MinariDataset, name: str) -> Iterator[np.ndarray]:
    """One entry of the infos of every episode, float64 (T,) each; (0,) where there is none."""
    if source.storage.FORMAT != 'hdf5':
        for episode in source.iterate_episodes():
            yield np.asarray(episode.infos.get(name, ()), np.float64)
        return
    with h5py.File(source.storage.data_path / 'main_data.hdf5', 'r') as file:
        for index in source.episode_indices:
            path = f'episode_{index}/infos/{name}'
            yield np.asarray(file.get(path, ()), np.float64)


def _read(group: h5py.h5g.GroupID, name: bytes) -> np.ndarray | dict:
    item = h5py.h5o.open(group, name)
    if isinstance(item, h5py.h5g.GroupID):
        return {key.decode(): _read(item, key) for key in item}
    array = np.empty(item.shape, item.dtype)
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

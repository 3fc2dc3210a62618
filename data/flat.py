"""From Minari's episodes to flat arrays: reading, checking, and what becomes of each space."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import gymnasium as gym
import h5py
import minari
import numpy as np
from minari.dataset.minari_dataset import MinariDataset

from data import actions, border, frames, precision
from data.precision import Rounding
from data.problem import Problem
from data.types import DatasetError

# What the libraries raise of files that are not what they should be.
_DAMAGED = (
    OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError, RuntimeError,
    MemoryError,
)  # fmt: skip
_FIELDS = ('observations', 'actions', 'rewards', 'terminations', 'truncations')


def flatten_observation(
    observation: Any,
    keys: tuple[str, ...],
    length: int,
    convert: Callable[[Any], np.ndarray] = np.float32,
) -> np.ndarray:
    """Concatenates the entries of an observation, in the order of `keys`, to (length, size).

    Args:
        observation: an array, or nested dicts of arrays, each (length, ...).
        keys: as in Problem.observation_keys.
        length: the common leading size.
        convert: makes numbers of an entry.
    """
    if not keys:
        return convert(observation).reshape(length, -1)
    parts = []
    for key in keys:
        entry = observation
        for name in key.split('/'):
            entry = entry[name]
        parts.append(convert(entry).reshape(length, -1))
    return np.concatenate(parts, axis=1)


def observation_keys(space: gym.Space, dataset_id: str, prefix: str = '') -> tuple[str, ...]:
    """Paths of the entries of a dict space, sorted; () for a plain Box.

    Raises:
        DatasetError: an entry is no Box of numbers, or is an image.
    """
    frames.refuse(space, f'dataset {dataset_id}')
    if isinstance(space, gym.spaces.Dict):
        return tuple(
            key
            for name in sorted(space.spaces)
            for key in observation_keys(space[name], dataset_id, f'{prefix}{name}/')
        )
    if not isinstance(space, gym.spaces.Box):
        raise DatasetError(
            f'dataset {dataset_id}: observation space {space} is not supported; '
            'Box and (nested) Dict of Box are.'
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


def action_range(source: MinariDataset) -> tuple[list[float], list[float]] | None:
    """The least and the most of each dimension of the recorded actions; None if nobody needs it.

    Episodes that do not fit are passed over: `flatten_episode` says what is wrong with them.
    """
    space = source.action_space
    if not actions.needs_range(space):
        return None
    size = int(np.prod(space.shape))
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    for episode in episodes(source):
        taken = np.asarray(episode.actions)
        if taken.size and taken.size == len(taken) * size and np.isfinite(taken).all():
            taken = taken.reshape(-1, size)
            low, high = np.minimum(low, taken.min(axis=0)), np.maximum(high, taken.max(axis=0))
    if not np.isfinite(low).all():
        raise DatasetError(
            f'dataset {source.id}: action space {space} needs finite bounds, and no episode has finite '
            'actions that fit it.'
        )
    return low.tolist(), high.tolist()


class Losses(NamedTuple):
    """What the parts of a dataset lose when they become float32, measured episode by episode."""

    observation: Rounding
    action: Rounding
    reward: Rounding


def losses(task: Problem) -> Losses:
    """Of a dataset of which no episode has been seen."""
    return Losses(Rounding(task.spec.observation_size), Rounding(task.spec.action_size), Rounding(1))


def sentences(found: Losses, source: MinariDataset, task: Problem) -> list[str]:
    """What was lost, a sentence for each column."""
    numbers = [str(index) for index in range(task.action_map.size)]
    return [
        *found.observation.sentences(entries(source.observation_space, task), 'observation'),
        *found.action.sentences(numbers, 'action (in [-1, 1])'),
        *found.reward.sentences(['rewards'], ''),
    ]


def entries(space: gym.Space, task: Problem) -> list[str]:
    """What the entries of an observation are called: by the table, by their keys, or by number."""
    if task.columns:
        return [feature.name for feature in task.columns.features]
    names = []
    for key in task.observation_keys:
        part = space
        for name in key.split('/'):
            part = part[name]
        size = gym.spaces.flatdim(part)
        names += [key] if size == 1 else [f'{key}[{index}]' for index in range(size)]
    return names or [str(index) for index in range(task.spec.observation_size)]


def flatten_episode(
    source: MinariDataset, episode: minari.EpisodeData, task: Problem, lost: Losses
) -> dict[str, np.ndarray]:
    """One episode of a dataset as arrays of its T steps: Transition's fields, and truncation.

    Args:
        source: the dataset.
        episode: of it.
        task: its problem.
        lost: measures what is lost.

    Raises:
        DatasetError: the episode is empty, its fields differ in length or size, hold values that are
            NaN, infinite or beyond float32, marks that are neither 0 nor 1, or actions that are not of
            the action space.
    """

    keys, action_map = task.observation_keys, task.action_map

    def fail(field: str, fault: str) -> NoReturn:
        raise DatasetError(f'dataset {source.id}, episode {episode.id}, {field}: {fault}.')

    rewards = precision.exact(episode.rewards).reshape(-1)
    length = len(rewards)
    if not length:
        fail('rewards', 'the episode is empty')
    for field in ('actions', 'terminations', 'truncations'):
        if len(getattr(episode, field)) != length:
            fail(field, f'{len(getattr(episode, field))} entries for {length} rewards')
    for field in ('terminations', 'truncations'):
        if np.ndim(getattr(episode, field)) != 1:
            fail(field, f'of the shape {np.shape(getattr(episode, field))}, not one entry a step')
        if len(odd := border.no_marks(getattr(episode, field))):
            fail(field, f'{odd[0]:g} is neither 0 nor 1')
    try:
        observations = flatten_observation(episode.observations, keys, length + 1, precision.exact)
    except (ValueError, KeyError) as error:
        fail('observations', f'not {length + 1} observations of {keys or "one array"} ({error})')
    if observations.shape[1] != task.spec.observation_size:
        fail('observations', f'{observations.shape[1]} features, not {task.spec.observation_size}')

    taken = np.asarray(episode.actions).reshape(length, -1)
    if taken.shape[1] != (1 if action_map.discrete else action_map.size):
        fail('actions', f'{taken.shape[1]} entries a step do not fit {source.action_space}')
    for field, values in (
        ('observations', observations),
        ('actions', taken),
        ('rewards', rewards),
    ):
        if not np.all(np.isfinite(values)):
            fail(field, 'NaN or infinite values')
    for field, values in (('observations', observations), ('rewards', rewards[:, None])):
        beyond = np.abs(values) > precision.LARGEST
        if beyond.any():
            step, column = np.argwhere(beyond)[0]
            where = f'step {step}'
            if field == 'observations':
                where = f'entry {entries(source.observation_space, task)[column]}, {where}'
            value = values[step, column]
            fail(field, f'{value:g} in {where} is beyond float32, in which it is kept: scale it')
    outside = action_map.outside(taken)
    if outside.any():
        step = int(outside.argmax())
        if action_map.discrete and taken[step, 0] != np.floor(taken[step, 0]):
            fail('actions', f'{taken[step, 0]:g} in step {step} is no index of {source.action_space}')
        fail('actions', f'step {step} is outside the bounds of {source.action_space}')
    lost.observation.add(observations)
    lost.reward.add(rewards[:, None])
    if not action_map.discrete:
        lost.action.add(action_map.to_unit(taken))
    return {
        'observation': observations[:-1],
        'action': action_map.to_algorithm(taken),
        'reward': rewards,
        'discount': ~np.asarray(episode.terminations, bool),
        'next_observation': observations[1:],
        'truncation': episode.truncations,
    }

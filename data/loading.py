"""Minari datasets as flat arrays, read once and memory-mapped ever after."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import minari
import numpy as np
from minari.dataset.minari_dataset import MinariDataset, parse_dataset_id
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path
from tqdm import tqdm

from data import (
    actions,
    blocks,
    border,
    cache,
    columns,
    disk,
    env_specs,
    flat,
    problem,
    recipes,
    reference_scores,
)  # fmt: skip
from data.problem import Problem
from data.recipes import storage
from data.types import DatasetError, Preferences, Spec, Transition

# Part of every cache's key: a change in what is cached makes the caches of before stale.
_CACHE_VERSION = 5
# What of the episodes' infos is cached, where every step has it.
LOG_PROB, DURATION = 'log_prob', 'duration'
# The least and the most of each dimension of the recorded actions; None where nobody needs it.
ActionRange = tuple[list[float], list[float]] | None


class Dataset(NamedTuple):
    """A fixed log of experience, episode after episode.

    Attributes:
        problem: what it is a log of; its name is the Minari id.
        transitions: arrays of N steps in recorded order; memory maps of the cache, unless a
            transform has replaced them.
        truncation: bool (N,), true where an episode was cut rather than ended.
        episode_offsets: int64 (E + 1,); episode e is steps [offsets[e], offsets[e + 1]).
        metadata: Minari's metadata, as stored.
        log_prob: log-probability (or -density) of every action under the policy that took it, float64
            (N,), NaN where it is not recorded; None if nowhere.
        duration: time from every step to the next, in the unit of which gamma is the discount, float64
            (N,), positive; None if every step counts one.
        fingerprint: of the cached arrays: equal where two datasets hold the same numbers.
        losses: what of the recorded numbers float32 lost, a sentence each.
        preferences: among its episodes' segments (data/preferences.py); None if nobody states any.
    """

    problem: Problem
    transitions: Transition
    truncation: np.ndarray
    episode_offsets: np.ndarray
    metadata: dict[str, Any]
    log_prob: np.ndarray | None = None
    duration: np.ndarray | None = None
    fingerprint: str = ''
    losses: tuple[str, ...] = ()
    preferences: Preferences | None = None

    @property
    def episode_lengths(self) -> np.ndarray:
        """Steps of each episode, int64 (E,)."""
        return np.diff(self.episode_offsets)

    @property
    def episode_returns(self) -> np.ndarray:
        """Undiscounted sum of rewards of each episode, float64 (E,)."""
        reward, offsets = self.transitions.reward, self.episode_offsets
        return np.concatenate([
            np.add.reduceat(np.asarray(reward[steps], np.float64), offsets[episodes] - steps.start)
            for episodes, steps in blocks.of_episodes(offsets)
        ])  # fmt: skip


def load(dataset_id: str) -> Dataset:
    """Loads a dataset by its Minari id.

    Looks in Minari's local storage; if it is not there, an id that begins with `local/` is built
    from its recipe and any other is downloaded.

    Raises:
        DatasetError: the id is unknown, the data is not what it should be, or its spaces are not
            supported.
    """
    try:
        parse_dataset_id(dataset_id)
    # Minari raises a TypeError where the version is missing.
    except (ValueError, TypeError) as error:
        raise DatasetError(
            f'dataset {dataset_id}: not a Minari id; these look like namespace/name-v0.'
        ) from error
    if not storage.is_stored(dataset_id):
        _obtain(dataset_id)
    return read(get_dataset_path(dataset_id), dataset_id)


def read(path: Path, dataset_id: str) -> Dataset:
    """`load` of a dataset in a directory, which need not be where Minari looks for it."""
    # First: without its spaces, Minari would run whatever environment it names to learn them.
    metadata = border.read_metadata(path / 'data', f'dataset {dataset_id}')
    source = open_source(path, dataset_id)

    def task(action_range: ActionRange) -> Problem:
        return _problem(source, metadata, action_range)._replace(name=dataset_id)

    cached = cache.obtain(
        path,
        dataset_id,
        _fingerprint(path / 'data'),
        lambda building: _write_arrays(source, task, building),
        lambda notes: _kinds(source, task(notes['action_range']).spec),
    )
    arrays = cached.arrays
    return Dataset(
        problem=task(cached.notes['action_range']),
        transitions=Transition(*(arrays[name] for name in Transition._fields)),
        truncation=arrays['truncation'],
        episode_offsets=np.array(arrays['episode_offsets']),
        metadata=metadata,
        fingerprint=cached.fingerprint,
        losses=tuple(cached.notes['losses']),
        **{name: arrays[name] for name in (LOG_PROB, DURATION) if name in arrays},
    )


def _obtain(dataset_id: str) -> None:
    if dataset_id.startswith('local/'):
        recipes.build(dataset_id)
        return
    try:
        minari.download_dataset(dataset_id)
    # The remotes are plug-ins and each raises errors of its own libraries.
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise DatasetError(
            f'dataset {dataset_id}: not in {get_dataset_path()} and not downloadable '
            f'({type(error).__name__}: {reason[0] if reason else "no reason given"}); '
            f'available without network: {", ".join(_available())}.'
        ) from error


def open_source(path: Path, dataset_id: str) -> MinariDataset:
    """The dataset in a directory as Minari has it.

    Raises:
        DatasetError: Minari cannot open it.
    """
    try:
        return MinariDataset(_without_env_specs(MinariStorage.read(path / 'data')))
    except (ValueError, ImportError, KeyError, TypeError, AttributeError, AssertionError,
            RecursionError) as error:  # fmt: skip
        reason = ' '.join(str(error).split())[:300]
        raise DatasetError(f'dataset {dataset_id}: {reason}') from error


def _without_env_specs(stored: MinariStorage) -> MinariStorage:
    """A storage whose environments Minari does not read: its parser takes few old fields, ours all."""
    kind = type(stored)

    def metadata(self) -> dict[str, Any]:
        read = kind.metadata.fget(self)
        return {name: value for name, value in read.items() if name not in env_specs.IN_METADATA}

    silent = type(kind.__name__, (kind,), {'metadata': property(metadata)})
    return silent(
        stored.data_path, stored.observation_space, stored.action_space, stored.jpeg_encoding
    )


def _available() -> list[str]:
    return sorted({*minari.list_local_datasets(), *recipes.RECIPES})


def _fingerprint(path: Path) -> str:
    """Changes whenever the stored dataset does."""
    digest = hashlib.sha256(f'{_CACHE_VERSION}'.encode())
    digest.update((path / 'metadata.json').read_bytes())
    for file in sorted(path.rglob('*')):
        stat = file.stat()
        digest.update(f'{file.name} {stat.st_size} {stat.st_mtime_ns}'.encode())
    return digest.hexdigest()


def _write_arrays(
    source: MinariDataset, task_of: Callable[[ActionRange], Problem], building: Path
) -> dict[str, Any]:
    """Writes what is cached; returns what to say of it."""
    # First, since it refuses the spaces of which nothing is read.
    action_range = flat.action_range(source)
    task = task_of(action_range)
    lost = flat.losses(task)
    steps, episodes = source.total_steps, source.total_episodes
    if not episodes:
        raise DatasetError(f'dataset {source.id}: it has no episodes.')
    arrays = {
        name: disk.new_array(building / f'{name}.npy', dtype, shape)
        for name, (dtype, shape) in _kinds(source, task.spec).items()
    }
    offsets = arrays['episode_offsets']
    progress = tqdm(
        flat.episodes(source),
        f'reading {source.id}',
        episodes,
        unit='episode',
        leave=False,
        disable=None,
    )
    for index, episode in enumerate(progress):
        begin = offsets[index]
        fields = flat.flatten_episode(source, episode, task, lost)
        offsets[index + 1] = end = begin + len(fields['reward'])
        if end > steps:
            raise DatasetError(
                f'dataset {source.id}, episode {index}: its metadata counts {steps} steps, '
                'but its episodes hold more.'
            )
        for name, values in fields.items():
            arrays[name][begin:end] = values
    if offsets[-1] != steps:
        raise DatasetError(
            f'dataset {source.id}: its metadata counts {steps} steps, but its episodes hold '
            f'{offsets[-1]}.'
        )
    for array in arrays.values():
        array.flush()
    for name in (LOG_PROB, DURATION):
        _write_info(source, name, offsets, building)
    return {'action_range': action_range, 'losses': flat.sentences(lost, source, task)}


def _kinds(source: MinariDataset, spec: Spec) -> cache.Kinds:
    """Number types and shapes of the arrays that every dataset has."""
    steps = source.total_steps
    observed = np.float32, (steps, spec.observation_size)
    return {
        'observation': observed,
        'action': (np.int32, (steps,)) if spec.discrete else (np.float32, (steps, spec.action_size)),
        'reward': (np.float32, (steps,)),
        'discount': (np.float32, (steps,)),
        'next_observation': observed,
        'truncation': (np.bool_, (steps,)),
        'episode_offsets': (np.int64, (source.total_episodes + 1,)),
    }


def _write_info(source: MinariDataset, name: str, offsets: np.ndarray, building: Path) -> None:
    if not any(map(len, flat.infos(source, name))):
        return
    array = disk.new_array(building / f'{name}.npy', np.float64, (int(offsets[-1]),))
    for index, values in enumerate(flat.infos(source, name)):
        begin, end = offsets[index : index + 2]
        array[begin:end] = values if values.shape == (end - begin,) else np.nan
        # A NaN is not greater.
        if name == DURATION and not np.all((array[begin:end] > 0) & np.isfinite(array[begin:end])):
            raise DatasetError(
                f"dataset {source.id}, episode {index}, infos 'duration': a positive number for each "
                'step is needed.'
            )
    array.flush()


def _problem(
    source: MinariDataset, metadata: dict[str, Any], action_range: ActionRange
) -> Problem:
    # First, since it refuses the spaces that have no size.
    keys = flat.observation_keys(source.observation_space, source.id)
    action_map = actions.from_space(source.action_space, f'dataset {source.id}', action_range)
    features = gym.spaces.flatdim(source.observation_space)
    recorded_in, judged_in = env_specs.of_metadata(metadata, source.id)
    env_spec = judged_in or recorded_in
    return Problem(
        name=source.id,
        spec=Spec(features, action_map.size, action_map.discrete),
        observation_keys=keys,
        action_map=action_map,
        env_spec=env_spec,
        scores=reference_scores.known(metadata, env_spec),
        reference_lines=metadata.get('reference_lines', {}),
        preprocessing=problem.identity(features),
        columns=columns.of_metadata(
            metadata, features, action_map.size if action_map.discrete else None, f'dataset {source.id}'
        ),
        score_by_success=metadata.get('score_by_success', False),
    )

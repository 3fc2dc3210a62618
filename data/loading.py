"""Minari datasets as flat arrays, read once and memory-mapped ever after."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import minari
import numpy as np
from minari.dataset.minari_dataset import MinariDataset, parse_dataset_id
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path
from tqdm import tqdm

from data import actions, columns, flat, problem, recipes, reference_scores
from data.locking import exclusive
from data.problem import Problem
from data.types import DatasetError, Spec, Transition

# Part of every cache's key: a change in what is cached makes the caches of before stale.
_CACHE_VERSION = 3
# What of the episodes' infos is cached, where every step has it.
LOG_PROB, DURATION = 'log_prob', 'duration'


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
    """

    problem: Problem
    transitions: Transition
    truncation: np.ndarray
    episode_offsets: np.ndarray
    metadata: dict[str, Any]
    log_prob: np.ndarray | None = None
    duration: np.ndarray | None = None
    fingerprint: str = ''

    @property
    def episode_lengths(self) -> np.ndarray:
        """Steps of each episode, int64 (E,)."""
        return np.diff(self.episode_offsets)

    @property
    def episode_returns(self) -> np.ndarray:
        """Undiscounted sum of rewards of each episode, float64 (E,)."""
        rewards = np.asarray(self.transitions.reward, np.float64)
        return np.add.reduceat(rewards, self.episode_offsets[:-1])


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
    path = get_dataset_path(dataset_id)
    if not (path / 'data').exists():
        _obtain(dataset_id)
    source = open_source(dataset_id)
    metadata = source.storage.read_raw_metadata(path / 'data')
    task = _problem(source, metadata)
    cache = path / 'flat'
    key = _fingerprint(path / 'data')
    if not _is_current(cache, key):
        with exclusive(path / '.flat.lock', f'the cache of {dataset_id}'):
            if not _is_current(cache, key):
                _write_cache(source, task, cache, key)
    return _open_cache(task, metadata, cache)


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


def open_source(dataset_id: str) -> MinariDataset:
    """A dataset in Minari's local storage as Minari has it.

    Raises:
        DatasetError: it lacks its spaces, or Minari cannot open it.
    """
    path = get_dataset_path(dataset_id) / 'data'
    try:
        metadata = MinariStorage.read_raw_metadata(path)
        missing = {'observation_space', 'action_space'} - metadata.keys()
        if missing:
            # Minari would run whatever environment the metadata names to learn them.
            raise ValueError(f'its metadata lacks {" and ".join(sorted(missing))}.')
        return MinariDataset(path)
    except (ValueError, ImportError) as error:
        raise DatasetError(f'dataset {dataset_id}: {error}') from error


def is_here(dataset_id: str) -> bool:
    """Whether a dataset is in Minari's local storage."""
    return (get_dataset_path(dataset_id) / 'data').exists()


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


def _is_current(cache: Path, key: str) -> bool:
    index = cache / 'index.json'
    return index.exists() and json.loads(index.read_text())['fingerprint'] == key


def _write_cache(source: MinariDataset, task: Problem, cache: Path, key: str) -> None:
    spec = task.spec
    steps, episodes = source.total_steps, source.total_episodes
    if not episodes:
        raise DatasetError(f'dataset {source.id}: it has no episodes.')
    building = cache.with_name('.flat.unfinished')
    # Only the holder of the lock writes here, so what is found was left by a killed process.
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        shapes = {
            'observation': ((steps, spec.observation_size), np.float32),
            'action': ((steps,), np.int32)
            if spec.discrete
            else ((steps, spec.action_size), np.float32),
            'reward': ((steps,), np.float32),
            'discount': ((steps,), np.float32),
            'next_observation': ((steps, spec.observation_size), np.float32),
            'truncation': ((steps,), np.bool_),
        }
        arrays = {
            name: np.lib.format.open_memmap(building / f'{name}.npy', 'w+', dtype, shape)
            for name, (shape, dtype) in shapes.items()
        }
        offsets = np.zeros(episodes + 1, np.int64)
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
            fields = flat.flatten_episode(source, episode, task)
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
        np.save(building / 'episode_offsets.npy', offsets)
        for name in (LOG_PROB, DURATION):
            _write_info(source, name, offsets, building)
        index = {'fingerprint': key, 'contents': _digest(sorted(building.glob('*.npy')))}
        (building / 'index.json').write_text(json.dumps(index))
        shutil.rmtree(cache, ignore_errors=True)
        building.rename(cache)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        with file.open('rb') as content:
            digest.update(hashlib.file_digest(content, 'sha256').digest())
    return digest.hexdigest()


def _write_info(source: MinariDataset, name: str, offsets: np.ndarray, building: Path) -> None:
    first = next(flat.infos(source, name))
    if not len(first):
        return
    file = building / f'{name}.npy'
    array = np.lib.format.open_memmap(file, 'w+', np.float64, (int(offsets[-1]),))
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


def _open_cache(task: Problem, metadata: dict[str, Any], cache: Path) -> Dataset:
    def array(name: str) -> np.ndarray:
        return np.load(cache / f'{name}.npy', mmap_mode='r')

    return Dataset(
        problem=task,
        transitions=Transition(*map(array, Transition._fields)),
        truncation=array('truncation'),
        episode_offsets=np.load(cache / 'episode_offsets.npy'),
        metadata=metadata,
        fingerprint=json.loads((cache / 'index.json').read_text())['contents'],
        **{name: array(name) for name in (LOG_PROB, DURATION) if (cache / f'{name}.npy').exists()},
    )


def _problem(source: MinariDataset, metadata: dict[str, Any]) -> Problem:
    # First, since it refuses the spaces that have no size.
    keys = flat.observation_keys(source.observation_space, source.id)
    action_map = actions.from_space(source.action_space, f'dataset {source.id}')
    features = gym.spaces.flatdim(source.observation_space)
    env_spec = source._eval_env_spec or source.env_spec
    return Problem(
        name=source.id,
        spec=Spec(features, action_map.size, action_map.discrete),
        observation_keys=keys,
        action_map=action_map,
        env_spec=env_spec,
        scores=reference_scores.known(metadata, env_spec.id if env_spec else None),
        reference_lines=metadata.get('reference_lines', {}),
        preprocessing=problem.identity(features),
        columns=columns.of_metadata(
            metadata, features, action_map.size if action_map.discrete else None, f'dataset {source.id}'
        ),
    )

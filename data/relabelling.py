"""A dataset with other rewards, as a new dataset."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path
from tqdm import tqdm

from data import blocks, border, disk, loading
from data.loading import Dataset
from data.recipes import storage
from data.types import DatasetError

# Of the new dataset's metadata: how its rewards were made. data/judges.py reads it too.
METADATA = 'rewards'


def write(
    dataset: Dataset,
    rewards: np.ndarray,
    dataset_id: str,
    made: dict[str, Any],
    command: str,
    beside: Dataset | None = None,
) -> Path:
    """Writes a copy of a stored dataset with other rewards, all or nothing; returns its directory.

    Everything else is as it is stored, the metadata too but for what tells of the rewards: that says
    how these were made, and from what.

    Args:
        dataset: as loading.load has it, all of its episodes.
        rewards: of each of its steps, (N,).
        dataset_id: to give to the copy.
        made: how the rewards were made, plain data.
        command: line that asks for this, kept with the copy.
        beside: as loading.load has it, a dataset whose episodes follow, with the rewards that they have.

    Raises:
        DatasetError: the id cannot be given, a reward is NaN, infinite or beyond float32, or what is
            beside is of other observations or actions.
    """
    _check(dataset, rewards)
    if beside is not None:
        check_beside(dataset, beside)
        made = made | {'beside': beside.problem.name, 'beside_fingerprint': beside.fingerprint}
    source = get_dataset_path(dataset.problem.name) / 'data'
    metadata = dataset.metadata | {
        'dataset_id': dataset_id,
        'description': f'{dataset.problem.name} with other rewards',
        'code_permalink': command,
        METADATA: made | {'of': dataset.problem.name, 'of_fingerprint': dataset.fingerprint},
    }
    with storage.claimed(dataset_id) as place, storage.appearing(place) as data_path:
        disk.check_space(data_path, sum(file.stat().st_size for file in source.rglob('*')))
        shutil.copytree(source, data_path, dirs_exist_ok=True)
        disk.write_text(data_path / border.METADATA, json.dumps(metadata))
        progress = tqdm(
            _episodes(dataset, rewards), f'writing {dataset_id}', len(dataset.episode_lengths),
            unit=' episodes', mininterval=0.5,
        )  # fmt: skip
        stored = MinariStorage.read(data_path)
        (_overwrite_hdf5 if stored.FORMAT == 'hdf5' else _overwrite)(stored, progress)
        if beside is not None:
            _append(stored, beside)
        # What cannot be loaded does not appear.
        loading.read(data_path.parent, dataset_id)
    return place


def check_beside(dataset: Dataset, beside: Dataset) -> None:
    """Raises DatasetError if the episodes of two datasets do not fit into one."""
    ours, theirs = (
        (each.metadata.get('observation_space'), each.metadata.get('action_space'), each.problem.columns)
        for each in (dataset, beside)
    )
    if ours != theirs:
        differ = [
            name for name, one, other in zip(('observations', 'actions', 'columns'), ours, theirs)
            if one != other
        ]  # fmt: skip
        raise DatasetError(
            f'dataset {beside.problem.name} has other {" and ".join(differ)} than dataset '
            f'{dataset.problem.name}, beside which its episodes shall be.'
        )


def _check(dataset: Dataset, rewards: np.ndarray) -> None:
    if rewards.shape != dataset.transitions.reward.shape:
        raise DatasetError(
            f'dataset {dataset.problem.name}: rewards of the shape {rewards.shape} are not one for each '
            f'of its {len(dataset.transitions.reward):,} steps.'
        )
    for steps in blocks.of_steps(len(rewards)):
        finite = np.isfinite(rewards[steps])
        if not finite.all():
            step = steps.start + int(finite.argmin())
            episode = int(np.searchsorted(dataset.episode_offsets, step, side='right')) - 1
            raise DatasetError(
                f'dataset {dataset.problem.name}: the new reward of step '
                f'{step - dataset.episode_offsets[episode]} of episode {episode} is {rewards[step]}.'
            )


def _episodes(dataset: Dataset, rewards: np.ndarray) -> Iterator[np.ndarray]:
    """The rewards of each episode."""
    offsets = dataset.episode_offsets
    for begin, end in zip(offsets[:-1], offsets[1:]):
        yield np.array(rewards[begin:end], np.float64)


def _overwrite_hdf5(stored: MinariStorage, rewards: Iterator[np.ndarray]) -> None:
    """In the place of those that are there: Minari would write whole episodes again."""
    with h5py.File(stored.data_path / 'main_data.hdf5', 'r+') as file:
        for index, values in enumerate(rewards):
            group = file[f'episode_{index}']
            there = group['rewards']
            if (there.shape, there.dtype) == (values.shape, values.dtype):
                there.id.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
            else:
                del group['rewards']
                group['rewards'] = values


def _overwrite(stored: MinariStorage, rewards: Iterator[np.ndarray]) -> None:
    counted = {'total_steps': stored.total_steps, 'total_episodes': stored.total_episodes}
    for index, values in enumerate(rewards):
        (episode,) = stored.get_episodes([index])
        stored.update_episodes([EpisodeBuffer(**episode | {'rewards': values})])
    # Minari takes what it writes for more episodes.
    stored.update_metadata(counted)


def _append(stored: MinariStorage, beside: Dataset) -> None:
    theirs = MinariStorage.read(get_dataset_path(beside.problem.name) / 'data')
    count = len(beside.episode_lengths)
    episodes = (episode for index in range(count) for episode in theirs.get_episodes([index]))
    stored.update_episodes(
        EpisodeBuffer(**episode | {'id': None})
        for episode in tqdm(episodes, f'adding {beside.problem.name}', count, unit=' episodes')
    )

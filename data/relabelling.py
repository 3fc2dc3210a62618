"""A dataset with other rewards, as a new dataset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_dataset import MinariDataset
from minari.storage.datasets_root_dir import get_dataset_path
from tqdm import tqdm

from data import blocks, flat, loading
from data.loading import Dataset
from data.recipes import storage
from data.types import DatasetError

# Of the new dataset's metadata: how its rewards were made. `judges` reads it too.
METADATA = 'rewards'
# What says how and when the file was written, and not what is in it.
_OF_THE_FILE = (
    'dataset_id', 'description', 'code_permalink', 'minari_version', 'data_format', 'jpeg_encoding',
    'observation_space', 'action_space', 'total_episodes', 'total_steps', 'dataset_size',
)  # fmt: skip


def write(
    dataset: Dataset, rewards: np.ndarray, dataset_id: str, made: dict[str, Any], command: str
) -> Path:
    """Writes a copy of a stored dataset with other rewards, all or nothing; returns its directory.

    Observations, actions, ends and infos (arrays of numbers) are as they are stored, the metadata too
    but for what tells of rewards: that says how these were made, and from what.

    Args:
        dataset: as loading.load has it, all of its episodes.
        rewards: of each of its steps, (N,).
        dataset_id: to give to the copy.
        made: how the rewards were made, plain data.
        command: line that asks for this, kept with the copy.

    Raises:
        DatasetError: the id cannot be given, or a reward is NaN or infinite.
    """
    _check(dataset, rewards)
    source = loading.open_source(get_dataset_path(dataset.problem.name), dataset.problem.name)
    with storage.claimed(dataset_id) as place, storage.appearing(place) as data_path:
        storage.write(
            data_path,
            (source.observation_space, source.action_space),
            tqdm(
                _rewritten(source, dataset, rewards), f'writing {dataset_id}',
                len(dataset.episode_lengths), unit=' episodes',
            ),
            {
                **_kept(dataset.metadata),
                'dataset_id': dataset_id,
                'description': f'{dataset.problem.name} with other rewards',
                'code_permalink': command,
                METADATA: made | {'of': dataset.problem.name, 'of_fingerprint': dataset.fingerprint},
            },
        )  # fmt: skip
        # What cannot be loaded does not appear.
        loading.read(data_path.parent, dataset_id)
    return place


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key not in _OF_THE_FILE}
    # Minari writes these of sets.
    authors = {key: kept[key] for key in ('author', 'author_email') if kept.get(key)}
    return kept | {
        key: {value} if isinstance(value, str) else set(value) for key, value in authors.items()
    }


def _check(dataset: Dataset, rewards: np.ndarray) -> None:
    if rewards.shape != dataset.transitions.reward.shape:
        raise DatasetError(
            f'dataset {dataset.problem.name}: rewards of the shape {rewards.shape} are not one for each '
            f'of its {len(dataset.transitions.reward):,} steps.'
        )
    for steps in blocks.of_steps(len(rewards)):
        if not np.all(finite := np.isfinite(rewards[steps])):
            step = steps.start + int(finite.argmin())
            episode = int(np.searchsorted(dataset.episode_offsets, step, side='right')) - 1
            raise DatasetError(
                f'dataset {dataset.problem.name}: the new reward of step '
                f'{step - dataset.episode_offsets[episode]} of episode {episode} is {rewards[step]}.'
            )


def _rewritten(
    source: MinariDataset, dataset: Dataset, rewards: np.ndarray
) -> Iterator[EpisodeBuffer]:
    offsets = dataset.episode_offsets
    for index, episode in enumerate(flat.episodes(source, with_infos=True)):
        yield EpisodeBuffer(
            observations=episode.observations,
            actions=episode.actions,
            rewards=np.asarray(rewards[offsets[index] : offsets[index + 1]], np.float64),
            terminations=episode.terminations,
            truncations=episode.truncations,
            infos=episode.infos,
        )

"""Original D4RL files (Fu et al. 2020, https://arxiv.org/abs/2004.07219) as episodes.

Such a file is a flat recording: arrays of N rows, which data/ingestion/cuts.py cuts into episodes.
"""

from pathlib import Path
from typing import NamedTuple

import gymnasium as gym
import h5py
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete
from tqdm import tqdm

from data import (
    actions,
    border,
    environments,
    frames,
    loading,
    precision,
    reference_scores,
)
from data.ingestion import cuts
from data.ingestion.features import MOST_LABELS
from data.ingestion.files import files
from data.ingestion.formats import reading
from data.recipes import storage
from data.types import DatasetError

_REQUIRED = ('observations', 'actions', 'rewards', 'terminals')
_VECTORS = ('observations', 'actions', 'next_observations')
_MARKS = ('terminals', 'timeouts')


class Bounds(NamedTuple):
    """Of continuous actions: one number, or one for each dimension; () where they are measured."""

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


MEASURED = Bounds()


def convert(
    path: Path,
    dataset_id: str,
    env_id: str = '',
    max_episode_steps: int | None = None,
    bounds: Bounds = MEASURED,
    command: str = '',
) -> tuple[Path, list[str]]:
    """Writes the dataset, all or nothing.

    Args:
        path: of a file in D4RL's layout, or of a directory of such, which are one recording.
        dataset_id: to give to the dataset.
        env_id: gymnasium's, of the environment to evaluate in; '' if there is none.
        max_episode_steps: as in `cuts.episodes`.
        bounds: of the actions, where there is no environment.
        command: line that asks for this, kept with the dataset.

    Returns:
        The dataset's directory, and what is worth saying of it, a sentence each.

    Raises:
        DatasetError: the id is malformed, one of a recipe, or taken; the file or the environment
            cannot be used, or they do not fit each other.
    """
    env_spec = environments.registered(env_id) if env_id else None
    with storage.claimed(dataset_id) as place:
        arrays = _joined(path)
        spaces, notes = _spaces(path, arrays, env_spec, bounds)
        frames.refuse(spaces[0], str(path))
        for name, space in zip(('observations', 'actions'), spaces):
            notes += precision.lost_in(arrays[name], space.dtype, name)
        arrays = _fitting(path, arrays, spaces, env_id or 'the bounds given')
        try:
            found = list(cuts.episodes(arrays, max_episode_steps))
        except DatasetError as error:
            raise DatasetError(f'{path}: {error}') from error
        if not found:
            raise DatasetError(f'{path}: it holds no whole step.')
        scores = reference_scores.known({}, env_spec)
        with storage.appearing(place) as data_path:
            storage.write(
                data_path,
                spaces,
                tqdm(found, desc=dataset_id, unit=' episodes'),
                {
                    'dataset_id': dataset_id,
                    'description': f'D4RL, ingested from {path.name}',
                    'code_permalink': command,
                    **(dict(zip(('ref_min_score', 'ref_max_score'), scores)) if scores else {}),
                },
                env_spec,
            )
            # What cannot be loaded does not appear.
            loading.read(data_path.parent, dataset_id)
    steps = sum(map(len, found))
    return place, [
        f'{len(arrays["rewards"]):,} rows: {steps:,} steps in {len(found):,} episodes',
        *cuts.notes(arrays),
        *notes,
    ]


def _joined(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, or of all files of a directory, one after the other."""
    parts = {file: read(file) for file in files(path)}
    first = next(iter(parts.values()))
    for file, part in parts.items():
        shapes = [{name: array.shape[1:] for name, array in each.items()} for each in (first, part)]
        if shapes[0] != shapes[1]:
            raise DatasetError(f'{file}: its arrays or their shapes are not those of the files before.')
    return {name: np.concatenate([part[name] for part in parts.values()]) for name in first}


def _spaces(
    path: Path, arrays: dict[str, np.ndarray], env_spec: EnvSpec | None, bounds: Bounds
) -> tuple[tuple[gym.Space, gym.Space], list[str]]:
    """Of observations and actions: the environment's, or those that the arrays tell; and what to say."""
    if env_spec is not None:
        return environments.spaces(env_spec), []
    observed, taken = arrays['observations'], arrays['actions']
    # In types that lose nothing of the file's: what float32 loses is found when the dataset is loaded.
    kind = np.result_type(taken, np.float32)
    observed = Box(-np.inf, np.inf, observed.shape[1:], np.result_type(observed, np.float32))
    if taken.dtype.kind in 'biu' and taken.size == len(taken) and bounds == MEASURED:
        low, high = int(taken.min()), int(taken.max())
        if not 0 < high - low < MOST_LABELS:
            raise DatasetError(
                f'{path}: its actions are whole numbers from {low} to {high}; 2 to {MOST_LABELS:,} of '
                'them can be chosen among. With --low and --high they are amounts.'
            )
        space = Discrete(high - low + 1, start=low)
        return (observed, space), [f'actions: {low} to {high}, discrete']
    shape = taken.shape[1:]
    try:
        low, high = (
            np.broadcast_to(np.array(given or measured, kind), shape)
            for given, measured in (
                (bounds.low, taken.min(axis=0)),
                (bounds.high, taken.max(axis=0)),
            )
        )
    except ValueError as error:
        raise DatasetError(f'{path}: --low and --high do not fit actions of shape {shape}.') from error
    if not np.all(low < high):
        raise DatasetError(
            f'{path}: an action never changes, or has a --low that is not below its --high.'
        )
    how = 'given' if bounds.low and bounds.high else 'measured'
    note = f'actions: bounds {how}, {np.array2string(low)} to {np.array2string(high)}'
    return (observed, Box(low, high, shape, kind)), [note]


def _fitting(
    path: Path, arrays: dict[str, np.ndarray], spaces: tuple[gym.Space, gym.Space], owner: str
) -> dict[str, np.ndarray]:
    """The arrays in the spaces' number types, if they are of these spaces."""
    named = {'observations': spaces[0], 'actions': spaces[1]}
    if 'next_observations' in arrays:
        named['next_observations'] = spaces[0]
    for name, space in named.items():
        fits = isinstance(space, Box) and arrays[name].shape[1:] == space.shape
        if not fits and not (
            isinstance(space, Discrete) and arrays[name].size == len(arrays[name])
        ):
            raise DatasetError(
                f'{path}: its {name} have the shape {arrays[name].shape[1:]}, those of {owner} are '
                f'{space}.'
            )
    taken = arrays['actions'].reshape(len(arrays['actions']), -1)
    acts = actions.from_space(spaces[1], owner, (taken.min(axis=0), taken.max(axis=0)))
    outside = acts.outside(taken)
    if outside.any():
        raise DatasetError(f'{path}: its actions are out of bounds in row {outside.argmax()}.')
    return arrays | {
        name: arrays[name].reshape(-1, *space.shape).astype(space.dtype)
        for name, space in named.items()
    }


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name, those in groups (infos/qpos) by path; `metadata` is left out.

    Raises:
        DatasetError: it is no HDF5 file, lacks an array, or has arrays of different lengths, without
            rows, or, among those to learn from, with values that are no finite numbers, or marks that
            are neither 0 nor 1.
    """
    if not path.is_file():
        raise DatasetError(f'{path}: there is no such file.')
    with reading(path, 'HDF5 file'), h5py.File(path, 'r') as file:
        arrays = {
            name: _numbers(item, f'{path}: {name}')
            for name, item in border.arrays(file, path).items()
            if not name.startswith('metadata/')
        }
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise DatasetError(
            f'{path}: it lacks {", ".join(missing)}; there are {", ".join(arrays) or "no arrays"}; the '
            'columns of a table that is no recording of D4RL are named with --episode and others.'
        )
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        described = ', '.join(f'{name} {length}' for name, length in lengths.items())
        raise DatasetError(f'{path}: its arrays differ in length: {described}.')
    if not lengths['rewards']:
        raise DatasetError(f'{path}: its arrays have no rows.')
    for name in (*_REQUIRED, *({'next_observations', 'timeouts'} & arrays.keys())):
        array = arrays[name]
        if not array.size or (name not in _VECTORS and array.size != len(array)):
            raise DatasetError(
                f'{path}: {name} has the shape {array.shape}: it is not of one step a row.'
            )
        rows = np.abs(array.reshape(len(array), -1).astype(np.float64))
        fits = np.all(rows <= precision.LARGEST, axis=1)
        if not fits.all():
            row = int(fits.argmin())
            fault = 'beyond float32' if np.isfinite(array[row]).all() else 'NaN or infinite'
            raise DatasetError(f'{path}: {name} is {fault} in row {row}.')
        if name in _MARKS and len(odd := border.no_marks(array)):
            raise DatasetError(f'{path}: {name} has the value {odd[0]:g}, which is neither 0 nor 1.')
    return arrays


def _numbers(array: h5py.Dataset, owner: str) -> np.ndarray:
    border.extent(array.id, owner)
    return array[:]

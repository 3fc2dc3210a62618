"""Original D4RL files (Fu et al. 2020, https://arxiv.org/abs/2004.07219) as episodes.

Such a file is a flat recording: arrays of N rows, where `terminals` marks steps at which the environment
terminated and `timeouts` those at which a time limit cut the episode. Without `next_observations`, what
followed an episode's last step is not recorded: a step that was cut is then left out, its observation
closing the episode, and after a termination, where nothing is bootstrapped, the last observation stands
twice. Where both marks are set the termination counts.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym
import h5py
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete
from minari.data_collector import EpisodeBuffer
from tqdm import tqdm

from data import actions, environments, frames, precision, reference_scores
from data.ingestion.features import MOST_LABELS
from data.ingestion.files import files
from data.recipes import storage
from data.types import DatasetError

_REQUIRED = ('observations', 'actions', 'rewards', 'terminals')
_VECTORS = ('observations', 'actions', 'next_observations')


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
        max_episode_steps: as in `episodes`.
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
            found = list(episodes(arrays, max_episode_steps))
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
    steps = sum(map(len, found))
    return place, [
        f'{len(arrays["rewards"]):,} rows: {steps:,} steps in {len(found):,} episodes',
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
            rows, or, among those to learn from, with values that are no finite numbers.
    """
    if not path.is_file():
        raise DatasetError(f'{path}: there is no such file.')
    arrays = {}

    def collect(name: str, item) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith('metadata/') and item.shape:
            arrays[name] = item[:]

    try:
        with h5py.File(path, 'r') as file:
            file.visititems(collect)
    except (OSError, KeyError, RuntimeError) as error:
        raise DatasetError(f'{path}: no HDF5 file, or a damaged one ({error}).') from error
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
        if array.dtype.kind not in 'biuf':
            raise DatasetError(f'{path}: {name} holds {array.dtype}, no numbers.')
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
    return arrays


def episodes(
    arrays: dict[str, np.ndarray], max_episode_steps: int | None
) -> Iterator[EpisodeBuffer]:
    """The episodes of `read`'s arrays, infos/* among their infos with one entry per step.

    Args:
        arrays: of a file.
        max_episode_steps: where a file without `timeouts` cut its episodes; not used with them.

    Raises:
        DatasetError: the file has no `timeouts` and there is no max_episode_steps, or a step inside
            an episode does not lead to the next row's observation.
    """
    if 'timeouts' not in arrays and max_episode_steps is None:
        raise DatasetError(
            'the file has no timeouts: say with --max_episode_steps where it cut its episodes.'
        )
    terminals = arrays['terminals'].reshape(-1).astype(bool)
    infos = {
        name.removeprefix('infos/'): array
        for name, array in arrays.items()
        if name.startswith('infos/')
    }
    for begin, end in _bounds(arrays, terminals, max_episode_steps):
        terminated = bool(terminals[end - 1])
        observations = arrays['observations'][begin:end]
        if 'next_observations' in arrays:
            following = arrays['next_observations'][begin:end]
            broken = np.flatnonzero(np.any(following[:-1] != observations[1:], axis=1))
            if len(broken):
                raise DatasetError(
                    f"row {begin + broken[0]}: its next_observations are not the next row's "
                    'observations, and no terminal or timeout stands between them.'
                )
            observations = np.concatenate([observations, following[-1:]])
        elif terminated:
            observations = np.concatenate([observations, observations[-1:]])
        else:
            end -= 1
        if end == begin:
            continue
        last = np.arange(begin, end) == end - 1
        yield EpisodeBuffer(
            observations=observations,
            actions=arrays['actions'][begin:end],
            rewards=arrays['rewards'][begin:end].reshape(-1).astype(np.float64),
            terminations=last & terminated,
            truncations=last & (not terminated),
            infos={name: array[begin:end] for name, array in infos.items()},
        )


def _bounds(
    arrays: dict[str, np.ndarray], terminals: np.ndarray, max_episode_steps: int | None
) -> Iterator[tuple[int, int]]:
    """[begin, end) of each episode; the last may be cut by the end of the file."""
    count = len(terminals)
    if 'timeouts' in arrays:
        ends = np.flatnonzero(terminals | arrays['timeouts'].reshape(-1).astype(bool)) + 1
        begin = 0
        for end in ends:
            yield begin, int(end)
            begin = int(end)
        if begin < count:
            yield begin, count
        return
    begin = 0
    for row in range(count):
        full = row + 1 - begin == max_episode_steps
        if terminals[row] or full or row == count - 1:
            yield begin, row + 1
            begin = row + 1

"""Original D4RL files (Fu et al. 2020, https://arxiv.org/abs/2004.07219) as episodes.

Such a file is a flat recording: arrays of N rows, where `terminals` marks steps at which the environment
terminated and `timeouts` those at which a time limit cut the episode. Without `next_observations`, what
followed an episode's last step is not recorded: a step that was cut is then left out, its observation
closing the episode, and after a termination, where nothing is bootstrapped, the last observation stands
twice. Where both marks are set the termination counts.
"""

from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import h5py
import numpy as np
from gymnasium.spaces import Box
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_dataset import parse_dataset_id
from minari.storage.datasets_root_dir import get_dataset_path
from tqdm import tqdm

from data import actions, environments, reference_scores
from data.locking import exclusive
from data.recipes import storage
from data.types import DatasetError

_REQUIRED = ('observations', 'actions', 'rewards', 'terminals')


def convert(
    file: Path, dataset_id: str, env_id: str, max_episode_steps: int | None = None
) -> Path:
    """Writes the dataset, all or nothing, and returns its directory.

    Args:
        file: in D4RL's layout.
        dataset_id: to give to the dataset.
        env_id: gymnasium's, of the environment to evaluate in.
        max_episode_steps: as in `episodes`.

    Raises:
        DatasetError: the id is malformed, one of a recipe, or taken; the file or the environment
            cannot be used, or they do not fit each other.
    """
    try:
        namespace, _, _ = parse_dataset_id(dataset_id)
    # Minari raises a TypeError where the version is missing.
    except (ValueError, TypeError) as error:
        raise DatasetError(f'dataset {dataset_id}: not a Minari id; d4rl/name-v0 is one.') from error
    if (namespace or '').split('/')[0] == 'local':
        raise DatasetError(f'dataset {dataset_id}: ids that begin with local/ are recipes.')
    env_spec = environments.registered(env_id)
    scores = reference_scores.known({}, env_id)
    if scores is None:
        raise DatasetError(reference_scores.none_for(dataset_id, env_id))
    path = get_dataset_path(dataset_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        environments.make(env_spec) as env,
        exclusive(path.with_name(f'.{path.name}.lock'), dataset_id),
    ):
        if path.exists():
            raise DatasetError(f'dataset {dataset_id} exists already: {path}.')
        arrays = _fitting(file, read(file), env)
        try:
            found = list(episodes(arrays, max_episode_steps))
        except DatasetError as error:
            raise DatasetError(f'{file}: {error}') from error
        if not found:
            raise DatasetError(f'{file}: it holds no whole step.')
        with storage.appearing(path) as data_path:
            storage.write(
                data_path,
                env,
                env_spec,
                tqdm(found, desc=dataset_id, unit=' episodes'),
                {
                    'dataset_id': dataset_id,
                    'description': f'D4RL, converted from {file.name}',
                    'ref_min_score': scores[0],
                    'ref_max_score': scores[1],
                },
            )
    return path


def _fitting(file: Path, arrays: dict[str, np.ndarray], env: gym.Env) -> dict[str, np.ndarray]:
    """The arrays in the environment's number types, if they are of its spaces."""
    spaces = {'observations': env.observation_space, 'actions': env.action_space}
    if 'next_observations' in arrays:
        spaces['next_observations'] = env.observation_space
    for name, space in spaces.items():
        if not isinstance(space, Box) or arrays[name].shape[1:] != space.shape:
            raise DatasetError(
                f'{file}: its {name} have the shape {arrays[name].shape[1:]}, those of '
                f'{env.spec.id} are {space}.'
            )
    action_map = actions.from_space(env.action_space, f'environment {env.spec.id}')
    outside = action_map.outside(arrays['actions'])
    if outside.any():
        raise DatasetError(f'{file}: its actions are out of bounds in row {outside.argmax()}.')
    return arrays | {name: arrays[name].astype(space.dtype) for name, space in spaces.items()}


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
            f'{path}: it lacks {", ".join(missing)}; there are {", ".join(arrays) or "no arrays"}.'
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
        finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        if not finite.all():
            raise DatasetError(f'{path}: {name} is NaN or infinite in row {finite.argmin()}.')
    return arrays


def episodes(arrays: dict[str, np.ndarray], max_episode_steps: int | None) -> Iterator[EpisodeBuffer]:
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

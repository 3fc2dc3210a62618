"""Turns an original D4RL file into a Minari dataset.

    python -m launch.convert_d4rl --file=hopper_medium-v2.hdf5 --env_id=Hopper-v5 \\
        --dataset=d4rl/hopper/medium-v2

For the tasks whose observations are plain vectors today as they were then: Hopper, HalfCheetah,
Walker2d, Adroit. The dataset appears when it is complete and readable, or not at all.
"""

from pathlib import Path

import gymnasium as gym
import numpy as np
from absl import flags
from absl.flags import FLAGS
from gymnasium.spaces import Box
from minari.dataset.minari_dataset import parse_dataset_id
from minari.storage.datasets_root_dir import get_dataset_path
from tqdm import tqdm

from data import actions, d4rl, environments, reference_scores
from data.locking import exclusive
from data.recipes import storage
from data.types import DatasetError
from launch import cli
from launch.cli import UserError


def main(argv: list[str]) -> None:
    """Converts and says where the dataset is."""
    del argv
    if None in (FLAGS.file, FLAGS.dataset, FLAGS.env_id):
        raise UserError('--file, --dataset and --env_id are all needed.')
    path = convert(Path(FLAGS.file), FLAGS.dataset, FLAGS.env_id, FLAGS.max_episode_steps)
    print(f'{FLAGS.dataset} is built: {path}')


def convert(
    file: Path, dataset_id: str, env_id: str, max_episode_steps: int | None = None
) -> Path:
    """Writes the dataset, all or nothing, and returns its directory.

    Raises:
        UserError: the id is malformed, one of a recipe, or taken.
        DatasetError: the file or the environment cannot be used, or they do not fit each other.
    """
    try:
        namespace, _, _ = parse_dataset_id(dataset_id)
    # Minari raises a TypeError where the version is missing.
    except (ValueError, TypeError) as error:
        raise UserError(f'--dataset={dataset_id}: not a Minari id; d4rl/name-v0 is one.') from error
    if (namespace or '').split('/')[0] == 'local':
        raise UserError(f'--dataset={dataset_id}: ids that begin with local/ are recipes.')
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
            raise UserError(f'--dataset={dataset_id} exists already: {path}.')
        arrays = _fitting(file, d4rl.read(file), env)
        try:
            found = list(d4rl.episodes(arrays, max_episode_steps))
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


if __name__ == '__main__':
    flags.DEFINE_string('file', None, 'D4RL file (HDF5)')
    flags.DEFINE_string('dataset', None, 'Minari id to give it')
    flags.DEFINE_string('env_id', None, 'gymnasium id of the environment to evaluate in')
    flags.DEFINE_integer(
        'max_episode_steps', None, 'where a file without timeouts cut its episodes', lower_bound=1
    )
    cli.start(main)

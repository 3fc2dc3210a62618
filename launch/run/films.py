"""Films: of what policies do, and of episodes of a log as they were."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import imageio
from minari.storage.datasets_root_dir import get_dataset_path
from tqdm import tqdm

from data import disk, env_specs, environments, loading, seeding
from data.loading import Dataset
from data.types import DatasetError
from launch.cli import UserError
from launch.run import drawing
from launch.run.lane import Film, strange

_VIDEOS = ('.mp4', '.gif')
# Where environments keep the simulator, themselves included.
_SIMULATED_BY = ('', 'ant_env', 'point_env', 'robot_env')
# A simulator's state, and what OGBench's has beside it.
_STATE, _BUTTONS = ('qpos', 'qvel'), 'button_states'


class Place(NamedTuple):
    """Where a video goes.

    Attributes:
        file: the video.
        unfinished: where it is written until it is whole.
        missing: what to install if nothing can be drawn, a sentence, or ''.
    """

    file: Path
    unfinished: Path
    missing: str


def prepared(file: Path) -> Place:
    """Tries whether a video can be written, and chooses what draws it, before MuJoCo is imported.

    Raises:
        UserError: it cannot be written.
    """
    if file.suffix.lower() not in _VIDEOS:
        raise UserError(f'--video={file}: a name that ends in {" or ".join(_VIDEOS)} is needed.')
    unfinished = file.with_name(f'.unfinished-{file.name}')
    try:
        # No directory is made for it.
        file.parent.stat()
        for each in (file, unfinished):
            disk.check_file(each)
    except OSError as error:
        raise UserError(f'--video={file}: it cannot be written ({error.strerror}).') from error
    return Place(file, unfinished, drawing.choose_backend())


def write(place: Place, draw: Callable[[], Film]) -> None:
    """Draws a film, writes it, all or nothing, and says where.

    Raises:
        UserError: it cannot be drawn; what to install is said with it.
    """
    file, unfinished, missing = place
    try:
        images = draw()
    except UserError as error:
        raise UserError(f'{error} {missing}'.strip()) from error
    try:
        with disk.writing(file):
            imageio.mimsave(unfinished, images.frames, fps=images.frames_per_second)
            unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    print(f'Video: {file}')


def of_log(dataset: Dataset, number: int) -> Film:
    """An episode of a log, drawn in its environment from the states of the simulator in its infos.

    Markers of goals, which are in no state, stay where a reset has put them.

    Raises:
        UserError: there is no such episode, it has no such states, or its environment does not draw
            them.
    """
    name, count = dataset.problem.name, len(dataset.episode_lengths)
    if number >= count:
        raise UserError(f'--episode={number}: dataset {name} has episodes 0 to {count - 1:,}.')
    (episode,) = loading.open_source(get_dataset_path(name), name).iterate_episodes([number])
    infos = episode.infos or {}
    if missing := [each for each in _STATE if each not in infos]:
        raise UserError(
            f'dataset {name}: its infos have no {" and no ".join(missing)}, from which an episode is '
            'drawn.'
        )
    states = [infos[each] for each in (*_STATE, _BUTTONS) if each in infos]
    collected, _ = env_specs.of_metadata(dataset.metadata, name)
    if collected is None:
        raise UserError(f'dataset {name}: it names no environment that could draw it.')
    try:
        env = environments.make(collected, 'rgb_array')
    except DatasetError as error:
        raise UserError(f'no video of {collected.id}: {error}') from error
    images, drawn_by = Film(), f'environment {collected.id}'
    with closing(env):
        with strange(drawn_by, 'reset'):
            seeding.reset(env, 0)
        simulator = _simulator(env)
        for state in tqdm(zip(*states), f'drawing episode {number}', len(states[0]), unit=' frames'):
            with strange(drawn_by, 'drawing a state of the log'):
                simulator.set_state(*state)
            images.take(env, drawn_by)
    return images


def _simulator(env: gym.Env) -> Any:
    base = env.unwrapped
    # Adroit's, whose doors and targets are in the model and drawn anew at every reset.
    if hasattr(base, 'set_env_state'):
        raise UserError(
            f'no video of {env.spec.id}: what it draws anew for each episode is not in qpos and qvel.'
        )
    for name in _SIMULATED_BY:
        inside = getattr(base, name, None) if name else base
        if hasattr(inside, 'set_state'):
            return inside
    raise UserError(f'no video of {env.spec.id}: it cannot be put into a state (set_state).')

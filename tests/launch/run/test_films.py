"""Films of episodes of a log, from the states that it keeps."""

import dataclasses
import re

import gymnasium as gym
import h5py
import imageio
import numpy as np
import pytest
from gymnasium.spaces import Box

from data.ingestion import d4rl
from tests.conftest import collect, store
from tests.launch.helpers import program

MARBLE_ID = 'OfflineRL-tests/Marble-v0'
ID = 'test/marble-v0'


class Marble(gym.Env):
    """Something with a simulator inside, which draws where it is as a shade."""

    metadata = {'render_modes': ['rgb_array'], 'render_fps': 10}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.observation_space = self.action_space = Box(-1.0, 1.0, (1,), np.float32)
        self.robot_env = self
        self._place = 0.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.float32(action), 0.0, False, False, {}

    def set_state(self, qpos, qvel):
        self._place = qpos[0] + qvel[0]

    def render(self):
        return np.full((16, 16, 3), 255 * self._place, np.uint8)


if MARBLE_ID not in gym.registry:
    gym.register(MARBLE_ID, f'{__name__}:Marble', max_episode_steps=20)


def stored(**infos):
    episodes = collect(MARBLE_ID, 2, 5)
    store(ID, [dataclasses.replace(each, infos=infos) for each in episodes], MARBLE_ID)
    return ID


def replay(**flags):
    return program('launch.replay', *(f'--{name}={value}' for name, value in flags.items()))


def test_every_state_of_an_episode_is_drawn(storage, tmp_path):
    places = np.linspace(0, 0.9, 6)
    file = tmp_path / 'film.gif'
    dataset = stored(qpos=places[:, None] / 2, qvel=places[:, None] / 2)
    result = replay(dataset=dataset, episode=1, video=file)
    assert result.returncode == 0, result.stderr
    shades = [frame[0, 0, 0] for frame in imageio.mimread(file)]
    np.testing.assert_allclose(shades, 255 * places, atol=2)


@pytest.mark.parametrize(
    ('infos', 'flags', 'reason'),
    [
        ({}, {}, 'its infos have no qpos and no qvel, from which an episode is drawn'),
        ({'qpos': np.zeros((6, 1))}, {}, 'its infos have no qvel'),
        ({}, {'episode': 2}, '--episode=2: dataset test/marble-v0 has episodes 0 to 1.'),
        ({}, {'video': 'film'}, 'a name that ends in .mp4 or .gif'),
        (
            {'qpos': np.zeros((6, 0)), 'qvel': np.zeros((6, 0))}, {},
            r'drawing a state of the log failed \(IndexError',
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said(storage, tmp_path, infos, flags, reason):
    file = tmp_path / 'film.gif'
    result = replay(**{'dataset': stored(**infos), 'video': file} | flags)
    assert result.returncode == 1 and re.search(reason, result.stderr), result.stderr
    assert not list(tmp_path.glob('*film*'))


def test_a_log_without_infos_is_told(storage, tmp_path):
    made = {
        'observations': np.zeros((6, 3), np.float32), 'actions': np.zeros((6, 1), np.float32),
        'rewards': np.zeros(6), 'terminals': np.zeros(6, bool), 'timeouts': np.arange(6) == 5,
    }  # fmt: skip
    with h5py.File(tmp_path / 'file.hdf5', 'w') as file:
        for name, array in made.items():
            file[name] = array
    d4rl.convert(tmp_path / 'file.hdf5', ID, 'Pendulum-v1')
    result = replay(dataset=ID, video=tmp_path / 'film.gif')
    assert result.returncode == 1 and 'its infos have no qpos and no qvel' in result.stderr


def test_an_environment_without_a_simulator_is_told(storage, tmp_path):
    state = np.zeros((31, 1))
    episodes = collect('Pendulum-v1', 1, 30)
    infos = {'qpos': state, 'qvel': state}
    store(ID, [dataclasses.replace(each, infos=infos) for each in episodes], 'Pendulum-v1')
    result = replay(dataset=ID, video=tmp_path / 'film.gif')
    assert result.returncode == 1 and 'no video of Pendulum-v1: it cannot be put' in result.stderr

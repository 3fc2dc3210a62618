"""Shared by all tests: two host devices, and small Minari datasets in a storage of the test's own."""

import os
import subprocess
import sys
import tempfile

# Before jax starts, and once for all of pytest-xdist's workers, which inherit it.
if 'PYTEST_XDIST_WORKER' not in os.environ:
    # As many host devices as the smallest machine we test on has cores.
    os.environ['XLA_FLAGS'] = os.environ.get('XLA_FLAGS', '') + (
        ' --xla_force_host_platform_device_count=2'
    )
    # Most tests run for less than it takes to compile: in a fifth of the time, to slower code.
    if 'slow' not in sys.argv:
        os.environ['XLA_FLAGS'] += ' --xla_backend_optimization_level=0'
        _quick = os.environ['XLA_FLAGS'] + (
            ' --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1'
        )
        # XLA ends at a flag that its version does not have.
        _known = subprocess.run(
            [sys.executable, '-c', 'from jaxlib import xla_client; xla_client.make_cpu_client()'],
            env=os.environ | {'XLA_FLAGS': _quick}, capture_output=True,
        )  # fmt: skip
        if _known.returncode == 0:
            os.environ['XLA_FLAGS'] = _quick
    os.environ['JAX_PLATFORMS'] = 'cpu'
    # Many tests, and the programs that they start, compile the same small computations.
    _COMPILED = tempfile.TemporaryDirectory()
    os.environ['JAX_COMPILATION_CACHE_DIR'] = _COMPILED.name
    os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'

import gymnasium as gym
import jax
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path


def collect(env_id: str, num_episodes: int, max_steps: int, seed: int = 0) -> list[EpisodeBuffer]:
    """Episodes of uniformly random actions."""
    env = gym.make(env_id, max_episode_steps=max_steps)
    env.action_space.seed(seed)
    episodes = []
    for index in range(num_episodes):
        observations = [env.reset(seed=seed * 1000 + index)[0]]
        actions, rewards, terminations, truncations = [], [], [], []
        while not (terminations and (terminations[-1] or truncations[-1])):
            action = env.action_space.sample()
            observation, reward, terminated, truncated, _ = env.step(action)
            observations.append(observation)
            actions.append(action)
            rewards.append(float(reward))
            terminations.append(terminated)
            truncations.append(truncated)
        episodes.append(
            EpisodeBuffer(
                observations=np.array(observations),
                actions=np.array(actions),
                rewards=rewards,
                terminations=terminations,
                truncations=truncations,
            )
        )
    env.close()
    return episodes


def store(dataset_id, episodes, env_id=None, spaces=None, scores=(-1500.0, -150.0), **metadata):
    """Writes episodes as a Minari dataset; `spaces` (observation, action) replaces the env's."""
    path = get_dataset_path(dataset_id)
    (path / 'data').mkdir(parents=True)
    env = gym.make(env_id) if env_id else None
    observation_space, action_space = spaces or (env.observation_space, env.action_space)
    storage = MinariStorage.new(
        path / 'data',
        observation_space=observation_space,
        action_space=action_space,
        env_spec=env.spec if env else None,
        data_format='hdf5',
    )
    storage.update_episodes(episodes)
    if scores:
        metadata |= {'ref_min_score': scores[0], 'ref_max_score': scores[1]}
    storage.update_metadata({'dataset_id': dataset_id, 'minari_version': '0.5.4'} | metadata)
    return path


@pytest.fixture(scope='module', autouse=True)
def _compiled():
    """Lets go of what a file has compiled: all files together would keep 6 GB."""
    yield
    jax.clear_caches()


@pytest.fixture
def one_core(monkeypatch):
    """Environments are stepped in this process; another takes a second to start."""
    monkeypatch.setattr('data.workers.num_cores', lambda: 1)


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """An empty Minari storage."""
    path = tmp_path / 'minari'
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(path))
    return path


@pytest.fixture
def pendulum(storage):
    """A continuous dataset, 20 truncated episodes of 50 steps; its id."""
    store('test/pendulum-v0', collect('Pendulum-v1', 20, 50), 'Pendulum-v1')
    return 'test/pendulum-v0'


@pytest.fixture
def cartpole(storage):
    """A discrete dataset, 60 episodes, most of them terminated; its id."""
    store('test/cartpole-v0', collect('CartPole-v1', 60, 30), 'CartPole-v1', scores=(20.0, 500.0))
    return 'test/cartpole-v0'

from types import SimpleNamespace

import numpy as np

from data import environments, loading
from launch import problem
from launch.actors import Actors
from tests.launch.helpers import small_config


def test_a_time_limit_ends_an_episode_and_terminates_nothing(pendulum):
    """Two members, filled up to three; episodes of 7 steps; actions drawn at random."""
    task = problem.from_dataset(loading.load(pendulum), small_config(pendulum))
    spec = environments.registered('Pendulum-v1')
    short = task._replace(env_spec=SimpleNamespace(
        id=spec.id, entry_point=spec.entry_point, kwargs={}, max_episode_steps=7
    ))  # fmt: skip
    actors = Actors(short, SimpleNamespace(seeds=np.array([0, 1, 1], np.uint32)), 2, 100)
    actors.restart(0)
    steps = [actors.step(None, step) for step in range(20)]
    actors.close()
    observation, action, reward, discount, following = (np.stack(x) for x in zip(*steps))
    assert observation.shape == (20, 3, 3) and action.shape == (20, 3, 1) and (discount == 1).all()
    goes_on = (following[:-1] == observation[1:]).all(axis=2)
    np.testing.assert_array_equal(~goes_on, np.isin(np.arange(19), (6, 13))[:, None].repeat(3, 1))
    assert not np.array_equal(action[:, 0], action[:, 1])
    np.testing.assert_array_equal(action[:, 1], action[:, 2])
    returns = reward[:14, :2].reshape(2, 7, 2).sum(axis=1).mean(axis=0)
    np.testing.assert_allclose(actors.mean_returns(), returns, rtol=1e-5)
    assert np.isnan(actors.mean_returns()).all()

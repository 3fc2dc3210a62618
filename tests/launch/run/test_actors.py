import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from data import loading
from data.types import Spec
from launch.run.actors import Actors
from tests.data.helpers import problem
from tests.launch.helpers import learner_of, small_config


def test_a_time_limit_ends_an_episode_and_terminates_nothing(pendulum):
    """Three members, filled up to four; episodes of 7 steps; actions drawn at random."""
    spec = dataclasses.replace(gym.spec('Pendulum-v1'), max_episode_steps=7)
    short = loading.load(pendulum).problem._replace(env_spec=spec)
    learner = learner_of(small_config(pendulum, 'td3', num_seeds=3), short)
    actors = Actors(short, learner, 100)
    actors.restart(0)
    steps = [actors.step(None, step, np.ones(3, bool)).transition for step in range(20)]
    actors.close()
    observation, action, reward, discount, following = (np.stack(x) for x in zip(*steps))
    assert observation.shape == (20, 4, 3) and action.shape == (20, 4, 1) and (discount == 1).all()
    goes_on = (following[:-1] == observation[1:]).all(axis=2)
    np.testing.assert_array_equal(~goes_on, np.isin(np.arange(19), (6, 13))[:, None].repeat(4, 1))
    assert not np.array_equal(action[:, 0], action[:, 1])
    assert not np.array_equal(action[:, 1], action[:, 2])
    np.testing.assert_array_equal(action[:, 2], action[:, 3])
    returns = reward[:14, :3].reshape(2, 7, 3).sum(axis=1).mean(axis=0)
    np.testing.assert_allclose(actors.mean_returns(), returns, rtol=1e-5)
    assert np.isnan(actors.mean_returns()).all()


class Counter(gym.Env):
    """Writes each observation, the number of the step, into the same array."""

    observation_space = gym.spaces.Box(-1, 9, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        self._seen = np.zeros(1, np.float32)
        return self._seen, {}

    def step(self, action):
        self._seen += 1
        return self._seen, 0.0, False, False, {}


def test_observations_in_one_array_are_kept_apart(monkeypatch):
    monkeypatch.setattr('data.environments.make', lambda spec, render_mode: Counter())
    task = problem(Spec(1, 1, discrete=False), env_spec=EnvSpec('mine/Counter-v0'))
    actors = Actors(task, learner_of(small_config('', 'td3'), task), 100)
    actors.restart(0)
    steps = [actors.step(None, step, np.ones(1, bool)).transition for step in range(4)]
    assert [float(step.observation[0, 0]) for step in steps] == [0, 1, 2, 3]
    assert [float(step.next_observation[0, 0]) for step in steps] == [1, 2, 3, 4]


def test_a_member_that_has_diverged_breaks_no_environment_and_steps_in_none(pendulum, monkeypatch):
    task = loading.load(pendulum).problem
    actors = Actors(task, learner_of(small_config(pendulum, 'td3'), task), 0)
    actors.restart(0)
    _, reward, *_ = actors._act(0, np.full(1, np.nan, np.float32))[1:]
    assert np.isfinite(reward)
    monkeypatch.setattr(actors._lanes[0], 'step', lambda action: pytest.fail('it steps on'))
    monkeypatch.setattr(actors, '_actions', lambda states, step: np.full((1, 1), np.nan, np.float32))
    stayed = actors.step(None, 0, np.zeros(1, bool)).transition
    assert all(np.isfinite(column).all() for column in stayed)
    np.testing.assert_array_equal(stayed.observation, stayed.next_observation)
    actors.close()

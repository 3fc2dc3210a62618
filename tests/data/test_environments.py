import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from data import environments
from data.types import DatasetError


@pytest.fixture(scope='module')
def sepsis():
    return environments.make(gym.spec(environments.SEPSIS_ID))


def test_sepsis_observes_the_features_of_its_state(sepsis):
    centers = environments.sepsis_parameters().state_cluster_centers
    observation, info = sepsis.reset(seed=0)
    assert observation.shape == (47,) and observation.dtype == np.float32
    assert sepsis.observation_space.contains(observation)
    assert sepsis.action_space == gym.spaces.Discrete(25)
    np.testing.assert_allclose(observation, centers[info['state']], rtol=1e-6)
    assert np.isfinite(centers).all()


def test_an_inadmissible_action_is_deadly(sepsis):
    admissible = environments.sepsis_parameters().admissible_actions
    _, info = sepsis.reset(seed=1)
    action = next(action for action in range(25) if action not in admissible[info['state']])
    observation, reward, terminated, truncated, info = sepsis.step(action)
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info['state'] == 713
    np.testing.assert_array_equal(observation, 0)


def test_sepsis_episodes_repeat_with_their_seed(sepsis):
    admissible = environments.sepsis_parameters().admissible_actions

    def states():
        _, info = sepsis.reset(seed=3)
        visited, over = [info['state']], False
        while not over:
            _, _, over, _, info = sepsis.step(admissible[visited[-1]][0])
            visited.append(info['state'])
        return visited

    assert states() == states()


def test_instances_share_the_dynamics(sepsis):
    other = environments.make(gym.spec(environments.SEPSIS_ID))
    arrays = [env.unwrapped._env.unwrapped.dynamics['tx_mat'] for env in (sepsis, other)]
    assert arrays[0] is arrays[1]


@pytest.mark.filterwarnings('ignore:.*render_mode')
def test_sepsis_has_nothing_to_draw():
    with pytest.raises(DatasetError, match='no render modes'):
        environments.make(gym.spec(environments.SEPSIS_ID), render_mode='rgb_array')


def test_keyword_arguments_and_time_limit_are_those_of_the_metadata():
    spec = gym.spec('Hopper-v5')
    spec = dataclasses.replace(
        spec, max_episode_steps=7, kwargs={'exclude_current_positions_from_observation': False}
    )
    env = environments.make(spec)
    assert env.spec.max_episode_steps == 7
    assert env.observation_space.shape == (12,)


def test_only_the_registered_entry_point_runs():
    spec = dataclasses.replace(gym.spec('CartPole-v1'), entry_point='os:system')
    with pytest.raises(DatasetError, match='CartPole-v1.*os:system.*classic_control'):
        environments.make(spec)


def test_an_entry_point_may_be_a_class(monkeypatch):
    class Mine(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (1,))
        action_space = gym.spaces.Discrete(2)

    monkeypatch.setitem(gym.registry, 'mine/Mine-v0', EnvSpec('mine/Mine-v0', entry_point=Mine))
    spec = environments.registered('mine/Mine-v0')
    assert spec.entry_point == f'{__name__}:{Mine.__qualname__}' and spec.to_json()
    assert isinstance(environments.make(spec).unwrapped, Mine)
    assert environments.time_limit(spec) is None


def test_what_a_constructor_raises_is_told(monkeypatch):
    def fail():
        raise RuntimeError('no licence\nfound')

    spec = EnvSpec('mine/Broken-v0', entry_point=fail)
    monkeypatch.setitem(gym.registry, 'mine/Broken-v0', spec)
    with pytest.raises(DatasetError, match=r'Broken-v0 cannot be made.*Error: no licence found\)$'):
        environments.make(environments.registered('mine/Broken-v0'))


def test_what_has_no_spaces_or_cannot_be_closed_is_told(monkeypatch):
    spec = EnvSpec('mine/Bare-v0', entry_point=gym.Env)
    monkeypatch.setitem(gym.registry, 'mine/Bare-v0', spec)
    with pytest.raises(DatasetError, match=r'mine/Bare-v0 fails \(AttributeError: .*observation_space'):
        environments.spaces(environments.registered('mine/Bare-v0'))
    monkeypatch.setattr('gymnasium.envs.classic_control.CartPoleEnv.close', lambda self: 1 / 0)
    with pytest.raises(DatasetError, match=r'CartPole-v1 fails \(ZeroDivisionError'):
        environments.spaces(gym.spec('CartPole-v1'))


@pytest.mark.parametrize('env_id', ['Hopper-v3', 'Hopper-v2', 'LunarLander-v2'])
def test_an_old_environment_names_its_newest_version(env_id):
    spec = EnvSpec(env_id, entry_point='gymnasium.envs.mujoco.hopper_v3:HopperEnv')
    newest = {'H': 'Hopper-v5', 'L': 'LunarLander-v3'}[env_id[0]]
    with pytest.raises(DatasetError, match=newest) as error:
        environments.make(spec)
    assert ' at 0x' not in str(error.value) and '\n' not in str(error.value)
    assert 'config.env_id' in str(error.value)


def test_what_an_old_version_needs_is_not_to_be_installed(monkeypatch):
    def fail(*args, **kwargs):
        raise gym.error.DependencyNotInstalled('No module named mujoco_py.', 'Take a newer one.')

    # As gymnasium-robotics registers Hopper-v3 again, once it is imported.
    monkeypatch.setattr(gym, 'make', fail)
    found = (
        r'Hopper-v4 needs a package that is missing \(No module named mujoco_py. Take a newer one.\); '
        'its newest version is Hopper-v5; config.env_id'
    )
    with pytest.raises(DatasetError, match=found):
        environments.make(gym.spec('Hopper-v4'))


@pytest.mark.parametrize('env_id', ['NoSuchThing-v0', 'no_such_module:Env-v0'])
def test_an_unregistered_environment_says_how_to_install(env_id):
    with pytest.raises(DatasetError, match=rf'{env_id}.*pip install -e') as error:
        environments.make(EnvSpec(env_id, entry_point='anywhere:Env'))
    assert '\n' not in str(error.value)


def test_a_missing_package_is_named(monkeypatch):
    def fail(*args, **kwargs):
        raise gym.error.DependencyNotInstalled('MuJoCo is not installed')

    monkeypatch.setattr(gym, 'make', fail)
    with pytest.raises(DatasetError, match=r'Hopper-v5.*MuJoCo.*pip install -e'):
        environments.make(gym.spec('Hopper-v5'))


def test_unknown_keyword_arguments_are_refused():
    spec = dataclasses.replace(gym.spec('CartPole-v1'), kwargs={'nonsense': 1})
    with pytest.raises(DatasetError, match='CartPole-v1 does not accept'):
        environments.make(spec)

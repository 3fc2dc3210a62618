"""Where the two returns behind a score come from."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from data import environments
from data.reference_scores import known, normalized_score, table_scores

HOPPER = (-20.272305, 3234.3)


def spec(env_id, **kwargs):
    """The registered environment with other arguments."""
    found = environments.registered(env_id)
    return dataclasses.replace(found, kwargs=found.kwargs | kwargs)


@pytest.mark.parametrize(
    ('env_id', 'scores'),
    [
        ('Hopper-v5', HOPPER),
        ('Hopper-v4', HOPPER),
        ('Ant-v5', (-325.6, 3879.7)),
        ('AntMaze_UMaze-v4', (0.0, 1.0)),
        ('AntMaze_Large_Diverse_GR-v4', (0.0, 1.0)),
        ('AdroitHandPen-v1', (96.262799, 3076.8331017826877)),
    ],
)
def test_table_knows_todays_names(env_id, scores):
    if env_id[:5] not in ('Hoppe', 'Ant-v'):
        pytest.importorskip('gymnasium_robotics')
    assert table_scores(spec(env_id)) == scores


@pytest.mark.parametrize('version', [2, 3])
@pytest.mark.parametrize('package', ['mujoco', 'mujoco.hopper_v3'])
def test_table_knows_the_names_that_d4rl_used(version, package):
    old = EnvSpec(f'Hopper-v{version}', entry_point=f'gymnasium.envs.{package}:HopperEnv')
    assert table_scores(old) == HOPPER


MAZE = 'gymnasium_robotics.envs.maze.point_maze:PointMazeEnv'


@pytest.mark.parametrize(
    'other',
    [
        EnvSpec('PointMaze_UMaze-v3', entry_point=MAZE),
        EnvSpec('AntMaze_UMazeDense-v4', entry_point=MAZE.replace('point_maze', 'ant_maze_v4')),
        EnvSpec('HopperHurdles-v0', entry_point='gymnasium.envs.mujoco:HopperEnv'),
        EnvSpec('mine/Hopper-v5', entry_point='gymnasium.envs.mujoco.hopper_v5:HopperEnv'),
        EnvSpec('Hopper-v0', entry_point='gymnasium.envs.mujoco:HopperEnv'),
        EnvSpec('Hopper-v5', entry_point='mine:HopperEnv'),
        EnvSpec('Hopper-v5', entry_point='gymnasium.envs.mujocolike:HopperEnv'),
        EnvSpec('Pendulum-v1', entry_point='gymnasium.envs.classic_control.pendulum:PendulumEnv'),
    ],
)
def test_table_does_not_guess(other):
    assert table_scores(other) is None


@pytest.mark.parametrize(
    ('kwargs', 'same'),
    [
        ({'render_mode': 'rgb_array', 'exclude_current_positions_from_observation': False}, True),
        ({'forward_reward_weight': 1.0, 'healthy_z_range': [0.7, float('inf')]}, True),
        ({'healthy_reward': 0.0}, False),
        ({'terminate_when_unhealthy': False}, False),
        ({'nonsense': 1}, False),
    ],
)
def test_scores_hold_for_the_rewards_that_they_were_earned_under(kwargs, same):
    assert table_scores(spec('Hopper-v5', **kwargs)) == (HOPPER if same else None)


def test_a_time_limit_and_wrappers_belong_to_the_scale():
    hopper = gym.spec('Hopper-v5')
    assert table_scores(dataclasses.replace(hopper, max_episode_steps=None)) == HOPPER
    assert table_scores(dataclasses.replace(hopper, max_episode_steps=100)) is None
    for name, scores in (('RescaleAction', HOPPER), ('ClipReward', None), ('NormalizeReward', None)):
        wrapper = WrapperSpec(name, f'gymnasium.wrappers.any:{name}', {})
        assert table_scores(dataclasses.replace(hopper, additional_wrappers=(wrapper,))) == scores


def test_mazes_and_kitchens_keep_d4rls_rewards():
    pytest.importorskip('gymnasium_robotics')
    maze = spec('AntMaze_UMaze-v4', maze_map=[[1, 'r', 1]], continuing_task=False)
    assert table_scores(maze) == (0.0, 1.0)
    assert table_scores(spec('AntMaze_UMaze-v4', reward_type='dense')) is None
    assert table_scores(spec('AdroitHandPen-v1', reward_type='sparse')) is None
    tasks = ['microwave', 'kettle', 'bottom burner', 'light switch']
    assert table_scores(spec('FrankaKitchen-v1', tasks_to_complete=tasks)) == (0.0, 4.0)
    assert table_scores(spec('FrankaKitchen-v1', tasks_to_complete=tasks[:2])) is None
    assert table_scores(spec('FrankaKitchen-v1')) is None
    several = {'tasks_to_complete': tasks, 'remove_task_when_completed': False}
    assert table_scores(spec('FrankaKitchen-v1', **several)) is None


def test_own_metadata_comes_before_the_table():
    own = {'ref_min_score': 0, 'ref_max_score': 10}
    assert known(own, gym.spec('Hopper-v5')) == (0.0, 10.0)


@pytest.mark.parametrize(
    'metadata', [{}, {'ref_min_score': 1.0}, {'ref_min_score': None, 'ref_max_score': None}]
)
def test_table_fills_what_metadata_lacks(metadata):
    assert known(metadata, gym.spec('Hopper-v5')) == HOPPER


@pytest.mark.parametrize('other', [gym.spec('Pendulum-v1'), None])
def test_missing_scores_are_none(other):
    assert known({}, other) is None


def test_equal_scores_are_no_scale():
    assert known({'ref_min_score': 3, 'ref_max_score': 3}, gym.spec('Hopper-v5')) is None


def test_score_is_0_for_random_and_100_for_expert():
    scores = normalized_score([-20.0, 80.0, 30.0, 130.0, -70.0], (-20.0, 80.0))
    np.testing.assert_allclose(scores, [0, 100, 50, 150, -50])

"""Environments whose goal is part of what is observed."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

from data import env_specs, environments, problem, seeding
from data.types import DatasetError, Spec
from tests.data import helpers
from tests.data.plane import PLACES, PLANE_ID


def task(env_id=PLANE_ID, size=2, **changes):
    spec = environments.registered(env_id)
    return helpers.problem(Spec(size, 2, False), env_spec=spec, **changes)


def test_observations_are_states_and_goals_of_tasks_in_turn():
    env = environments.make(problem.towards_goals(task()).env_spec)
    assert env.observation_space == gym.spaces.Box(-1.0, 1.0, (4,), np.float32)
    for turn in (0, 1, 4, 5, 13):
        observation, info = env.reset(seed=3, options={'turn': turn})
        assert info['task'] == 1 + turn % 5 and observation.dtype == np.float32
        assert np.abs(observation[2:] - PLACES[turn % 5]).max() < 0.15
        following, reward, terminated, _, info = env.step(np.ones(2, np.float32))
        np.testing.assert_array_equal(following[2:], observation[2:])
        np.testing.assert_allclose(following[:2], np.minimum(observation[:2] + 0.2, 1), rtol=1e-6)
        assert reward == terminated == info['success']
    assert env.reset(seed=3)[1]['task'] == 1


def test_a_problem_towards_goals_is_kept_with_a_run(tmp_path):
    maps = problem.identity(2)._replace(observation_mean=np.float32([1, 2]), reward_shift=np.float32(3))
    before = task(preprocessing=maps, scores=(0.0, 1.0), reference_lines={'best': 1.0})
    made = problem.towards_goals(before)
    assert made.goals and made.spec == Spec(4, 2, False) and made.preprocessing.reward_shift == 3
    np.testing.assert_array_equal(made.preprocessing.observation_mean, [1, 2, 1, 2])
    # They are of one task.
    assert made.scores is None and not made.reference_lines and made.score_by_success
    problem.save(made, tmp_path / 'problem.json')
    kept = problem.load(tmp_path / 'problem.json')
    assert kept.goals and kept.spec == made.spec and kept.env_spec == made.env_spec
    assert environments.spaces(kept.env_spec)[0].shape == (4,)


@pytest.mark.parametrize(
    ('env_id', 'match'),
    [
        ('Pendulum-v1', 'environment Pendulum-v1 has no tasks with goals'),
        ('FrozenLake-v1', r'environment FrozenLake-v1: its observations are Discrete\(16\)'),
    ],
)
def test_environments_without_goals_are_refused(env_id, match):
    spec = dataclasses.replace(gym.spec(env_id), additional_wrappers=(env_specs.GOALS,))
    spec = dataclasses.replace(spec, entry_point=environments.registered(env_id).entry_point)
    with pytest.raises(DatasetError, match=match):
        environments.make(spec)


def test_goals_of_another_shape_are_told(monkeypatch):
    env = environments.make(problem.towards_goals(task()).env_spec)
    for info in ({}, {'goal': np.zeros(3)}):
        monkeypatch.setattr(
            type(env.unwrapped), 'reset', lambda self, info=info, **_: (np.zeros(2, np.float32), info)
        )
        with pytest.raises(DatasetError, match=r"info\['goal'\] has shape .*; a goal is an observation"):
            env.reset(seed=0)


def test_observations_of_several_entries_have_no_goals():
    with pytest.raises(DatasetError, match='observations have the entries achieved, position; goals'):
        problem.towards_goals(task(observation_keys=('achieved', 'position')))


def test_ogbenchs_own_tasks_are_taken_in_turn():
    env = environments.make(problem.towards_goals(task('pointmaze-medium-v0')).env_spec)
    (first, _), (again, _), (other, _) = (
        seeding.reset(env, 4, {'turn': turn}) for turn in (2, 7, 3)
    )
    assert env.unwrapped.cur_task_id == 4 and first.shape == (4,)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[2:] - other[2:]).max() > 1
    env.close()

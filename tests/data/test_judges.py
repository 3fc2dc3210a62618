"""The environment that judges, held against logs that differ from it in one thing."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from minari.serialization import serialize_space

from data import environments, inspection, judges
from data.actions import from_space
from data.loading import Dataset
from data.types import DatasetError, Spec, Transition
from tests.data.helpers import problem

CARTPOLE = gym.spec('CartPole-v1')
BOX = gym.spaces.Box(-10, 10, (2, 3), np.float32)


class Plain(gym.Env):
    """Of any spaces."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space


@pytest.fixture
def made(monkeypatch):
    """A problem in an environment of given spaces, and the log of ten steps that it comes with."""

    def make(
        theirs, ours=None, acted=None, limit=5, ends=(4, 9), terminated=(), truncated=(4, 9), **log
    ):  # fmt: skip
        acted = acted or gym.spaces.Discrete(2)
        spec = EnvSpec('mine/Any-v0', lambda: Plain(theirs, acted), max_episode_steps=limit)
        monkeypatch.setitem(gym.registry, spec.id, spec)
        ours = theirs if ours is None else ours
        size = gym.spaces.flatdim(ours)
        keys = tuple(path for path in judges._entries(ours) if path)
        task = problem(
            Spec(size, 2, True), observation_keys=keys, scores=(0.0, 1.0),
            env_spec=environments.registered(spec.id),
        )  # fmt: skip
        observation = log.pop('observation', np.zeros((10, size), np.float32))
        steps = np.arange(10)
        return Dataset(
            problem=task._replace(**log),
            transitions=Transition(
                observation, np.int32(steps % 2), np.float32(steps),
                np.float32(~np.isin(steps, terminated)), observation,
            ),
            truncation=np.isin(steps, truncated),
            episode_offsets=np.array([0, *(end + 1 for end in ends)]),
            metadata={'observation_space': serialize_space(ours)},
        )  # fmt: skip

    return make


def compared(dataset):
    return judges.compare(dataset.problem, dataset)


def first_fault(dataset):
    (fault, *_), doubts = compared(dataset)
    assert not doubts and '\n' not in fault
    with pytest.raises(DatasetError, match='.'):
        judges.check(dataset.problem, dataset)
    return fault


def only_doubt(dataset):
    """The only doubt, which inspection has as well."""
    faults, (doubt,) = compared(dataset)
    assert not faults and judges.check(dataset.problem, dataset) == [doubt]
    assert doubt in inspection.warnings(dataset)
    return doubt


def test_a_judge_that_fits_raises_no_doubt(made):
    assert compared(made(BOX)) == ([], [])
    nested = gym.spaces.Dict(b=BOX, a=gym.spaces.Dict(c=gym.spaces.Box(0, 1, (2,))))
    assert compared(made(nested)) == ([], [])


def test_a_problem_without_an_environment_has_no_judge():
    with pytest.raises(DatasetError, match='test/made-v0: it names no environment'):
        judges.check(problem(Spec(4, 2, discrete=True)))


SMALL = gym.spaces.Box(-10, 10, (3,))
TWO = gym.spaces.Dict(a=SMALL, b=SMALL)


@pytest.mark.parametrize(
    ('theirs', 'ours', 'fault'),
    [
        (SMALL, BOX, 'its observations are 6 features, those of environment mine/Any-v0 are 3 features'),
        (TWO, BOX, 'its observations are one array, those of environment mine/Any-v0 are a, b'),
        (BOX, TWO, 'are a, b, those of environment mine/Any-v0 are one array'),
        (gym.spaces.Dict(a=SMALL, c=SMALL), TWO, 'are a, b, those of environment mine/Any-v0 are a, c'),
        (gym.spaces.Dict(a=gym.spaces.Box(0, 1, (2,)), b=gym.spaces.Box(0, 1, (4,))), TWO,
         r'its observations a are of shape \(3,\), those of environment mine/Any-v0 are of shape'),
        (gym.spaces.Box(-10, 10, (3, 2)), BOX, r'of shape \(2, 3\), .* of shape \(3, 2\)'),
        (gym.spaces.Discrete(6), BOX, r'those of environment mine/Any-v0 are Discrete\(6\)'),
    ],
)  # fmt: skip
def test_other_observations_are_faults(made, theirs, ours, fault):
    found = first_fault(made(theirs, ours))
    assert found.startswith('dataset test/made-v0: ') and "config.evaluate_in='log'" in found
    with pytest.raises(DatasetError, match=fault):
        raise DatasetError(found)


@pytest.mark.parametrize('theirs', [(6,), (1, 2, 3), (2, 3, 1)])
def test_axes_of_one_and_flat_arrays_are_no_fault(made, theirs):
    assert compared(made(gym.spaces.Box(-10, 10, theirs), BOX)) == ([], [])


def continuous(low, high, size=2, dtype=np.float32):
    return gym.spaces.Box(low, high, (size,), dtype)


@pytest.mark.parametrize(
    ('theirs', 'ours'),
    [
        (gym.spaces.Discrete(3), gym.spaces.Discrete(2)),
        (gym.spaces.Discrete(2, start=1), gym.spaces.Discrete(2)),
        (continuous(-1, 1), gym.spaces.Discrete(2)),
        (gym.spaces.Discrete(2), continuous(-1, 1)),
        (continuous(-2, 2), continuous(-1, 1)),
        (continuous(-1, 1.001), continuous(-1, 1)),
        (continuous(-1, 1, 3), continuous(-1, 1)),
        (gym.spaces.Box(-1, 1, (2, 1)), continuous(-1, 1)),
        (continuous(-1, 1, dtype=np.int64), continuous(-1, 1)),
    ],
)
def test_other_actions_are_faults(made, theirs, ours):
    dataset = made(BOX, acted=theirs, action_map=from_space(ours, 'x'))
    assert first_fault(dataset).startswith('dataset test/made-v0: its actions are ')


@pytest.mark.parametrize(
    'theirs', [continuous(-1, 1, dtype=np.float64), continuous(-1, 1.000001), continuous(-3e38, np.inf)]
)
def test_bounds_that_round_or_stand_for_none_are_no_fault(made, theirs):
    action_map = from_space(continuous(-1, 1), 'x')
    assert compared(made(BOX, acted=theirs, action_map=action_map)) == ([], [])


def test_measured_bounds_fit_wider_ones_alone(made):
    unbounded = continuous(-np.inf, np.inf, dtype=np.float64)
    action_map = from_space(unbounded, 'x', (np.array([-0.5, 0]), np.array([0.5, 2])))
    for theirs in (unbounded, continuous(-1, 3), continuous(-0.5, 2)):
        assert compared(made(BOX, acted=theirs, action_map=action_map)) == ([], [])
    for theirs in (continuous(-1, 1), continuous(0, 3)):
        assert first_fault(made(BOX, acted=theirs, action_map=action_map)).startswith('dataset test')


def test_logged_observations_beyond_the_bounds_are_a_doubt(made):
    observation = np.zeros((10, 6), np.float32)
    observation[3, 4] = 10.0005
    assert compared(made(BOX, observation=observation)) == ([], [])
    observation[3, 4], observation[7, 2] = 12, -11
    doubt = only_doubt(made(BOX, observation=observation))
    assert doubt == (
        'logged observations leave the bounds of mine/Any-v0 in 2 of 6 features: feature 2 goes from '
        '-11 to 0, there from -10 to 10'
    )


def test_the_last_observation_of_an_episode_is_logged_too(made):
    dataset = made(BOX)
    following = np.zeros((10, 6), np.float32)
    following[4, 1] = 13
    steps = dataset.transitions._replace(next_observation=following)
    assert 'feature 1 goes from 0 to 13' in only_doubt(dataset._replace(transitions=steps))


def test_other_number_types_are_a_doubt(made):
    whole = gym.spaces.Box(-10, 10, (2, 3), np.int64)
    assert only_doubt(made(BOX, whole)) == (
        'observations were recorded as int64; those of mine/Any-v0 are float32'
    )
    assert compared(made(gym.spaces.Box(-10, 10, (2, 3), np.float64), BOX)) == ([], [])


def test_episodes_beyond_the_time_limit_are_a_doubt(made):
    doubt = only_doubt(made(BOX, limit=4, ends=(2, 9)))
    assert '(up to 7)' in doubt
    assert doubt.startswith('1 of 2 episodes are longer than the time limit of mine/Any-v0, 4 ')


def test_episodes_that_somebody_else_cut_are_a_doubt(made):
    doubt = only_doubt(made(BOX, limit=200))
    assert '200 steps (after 5 at most)' in doubt
    assert doubt.startswith('2 of 2 episodes were cut, all of them before the time limit of mine/Any-v0')
    ten = {'limit': 200, 'ends': range(10), 'terminated': range(9), 'truncated': [9]}
    assert compared(made(BOX, **ten)) == ([], [])


@pytest.mark.parametrize(
    ('terminated', 'truncated', 'number'),
    [((4, 9), (), 2), ((4, 9), (4, 9), 2), ((4,), (9,), 1), ((4,), (4, 9), 0)],
)
def test_terminations_at_the_time_limit_are_a_doubt(made, terminated, truncated, number):
    """The last: one of two is over at its last step, which a time limit cuts as well."""
    dataset = made(BOX, terminated=terminated, truncated=truncated)
    if number:
        start = f'{number} of 2 episodes end in a termination after exactly 5 steps, as many as the time'
        assert only_doubt(dataset).startswith(start)
    else:
        assert compared(dataset) == ([], [])


def test_without_a_time_limit_the_longest_episode_is_one(made):
    dataset = made(BOX, limit=None, ends=(2, 9), truncated=(2, 9))
    assert only_doubt(dataset).startswith(
        'environment mine/Any-v0 has no time limit: episodes of evaluation end after 7 steps'
    )
    limited = judges.limited(dataset.problem, dataset)
    assert limited.env_spec.max_episode_steps == 7
    assert judges.check(limited) == []
    with pytest.raises(DatasetError, match='has no time limit.* config.max_episode_steps gives it one'):
        judges.check(dataset.problem)
    own = made(BOX, limit=3, ends=(2, 9))
    assert judges.limited(own.problem, own).env_spec.max_episode_steps == 3


def test_all_episodes_of_one_length_may_have_had_a_limit_that_nobody_names(made):
    dataset = made(BOX, limit=None, terminated=(4, 9), truncated=())
    limit, ends = compared(dataset).doubts
    assert 'no time limit' in limit and 'exactly 5 steps, as many as the longest of the log' in ends


def test_wrappers_belong_to_the_conditions_of_a_recording():
    wrapped = gym.wrappers.RescaleObservation(gym.make('Acrobot-v1'), 0.0, 1.0).spec
    watched = gym.wrappers.RecordEpisodeStatistics(gym.make('CartPole-v1')).spec
    steps = np.zeros((1, 6), np.float32)
    dataset = Dataset(
        problem(Spec(6, 3, True), env_spec=wrapped),
        Transition(steps, np.int32([0]), *[np.ones(1)] * 2, steps),
        np.array([False]), np.array([0, 1]), {},
    )  # fmt: skip
    for recorded, judged, same in (
        (wrapped, wrapped, True),
        (wrapped, gym.spec('Acrobot-v1'), False),
        (watched, CARTPOLE, True),
        (dataclasses.replace(CARTPOLE, kwargs={'render_mode': 'human'}), CARTPOLE, True),
        (dataclasses.replace(CARTPOLE, max_episode_steps=9), CARTPOLE, False),
        (dataclasses.replace(CARTPOLE, max_episode_steps=None), CARTPOLE, True),
        (CARTPOLE, None, False),
    ):
        task = dataset.problem._replace(env_spec=judged)
        found = dataset._replace(problem=task, metadata={'env_spec': recorded.to_json()})
        assert judges.comparable(found) == same


def test_arguments_that_cannot_be_kept_are_a_fault():
    spec = dataclasses.replace(CARTPOLE, kwargs={'model': object()})
    with pytest.raises(DatasetError, match='CartPole-v1: its arguments cannot be kept as JSON'):
        judges.check(problem(Spec(4, 2, True), env_spec=spec))

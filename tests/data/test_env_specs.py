"""What texts say of environments: fields of all times, and wrappers made again."""

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from data import env_specs, environments, loading
from data.types import DatasetError
from tests.conftest import collect, store

CARTPOLE = gym.spec('CartPole-v1')
FIELDS = json.loads(CARTPOLE.to_json())


@pytest.mark.parametrize('decoded', [True, False])
def test_what_gymnasium_writes_is_read(decoded):
    spec = dataclasses.replace(CARTPOLE, kwargs={'sutton_barto_reward': True})
    text = json.loads(spec.to_json()) if decoded else spec.to_json()
    assert env_specs.parse(text, 'x') == spec


OLD = (
    {'autoreset': True},
    {'apply_api_compatibility': None, 'autoreset': False},
    {'namespace': None, 'name': 'CartPole', 'version': 1},
)


@pytest.mark.parametrize('old', OLD)
def test_fields_that_gymnasium_has_dropped_are_dropped(old):
    assert env_specs.parse(FIELDS | old, 'x') == CARTPOLE


def test_fields_that_have_come_since_have_their_defaults():
    del (fields := dict(FIELDS))['additional_wrappers'], fields['vector_entry_point']
    spec = env_specs.parse(fields, 'x')
    assert spec.additional_wrappers == () and spec.max_episode_steps == 500


@pytest.mark.parametrize('old', OLD)
def test_a_dataset_of_an_older_gymnasium_loads(storage, old):
    path = store('test/old-v0', collect('CartPole-v1', 1, 5), 'CartPole-v1')
    file = path / 'data' / 'metadata.json'
    metadata = json.loads(file.read_text())
    text = json.dumps(FIELDS | old, separators=(',', ':'))
    file.write_text(json.dumps(metadata | {'env_spec': text, 'eval_env_spec': text}))
    assert loading.load('test/old-v0').problem.env_spec == CARTPOLE


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('{', 'x is no JSON'),
        ('7', 'x is 7; an object is needed'),
        ({'entry_point': 'a:B'}, 'x lacks id'),
        ({'id': 'a b'}, r"x: id is 'a b'; one such as namespace/Name-v0 is needed"),
        ({'id': None}, 'x: id is None; a text is needed'),
        (FIELDS | {'speed': 1}, "x has the unknown field 'speed'; known ones: id, entry_point"),
        (FIELDS | {'max_episode_steps': '500'}, 'max_episode_steps .* a positive whole number or null'),
        (FIELDS | {'max_episode_steps': 0}, 'max_episode_steps is 0'),
        (FIELDS | {'max_episode_steps': True}, 'max_episode_steps is True'),
        (FIELDS | {'order_enforce': 1}, 'order_enforce is 1; true or false is needed'),
        (FIELDS | {'kwargs': [1]}, r'kwargs is \[1\]; an object is needed'),
        (FIELDS | {'additional_wrappers': None}, 'additional_wrappers is None; a list is needed'),
        (FIELDS | {'additional_wrappers': ['Clip']}, "x, wrapper 0 is 'Clip'; an object is needed"),
        (FIELDS | {'additional_wrappers': [{'name': 'Clip'}]}, 'wrapper 0 lacks entry_point and kwargs'),
    ],
)  # fmt: skip
def test_other_texts_are_one_sentence(text, sentence):
    with pytest.raises(DatasetError, match=sentence) as error:
        env_specs.parse(text, 'x')
    assert '\n' not in str(error.value)


def wrapped(env_id, *wrappers):
    """An environment as a user wraps it, and as its text makes it again."""
    env = gym.make(env_id, disable_env_checker=True)
    for wrapper, kwargs in wrappers:
        env = wrapper(env, **kwargs)
    return env, environments.make(env_specs.parse(env.spec.to_json(), 'x'))


W = gym.wrappers
PENDULUM = [
    [(W.RescaleAction, {'min_action': -1.0, 'max_action': 3.0})],
    [(W.RescaleObservation, {'min_obs': 0.0, 'max_obs': 1.0})],
    [(W.TimeAwareObservation, {})],
    [(W.TimeAwareObservation, {'flatten': False}), (W.FilterObservation, {'filter_keys': ['obs']}),
     (W.FlattenObservation, {})],
    [(W.RescaleAction, {'min_action': 0.0, 'max_action': 1.0}), (W.ClipAction, {})],
    [(W.ClipReward, {'min_reward': -1.0, 'max_reward': 0.0})],
    [(W.FrameStackObservation, {'stack_size': 3}), (W.ReshapeObservation, {'shape': (9,)})],
    [(W.DelayObservation, {'delay': 2})],
    [(W.StickyAction, {'repeat_action_probability': 0.5})],
    [(W.DiscretizeAction, {'bins': (5,)})],
    [(W.DtypeObservation, {'dtype': 'float64'})],
    [(W.RecordEpisodeStatistics, {}), (W.RescaleAction, {'min_action': -1.0, 'max_action': 1.0})],
]  # fmt: skip


@pytest.mark.parametrize('wrappers', PENDULUM, ids=lambda each: each[0][0].__name__)
def test_known_wrappers_do_again_what_they_did(wrappers):
    env, again = wrapped('Pendulum-v1', *wrappers)
    assert again.observation_space == env.observation_space
    assert again.action_space == env.action_space
    env.action_space.seed(0)
    np.testing.assert_array_equal(*(np.asarray(each.reset(seed=3)[0]) for each in (env, again)))
    for _ in range(5):
        action = env.action_space.sample()
        ours, theirs = (each.step(action) for each in (env, again))
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:4] == theirs[1:4]


def test_bounds_of_each_dimension_are_arrays_again():
    bounds = {'min_action': [0.0, -1.0, -2.0], 'max_action': [1.0, 1.0, 1.0]}
    wrapper = WrapperSpec('RescaleAction', 'gymnasium.wrappers.rescale_action:RescaleAction', bounds)
    env = environments.make(dataclasses.replace(gym.spec('Hopper-v5'), additional_wrappers=(wrapper,)))
    np.testing.assert_array_equal(env.action_space.low, bounds['min_action'])


def in_wrapper(entry_point, kwargs=None, spec=CARTPOLE):
    wrapper = WrapperSpec(entry_point.partition(':')[2], entry_point, kwargs)
    return dataclasses.replace(spec, additional_wrappers=(wrapper,))


@pytest.mark.parametrize(
    ('entry_point', 'kwargs', 'reason'),
    [
        ('no_such_module:Evil', {}, 'no_such_module:Evil'),
        ('mine:RescaleAction', {'min_action': 0, 'max_action': 1}, 'wrapper mine:RescaleAction'),
        ('mine:RecordVideo', {}, 'wrapper mine:RecordVideo'),
        ('gymnasium.wrappers.common:RescaleAction', None, 'RescaleAction'),
        ('gymnasium.wrappers:NormalizeObservation', {'epsilon': 1e-8}, 'variance .* are not recorded'),
        ('gymnasium.wrappers:NormalizeReward', {}, 'variance .* are not recorded'),
        ('gymnasium.wrappers:RepeatAction', {'num_repeats': 2}, 'RepeatAction, which cannot'),
        ('gymnasium.wrappers:RescaleAction', {}, 'RescaleAction does not accept {}'),
        ('gymnasium.wrappers:TimeLimit', {'max_episode_steps': -1}, 'TimeLimit does not accept'),
    ],
)  # fmt: skip
def test_other_wrappers_are_refused_by_name(entry_point, kwargs, reason):
    with pytest.raises(DatasetError, match=reason) as error:
        environments.make(in_wrapper(entry_point, kwargs))
    assert 'config.env_id' in str(error.value) and "config.evaluate_in='log'" in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'entry_point',
    ['gymnasium.wrappers.common:RecordEpisodeStatistics', 'gymnasium.wrappers:RecordVideo',
     'gymnasium.wrappers.autoreset:AutoResetWrapper', 'minari.data_collector:DataCollector'],
)  # fmt: skip
def test_wrappers_that_only_watch_are_left_out(entry_point):
    spec = in_wrapper(entry_point)
    assert env_specs.effective(spec.additional_wrappers) == []
    assert environments.make(spec).spec.additional_wrappers == ()


def test_wrappers_that_a_package_registers_are_not_put_on_twice(monkeypatch):
    rescale = WrapperSpec('RescaleAction', 'gymnasium.wrappers.transform_action:RescaleAction',
                          {'min_action': -1.0, 'max_action': 1.0})  # fmt: skip
    time = WrapperSpec('TimeAwareObservation', 'gymnasium.wrappers:TimeAwareObservation', {})
    base = gym.spec('Pendulum-v1')
    own = EnvSpec('mine/P-v0', base.entry_point, max_episode_steps=9, additional_wrappers=(rescale,))
    monkeypatch.setitem(gym.registry, 'mine/P-v0', own)
    both = environments.make(dataclasses.replace(own, additional_wrappers=(rescale, time)))
    assert [each.name for each in both.spec.additional_wrappers] == [rescale.name, time.name]
    assert both.observation_space.shape == (4,) and both.action_space.high == 1
    with pytest.raises(DatasetError, match='names the wrapper .*TimeAware.* where the installed'):
        environments.make(dataclasses.replace(own, additional_wrappers=(time,)))

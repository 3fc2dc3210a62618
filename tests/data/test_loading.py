"""Every array that the loader hands out, its cache, and the ids that it knows."""

import dataclasses

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from data import behaviour, flat, loading
from data.types import DatasetError, Spec
from tests.conftest import collect, store
from tests.data.helpers import ID, LINE, UNIT, episode, overwrite


@pytest.mark.parametrize('name', ['pendulum', 'cartpole'])
def test_arrays_equal_a_step_by_step_reading(name, request):
    dataset_id = request.getfixturevalue(name)
    source = minari.load_dataset(dataset_id)
    steps, offsets, returns = [], [0], []
    for recorded in source.iterate_episodes():
        for t, reward in enumerate(recorded.rewards):
            action = recorded.actions[t]
            if isinstance(source.action_space, Box):
                low, high = source.action_space.low, source.action_space.high
                action = -1 + 2 * (action - low) / (high - low)
            steps.append(
                (
                    recorded.observations[t],
                    action,
                    reward,
                    0.0 if recorded.terminations[t] else 1.0,
                    recorded.observations[t + 1],
                    recorded.truncations[t],
                )
            )
        offsets.append(len(steps))
        returns.append(sum(recorded.rewards))

    dataset = loading.load(dataset_id)

    loaded = (*dataset.transitions, dataset.truncation)
    for array, expected in zip(loaded, zip(*steps), strict=True):
        np.testing.assert_allclose(array, np.array(expected), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(dataset.episode_offsets, offsets)
    np.testing.assert_array_equal(dataset.episode_lengths, np.diff(offsets))
    np.testing.assert_allclose(dataset.episode_returns, returns, rtol=1e-6)
    dtypes = [array.dtype for array in loaded]
    action_dtype = np.int32 if dataset.problem.spec.discrete else np.float32
    assert dtypes == [np.float32, action_dtype, np.float32, np.float32, np.float32, np.bool_]


def test_termination_and_truncation_stay_apart(cartpole):
    dataset = loading.load(cartpole)
    last = dataset.episode_offsets[1:] - 1
    cut = dataset.episode_lengths == 30
    assert 0 < cut.sum() < len(cut)
    # An episode that falls in its very last step is both; CartPole reports both then.
    terminated = dataset.transitions.discount[last] == 0
    assert np.all(terminated[~cut])
    assert not np.any(dataset.truncation[last[~cut]])
    assert np.all(dataset.truncation[last[cut]])
    assert dataset.transitions.discount[last[cut]].max() == 1
    inside = np.setdiff1d(np.arange(len(dataset.truncation)), last)
    assert np.all(dataset.transitions.discount[inside] == 1)
    assert not np.any(dataset.truncation[inside])


def test_next_observation_of_an_episode_end_is_its_own_last(storage):
    first = episode(3, terminated=True)
    second = episode(2, observations=first.observations[:3] + 5)
    store(ID, [first, second], spaces=(LINE, UNIT))
    transitions = loading.load(ID).transitions
    np.testing.assert_array_equal(transitions.next_observation[2], first.observations[3])
    np.testing.assert_array_equal(transitions.observation[3], second.observations[0])
    np.testing.assert_array_equal(transitions.next_observation[4], second.observations[2])
    np.testing.assert_array_equal(transitions.discount, [1, 1, 0, 1, 1])


def test_actions_are_rescaled_by_the_recorded_bounds(storage):
    bounds = Box(np.float32([-2, 1]), np.float32([2, 5]))
    actions = np.float32([[-2, 1], [2, 5], [0, 3], [1, 4]])
    store(ID, [episode(4, actions=actions)], spaces=(LINE, bounds))
    dataset = loading.load(ID)
    expected = [[-1, -1], [1, 1], [0, 0], [0.5, 0.5]]
    np.testing.assert_allclose(dataset.transitions.action, expected, atol=1e-6)
    np.testing.assert_array_equal(dataset.problem.action_map.low, [-2, 1])
    np.testing.assert_array_equal(dataset.problem.action_map.high, [2, 5])
    assert dataset.problem.action_map.start is None
    assert dataset.problem.spec == Spec(2, 2, discrete=False)


def test_actions_beyond_the_bounds_by_rounding_are_clipped(storage):
    actions = np.float32([[1.00001], [-1.00001]])
    store(ID, [episode(2, actions=actions)], spaces=(LINE, UNIT))
    np.testing.assert_array_equal(loading.load(ID).transitions.action, [[1], [-1]])


def test_discrete_actions_count_from_zero(storage):
    actions = np.array([3, 5, 4])
    store(ID, [episode(3, actions=actions)], spaces=(LINE, Discrete(3, start=3)))
    dataset = loading.load(ID)
    np.testing.assert_array_equal(dataset.transitions.action, [0, 2, 1])
    assert dataset.transitions.action.dtype == np.int32
    assert dataset.problem.action_map.start == 3
    assert dataset.problem.action_map.low is None
    assert dataset.problem.action_map.high is None
    assert dataset.problem.spec == Spec(2, 3, discrete=True)


def test_dict_observations_are_flattened_in_the_recorded_order(storage):
    space = Dict(
        {
            'zone': Box(-99, 99, (1,), np.float64),
            'observation': Box(-99, 99, (2, 2), np.float64),
            'goal': Dict({'kettle': Box(-99, 99, (2,)), 'burner': Box(-99, 99, (1,))}),
        }
    )
    observations = {
        'zone': np.array([[1.0], [11.0], [21.0]]),
        'observation': np.array([[[2.0, 3], [4, 5]], [[12, 13], [14, 15]], [[22, 23], [24, 25]]]),
        'goal': {
            'kettle': np.float32([[6, 7], [16, 17], [26, 27]]),
            'burner': np.float32([[8], [18], [28]]),
        },
    }
    store(ID, [episode(2, observations=observations)], spaces=(space, UNIT))
    dataset = loading.load(ID)
    assert dataset.problem.observation_keys == ('goal/burner', 'goal/kettle', 'observation', 'zone')
    assert dataset.problem.spec.observation_size == 8
    order = np.array([8, 6, 7, 2, 3, 4, 5, 1])
    np.testing.assert_array_equal(dataset.transitions.observation, [order, order + 10])
    np.testing.assert_array_equal(dataset.transitions.next_observation, [order + 10, order + 20])
    # What an environment returns one at a time is flattened by the same function.
    live = flat.flatten_observation(space.sample(), dataset.problem.observation_keys, 1)
    assert live.shape == (1, 8)


def test_evaluation_environment_comes_before_the_collecting_one(storage):
    other = gym.spec('CartPole-v0').to_json()
    store('test/both-v0', collect('CartPole-v1', 1, 5), 'CartPole-v1', eval_env_spec=other)
    assert loading.load('test/both-v0').problem.env_spec.id == 'CartPole-v0'
    store('test/one-v0', collect('CartPole-v1', 1, 5), 'CartPole-v1')
    assert loading.load('test/one-v0').problem.env_spec.id == 'CartPole-v1'
    store('test/none-v0', [episode(2)], spaces=(LINE, UNIT))
    assert loading.load('test/none-v0').problem.env_spec is None


def test_second_load_maps_the_cache_and_leaves_the_source_alone(pendulum, monkeypatch):
    first = loading.load(pendulum)

    def refuse(*args, **kwargs):
        raise AssertionError('the HDF5 file was opened again')

    monkeypatch.setattr(h5py, 'File', refuse)
    second = loading.load(pendulum)
    for array, again in zip((*first.transitions, first.truncation),
                            (*second.transitions, second.truncation)):  # fmt: skip
        assert isinstance(again, np.memmap)
        np.testing.assert_array_equal(array, again)
    np.testing.assert_array_equal(first.episode_offsets, second.episode_offsets)
    assert first.problem.spec == second.problem.spec
    assert first.problem.observation_keys == second.problem.observation_keys


def test_cache_follows_the_stored_data(storage):
    store(ID, [episode(3)], spaces=(LINE, UNIT))
    assert len(loading.load(ID).episode_lengths) == 1
    minari.load_dataset(ID).update_dataset_from_buffer([episode(4)])
    np.testing.assert_array_equal(loading.load(ID).episode_lengths, [3, 4])
    overwrite(ID, 0, 'rewards', [7.0, 8.0, 9.0])
    np.testing.assert_array_equal(loading.load(ID).transitions.reward[:3], [7, 8, 9])


def test_a_fingerprint_is_of_the_numbers_alone(storage):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        store(f'test/{name}-v0', collect('CartPole-v1', 3, 30, seed), 'CartPole-v1')
    first, same, other = (loading.load(f'test/{name}-v0').fingerprint for name in 'abc')
    assert first == same != other


@pytest.mark.parametrize('interruption', [KeyboardInterrupt, OSError])
def test_interrupted_cache_build_leaves_nothing(storage, monkeypatch, interruption):
    path = store(ID, [episode(3), episode(4)], spaces=(LINE, UNIT))
    flatten = flat.flatten_episode

    def interrupted(source, recorded, *others):
        if recorded.id == 1:
            raise interruption
        return flatten(source, recorded, *others)

    with monkeypatch.context() as patch:
        patch.setattr(flat, 'flatten_episode', interrupted)
        with pytest.raises(interruption):
            loading.load(ID)
    assert {entry.name for entry in path.iterdir()} <= {'data', '.flat.lock'}
    np.testing.assert_array_equal(loading.load(ID).episode_lengths, [3, 4])
    assert {entry.name for entry in path.iterdir()} == {'data', 'flat'}


def test_failed_download_says_why_and_what_there_is(pendulum, monkeypatch):
    def offline(dataset_id):
        raise ConnectionError('no route to host\nand a page of details')

    monkeypatch.setattr(minari, 'download_dataset', offline)
    with pytest.raises(DatasetError) as raised:
        loading.load('D4RL/pen/human-v2')
    message = str(raised.value)
    assert 'D4RL/pen/human-v2' in message
    assert 'ConnectionError: no route to host' in message
    assert pendulum in message
    assert 'local/icu-sepsis/clinician-v0' in message
    assert '\n' not in message


def test_other_ids_are_downloaded_and_then_loaded(storage, monkeypatch):
    monkeypatch.setattr(
        minari, 'download_dataset', lambda name: store(name, [episode(2)], spaces=(LINE, UNIT))
    )
    assert loading.load('D4RL/made-v0').problem.name == 'D4RL/made-v0'


def test_unknown_local_id_lists_the_recipes_and_downloads_nothing(storage, monkeypatch):
    monkeypatch.setattr(minari, 'download_dataset', lambda *args: pytest.fail('downloaded'))
    with pytest.raises(DatasetError, match='local/nothing-v0.*local/icu-sepsis/clinician-v0'):
        loading.load('local/nothing-v0')


@pytest.mark.parametrize('dataset_id', ['no-version', 'with space-v0', '../outside-v0', ''])
def test_malformed_id_is_refused(storage, dataset_id):
    with pytest.raises(DatasetError, match='not a Minari id'):
        loading.load(dataset_id)


def test_what_is_known_of_each_step_comes_with_it(storage):
    episodes = [
        dataclasses.replace(episode(length), infos={
            'log_prob': np.full(length, -1.5), 'duration': np.arange(length) + 0.5,
        })
        for length in (2, 3)
    ]  # fmt: skip
    store('test/infos-v0', episodes, spaces=(LINE, UNIT))
    dataset = loading.load('test/infos-v0')
    np.testing.assert_array_equal(dataset.log_prob, np.full(5, -1.5))
    np.testing.assert_array_equal(dataset.duration, [0.5, 1.5, 0.5, 1.5, 2.5])
    overwrite('test/infos-v0', 1, 'infos/log_prob', np.zeros(2))
    np.testing.assert_array_equal(loading.load('test/infos-v0').log_prob, [-1.5] * 2 + [np.nan] * 3)
    overwrite('test/infos-v0', 1, 'infos/duration', np.array([1.0, 0.0, 1.0]))
    with pytest.raises(DatasetError, match="episode 1, infos 'duration': a positive number"):
        loading.load('test/infos-v0')


def test_no_action_is_more_likely_than_certain(storage):
    episodes = [dataclasses.replace(episode(2, actions=np.array([0, 1])), infos={'log_prob': each})
                for each in (np.array([-0.5, 0.0]), np.array([1e-6, 0.25]))]  # fmt: skip
    store('test/sure-v0', episodes[:1], spaces=(LINE, Discrete(2)))
    np.testing.assert_array_equal(behaviour.recorded_log_probs(loading.load('test/sure-v0')), [-0.5, 0])
    store('test/likely-v0', episodes, spaces=(LINE, Discrete(2)))
    with pytest.raises(DatasetError, match="likely-v0, infos 'log_prob': up to 0.25, and no prob"):
        behaviour.recorded_log_probs(loading.load('test/likely-v0'))


def test_what_the_first_episode_lacks_is_not_lacking_in_all(storage):
    def store_infos(dataset_id, name):
        infos = {}, {name: np.full(2, -1.5)}
        episodes = [dataclasses.replace(episode(2), infos=each) for each in infos]
        store(dataset_id, episodes, spaces=(LINE, UNIT))

    store_infos('test/likely-v0', 'log_prob')
    np.testing.assert_array_equal(
        loading.load('test/likely-v0').log_prob, [np.nan, np.nan, -1.5, -1.5]
    )
    store_infos('test/times-v0', 'duration')
    with pytest.raises(DatasetError, match="times-v0, episode 0, infos 'duration': a positive number"):
        loading.load('test/times-v0')


def test_most_datasets_say_nothing_more_of_a_step(pendulum):
    dataset = loading.load(pendulum)
    assert dataset.log_prob is None and dataset.duration is None

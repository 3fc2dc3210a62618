"""Datasets with other rewards."""

import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path

from data import loading, relabelling
from data.types import DatasetError
from tests.conftest import store
from tests.data.helpers import LINE, UNIT, episode

SOURCE, COPY = 'test/source-v0', 'test/copy-v0'


def stored(*episodes, **metadata):
    store(SOURCE, episodes, spaces=(LINE, UNIT), **metadata)
    return loading.load(SOURCE)


def in_arrow(storage, *episodes):
    path = storage / SOURCE / 'data'
    path.mkdir(parents=True)
    made = MinariStorage.new(path, LINE, UNIT, data_format='arrow')
    made.update_episodes(episodes)
    made.update_metadata({'dataset_id': SOURCE, 'minari_version': '0.5.4'})
    return loading.load(SOURCE)


def with_infos(length: int, **infos) -> EpisodeBuffer:
    made = episode(length, terminated=True)
    return EpisodeBuffer(**{name: getattr(made, name) for name in (
        'observations', 'actions', 'rewards', 'terminations', 'truncations')}, infos=infos)  # fmt: skip


def test_everything_but_the_rewards_stays(storage):
    log_prob = -np.arange(1.0, 4.0)
    dataset = stored(
        episode(5),
        with_infos(3, log_prob=log_prob, nested={'state': np.arange(4)}, said=['a', 'b', 'c']),
        author={'somebody'},
        algorithm_name='a policy',
    )
    rewards = np.linspace(-2, 2, 8)
    place = relabelling.write(dataset, rewards, COPY, {'source': 'a test'}, 'the command')
    assert place == get_dataset_path(COPY)
    copy = loading.load(COPY)
    for field in ('observation', 'action', 'discount', 'next_observation'):
        before, after = (getattr(each.transitions, field) for each in (dataset, copy))
        np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(copy.transitions.reward, rewards.astype(np.float32))
    np.testing.assert_array_equal(copy.truncation, dataset.truncation)
    np.testing.assert_array_equal(copy.log_prob, [np.nan] * 5 + list(log_prob))
    last = loading.open_source(place, COPY)[1]
    assert last.infos.keys() == {'log_prob', 'nested', 'said'}
    np.testing.assert_array_equal(last.infos['nested']['state'], np.arange(4))
    assert copy.metadata['rewards'] == {
        'source': 'a test', 'of': SOURCE, 'of_fingerprint': dataset.fingerprint,
    }  # fmt: skip
    kept = ('author', 'algorithm_name', 'ref_min_score', 'ref_max_score')
    assert {key: copy.metadata[key] for key in kept} == {key: dataset.metadata[key] for key in kept}
    assert copy.metadata['code_permalink'] == 'the command'


def test_rewards_of_another_type_are_replaced_and_not_rounded(storage):
    made = episode(3)
    whole = EpisodeBuffer(**vars(made) | {'rewards': np.arange(3)})
    rewards = np.array([0.25, -1.5, 3.75])
    relabelling.write(stored(whole), rewards, COPY, {}, '')
    np.testing.assert_array_equal(loading.load(COPY).transitions.reward, rewards)


def test_what_is_stored_as_arrow_stays_so(storage):
    dataset = in_arrow(storage, episode(2), episode(3))
    rewards = np.arange(5.0)[::-1]
    relabelling.write(dataset, rewards, COPY, {}, '')
    copy = loading.load(COPY)
    assert copy.metadata['data_format'] == 'arrow'
    np.testing.assert_array_equal(copy.transitions.reward, rewards)
    np.testing.assert_array_equal(copy.transitions.observation, dataset.transitions.observation)


@pytest.mark.parametrize(
    ('rewards', 'dataset_id', 'reason'),
    [
        ([0, 1, 2, np.nan, 4], COPY, 'step 1 of episode 1 is nan'),
        ([0, 1, 2], COPY, 'not one for each'),
        ([0, 1, 2, 3, 4], SOURCE, 'exists already'),
        ([0, 1, 2, 3, 4], 'local/test/copy-v0', 'recipes'),
        ([0, 1, 2, 3, 1e300], COPY, 'beyond float32'),
    ],
)
def test_what_cannot_be_written_leaves_nothing(storage, rewards, dataset_id, reason):
    dataset = stored(episode(2), episode(3))
    with pytest.raises(DatasetError, match=reason):
        relabelling.write(dataset, np.array(rewards, np.float64), dataset_id, {}, '')
    assert [path.name for path in (storage / 'test').iterdir()] == ['source-v0']


def test_a_failure_on_the_way_leaves_nothing(storage, monkeypatch):
    dataset = stored(episode(2), episode(3))

    def fail(*arguments):
        raise RuntimeError('a power cut')

    monkeypatch.setattr(relabelling.loading, 'read', fail)
    with pytest.raises(RuntimeError, match='a power cut'):
        relabelling.write(dataset, np.zeros(5), COPY, {}, '')
    assert [path.name for path in (storage / 'test').iterdir()] == ['source-v0']


def test_another_datasets_episodes_follow_with_their_rewards(storage):
    dataset = stored(episode(2), episode(3, terminated=True))
    store('test/labelled-v0', [episode(4), with_infos(3, log_prob=-np.ones(3))], spaces=(LINE, UNIT))
    beside = loading.load('test/labelled-v0')
    relabelling.write(dataset, np.zeros(5), COPY, {'source': 'constant'}, '', beside)
    both = loading.load(COPY)
    for field in ('observation', 'action', 'discount', 'next_observation'):
        parts = [getattr(each.transitions, field) for each in (dataset, beside)]
        np.testing.assert_array_equal(getattr(both.transitions, field), np.concatenate(parts))
    rewards = np.concatenate([np.zeros(5), beside.transitions.reward])
    np.testing.assert_array_equal(both.transitions.reward, rewards)
    np.testing.assert_array_equal(both.episode_lengths, [2, 3, 4, 3])
    np.testing.assert_array_equal(both.log_prob, [np.nan] * 9 + [-1] * 3)
    assert both.metadata['rewards']['beside'] == 'test/labelled-v0'
    assert both.metadata['total_steps'] == 12


def test_episodes_of_something_else_do_not_follow(pendulum):
    dataset = stored(episode(2))
    with pytest.raises(DatasetError, match='has other observations and actions than'):
        relabelling.write(dataset, np.zeros(2), COPY, {}, '', loading.load(pendulum))
    assert not get_dataset_path(COPY).exists()

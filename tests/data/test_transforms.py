"""What preprocessing measures and which steps a filter keeps, against plain NumPy."""

import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from data import loading, transforms
from data.loading import Dataset
from data.problem import Preprocessing
from data.types import DatasetError, Spec, Transition
from tests.data.helpers import problem


def maps_of(data: Dataset, **options) -> Preprocessing:
    return transforms.preprocess(
        data, **{'standardize_observations': False} | options
    ).problem.preprocessing


def dataset(returns: list[float], lengths: list[int]) -> Dataset:
    """Episodes of given returns and lengths, each step marked by the number of its episode."""
    episode = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(len(episode), dtype=np.float32)
    return Dataset(
        problem=problem(Spec(2, 1, discrete=False)),
        transitions=Transition(
            observation=np.stack([episode, step], axis=1).astype(np.float32),
            action=np.zeros((len(episode), 1), np.float32),
            reward=np.repeat(np.array(returns) / lengths, lengths).astype(np.float32),
            discount=np.ones(len(episode), np.float32),
            next_observation=np.stack([episode, step + 1], axis=1).astype(np.float32),
        ),
        truncation=np.append(episode[1:] != episode[:-1], True),
        episode_offsets=np.cumsum([0, *lengths]),
        metadata={},
    )


def test_nothing_asked_for_changes_nothing(pendulum):
    data = loading.load(pendulum)
    maps = maps_of(data)
    mapped = maps.transition(data.transitions)
    for array, expected in zip(mapped, data.transitions):
        np.testing.assert_array_equal(array, expected)


def test_standardisation_equals_float64_numpy():
    data = dataset([0.0], [100_000])
    # Far from zero and many: sums in float32 would not do.
    random = np.random.default_rng(0).normal([1000, -3], [0.5, 20], (100_000, 2))
    observation = random.astype(np.float32)
    batch = data.transitions._replace(
        observation=observation, next_observation=observation[::-1].copy()
    )
    data = data._replace(transitions=batch)
    maps = maps_of(data, standardize_observations=True)
    exact = observation.astype(np.float64)
    np.testing.assert_allclose(maps.observation_mean, exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(maps.observation_std, exact.std(axis=0) + 1e-3, rtol=1e-6)
    seen = maps.transition(batch)
    expected = (exact - exact.mean(axis=0)) / (exact.std(axis=0) + 1e-3)
    np.testing.assert_allclose(seen.observation, expected, atol=1e-3)
    np.testing.assert_allclose(seen.next_observation, expected[::-1], atol=1e-3)
    np.testing.assert_array_equal(seen.reward, batch.reward)


def test_constant_feature_stays_finite():
    data = dataset([1.0, 2.0], [3, 3])
    constant = np.full((6, 2), 7.0, np.float32)
    data = data._replace(transitions=data.transitions._replace(observation=constant))
    maps = maps_of(data, standardize_observations=True)
    np.testing.assert_array_equal(maps.observation(constant), np.zeros((6, 2)))


def test_reward_normalisation_is_1000_over_the_range_of_returns():
    data = dataset([-10.0, 30.0, 5.0], [4, 2, 7])
    maps = maps_of(data, normalize_rewards=True)
    np.testing.assert_allclose(
        maps.reward(data.transitions.reward), data.transitions.reward * 1000 / 40, rtol=1e-6
    )


def test_rewards_are_scaled_before_they_are_shifted():
    data = dataset([0.0, 20.0], [1, 1])
    options = {'normalize_rewards': True, 'reward_scale': 2.0, 'reward_shift': -1.0}
    maps = maps_of(data, **options)
    np.testing.assert_allclose(maps.reward(data.transitions.reward), [-1, 20 * 50 * 2 - 1])


def test_equal_returns_cannot_normalise():
    data = dataset([3.0, 3.0], [2, 2])
    with pytest.raises(DatasetError, match='test/made-v0: all episodes have the return 3,'):
        maps_of(data, normalize_rewards=True)


def test_top_episodes_are_the_best_in_recorded_order():
    returns, lengths = [1.0, 9.0, 5.0, 7.0, 3.0], [2, 3, 1, 4, 10]
    kept = transforms.top_episodes(dataset(returns, lengths), 0.4)
    # The returns 9, 7 and 5 hold 3, 7 and 8 of the 20 steps.
    np.testing.assert_allclose(kept.episode_returns, [9, 5, 7], rtol=1e-6)
    np.testing.assert_array_equal(kept.episode_lengths, [3, 1, 4])
    marks = kept.transitions.observation[:, 0]
    np.testing.assert_array_equal(marks, np.repeat([1, 2, 3], [3, 1, 4]))
    steps = kept.transitions.observation[:, 1]
    np.testing.assert_array_equal(steps, [2, 3, 4, 5, 6, 7, 8, 9])
    np.testing.assert_array_equal(kept.transitions.next_observation[:, 1], steps + 1)
    ends = kept.episode_offsets[1:] - 1
    np.testing.assert_array_equal(np.flatnonzero(kept.truncation), ends)


@pytest.mark.parametrize(
    ('fraction', 'returns'),
    [(0.01, [9.0]), (0.15, [9.0]), (0.16, [9.0, 7.0]), (0.41, [9, 5, 7, 3])],
)
def test_top_episodes_hold_at_least_the_fraction(fraction, returns):
    data = dataset([1.0, 9.0, 5.0, 7.0, 3.0], [2, 3, 1, 4, 10])
    kept = transforms.top_episodes(data, fraction)
    np.testing.assert_allclose(kept.episode_returns, returns, rtol=1e-6)


def test_all_episodes_are_the_dataset_itself():
    data = dataset([1.0, 9.0], [2, 3])
    assert transforms.top_episodes(data, 1.0) is data


@pytest.mark.parametrize('fraction', [0.0, -0.1, 1.1, float('nan')])
def test_top_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(DatasetError, match=r'test/made-v0: top fraction .* is not in \(0, 1\]'):
        transforms.top_episodes(dataset([1.0], [2]), fraction)


def maze(rewards: list[list[float]]) -> Dataset:
    data = dataset([0.0] * len(rewards), [len(each) for each in rewards])
    reward = np.concatenate(rewards).astype(np.float32)
    spec = EnvSpec(
        'Maze-v0', entry_point='gymnasium_robotics.envs.maze.x:Maze', kwargs={'continuing_task': True}
    )
    return data._replace(
        problem=data.problem._replace(env_spec=spec),
        transitions=data.transitions._replace(reward=reward),
    )


def test_episodes_end_at_their_first_goal():
    whole = maze([[0, 0, 1, 1, 0, 1], [0, 0], [1, 0], [0, 1]])
    cut = transforms.cut_at_goal(whole)
    np.testing.assert_array_equal(cut.episode_offsets, [0, 3, 5, 6, 8])
    np.testing.assert_array_equal(cut.transitions.observation[:, 1], [0, 1, 2, 6, 7, 8, 10, 11])
    np.testing.assert_array_equal(cut.transitions.discount, [1, 1, 0, 1, 1, 0, 1, 0])
    np.testing.assert_array_equal(np.flatnonzero(cut.truncation), [4])
    assert cut.problem.env_spec.kwargs == {'continuing_task': False}
    assert whole.transitions.discount.all()
    assert whole.problem.env_spec.kwargs == {'continuing_task': True}


@pytest.mark.parametrize('env_spec', [None, EnvSpec('Hopper-v5', entry_point='gymnasium:Hopper')])
def test_only_mazes_have_a_goal_to_end_at(env_spec):
    data = maze([[0.0, 1.0]])
    data = data._replace(problem=data.problem._replace(env_spec=env_spec))
    with pytest.raises(DatasetError, match='test/made-v0: its environment has no goal to end at'):
        transforms.cut_at_goal(data)


def test_what_is_held_out_is_whole_episodes_that_nobody_learns_from():
    data = dataset([1.0, 2.0, 3.0, 4.0, 5.0], [2, 3, 1, 4, 2])
    data = data._replace(log_prob=np.arange(12.0), duration=np.arange(12.0) + 1)
    learned, held = transforms.hold_out(data, 0.4, seed=3)
    assert len(learned.episode_lengths) == 3 and len(held.episode_lengths) == 2
    together = np.concatenate([learned.log_prob, held.log_prob])
    np.testing.assert_array_equal(np.sort(together), data.log_prob)
    for part in (learned, held):
        np.testing.assert_array_equal(part.transitions.observation[:, 1], part.log_prob)
        np.testing.assert_array_equal(part.duration, part.log_prob + 1)
        ends = part.episode_offsets[1:] - 1
        np.testing.assert_array_equal(np.flatnonzero(part.truncation), ends)
    again = transforms.hold_out(data, 0.4, seed=3)[1]
    np.testing.assert_array_equal(again.log_prob, held.log_prob)
    others = [transforms.hold_out(data, 0.4, seed)[1].log_prob.tolist() for seed in range(8)]
    assert len({str(each) for each in others}) > 1


def test_holding_out_leaves_at_least_one_episode_on_either_side():
    for fraction in (0.01, 0.99):
        parts = transforms.hold_out(dataset([1.0, 2.0], [2, 3]), fraction, seed=0)
        assert [len(part.episode_lengths) for part in parts] == [1, 1]
    with pytest.raises(DatasetError, match='it has one episode'):
        transforms.hold_out(dataset([1.0], [2]), 0.5, seed=0)
    with pytest.raises(DatasetError, match='fraction 1 is not in'):
        transforms.hold_out(dataset([1.0, 2.0], [2, 3]), 1.0, seed=0)


def test_a_step_that_lasts_is_discounted_for_as_long():
    data = dataset([1.0], [3])
    steps = data.transitions._replace(discount=np.array([1, 1, 0], np.float32))
    data = data._replace(transitions=steps)
    assert transforms.discount_durations(data, 0.9) is data
    lasting = transforms.discount_durations(data._replace(duration=np.array([1.0, 2.5, 1.0])), 0.9)
    np.testing.assert_allclose(0.9 * lasting.transitions.discount, [0.9, 0.9**2.5, 0], rtol=1e-6)


def test_returns_are_standardised():
    data = dataset([1.0, 5.0, 3.0], [2, 3, 1])
    assert maps_of(data, standardize_returns=True).reward_scale == pytest.approx(1 / np.std([1, 5, 3]))
    with pytest.raises(DatasetError, match='config.standardize_returns=False'):
        maps_of(dataset([2.0, 2.0], [1, 2]), standardize_returns=True)

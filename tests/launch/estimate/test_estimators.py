"""Estimates and what of them is believed, on logs of every size."""

import numpy as np
import pytest

from algorithms import importance_sampling
from launch.estimate import estimators, ratios
from launch.estimate.behaviour import Behaviour
from launch.estimate.estimators import ESTIMATORS
from tests.launch.estimate.helpers import judged_as, log

pytestmark = pytest.mark.filterwarnings('error')


def test_a_policy_that_the_log_never_follows_is_not_believed():
    (judged,) = judged_as(0.5)
    assert estimators.believe(judged, 0.5, 0.0, 0.5) == judged
    unsure = estimators.believe(judged._replace(mean_weight=0.2), 0.5, 0.0, 0.5)
    assert all('weigh 0.20 on average' in unsure.estimates[name].refusal for name in ESTIMATORS)
    # Continuous actions have no weights.
    continuous = judged._replace(mean_weight=np.nan, effective_sample_size=np.nan)
    assert estimators.believe(continuous, 0.5, 0.0, 0.5).estimates == judged.estimates
    elsewhere = estimators.believe(continuous._replace(support=0.1), 0.5, 0.0, 0.5)
    assert all('supports 10%' in elsewhere.estimates[name].refusal for name in ESTIMATORS)


def test_importance_sampling_of_an_unpadded_log():
    """Episodes of different lengths as rows."""
    pad = estimators.padder(np.array([2, 1, 3]), np.array([True, False, True]))
    np.testing.assert_array_equal(pad(np.arange(6.0), -1.0), [[0, 1, -1], [3, 4, 5]])
    episodes = importance_sampling.Episodes(*(pad(np.ones(6), 0.0),) * 5)
    assert episodes.reward.sum() == 5


def sampled(dataset, probability, gamma=1.0):
    """Importance sampling of the policy that always takes action 0, without a Q."""
    number = len(dataset.transitions.reward)
    log_probs = np.full(number, np.log(probability))
    none = np.full((number, 1), np.nan)
    (found,) = estimators.by_importance_sampling(
        dataset, np.zeros((number, 1), np.int32), none, none,
        Behaviour(log_probs, np.ones(len(dataset.episode_lengths), bool)), gamma,
        np.random.default_rng(0),
    )  # fmt: skip
    return found


def told(estimate):
    """Value, and whether there is an interval."""
    assert np.isnan(estimate.low) == np.isnan(estimate.high)
    return estimate.value, not np.isnan(estimate.low)


def test_one_episode_has_a_value_and_no_interval():
    found, weight, size = sampled(log([3], [0, 1, 2]), 0.5, gamma=0.5)
    assert (weight, size) == pytest.approx((8, 1))
    assert told(found['weighted IS']) == (pytest.approx(0.5 + 0.5), False)
    assert told(found['ordinary IS']) == (pytest.approx(8 * 1.0), False)
    # 0.5 * 4 * 1 + 0.25 * 8 * 2.
    assert told(found['per-decision IS']) == (pytest.approx(6), False)
    assert 'no finite Q' in found['weighted DR'].refusal


def test_where_no_episode_follows_a_sentence_stands_for_every_number():
    found, weight, size = sampled(log([1, 2], [1, 1, 1], actions=[1, 0, 1]), 0.5)
    assert (weight, size) == (0, 0)
    assert {each.refusal for each in found.values()} == {'cannot say: no episode follows the policy.'}


def test_thousands_of_steps_leave_what_is_a_quotient():
    """Two of three episodes follow, one with 2^2000 of weight, the other with twice that."""
    dataset = log([2001, 2000, 3], np.r_[np.full(2001, 0.5), np.full(2000, 0.25), [9, 9, 9]],
                  actions=np.r_[np.zeros(4001), [0, 1, 0]])  # fmt: skip
    found, weight, size = sampled(dataset, 0.5)
    assert (weight, size) == (np.inf, pytest.approx(9 / 5))
    value, known = told(found['weighted IS'])
    assert known and value == pytest.approx((2 * 2001 * 0.5 + 2000 * 0.25) / 3, rel=1e-9)
    for name in ('ordinary IS', 'per-decision IS'):
        assert found[name].refusal == 'cannot say: the weights of its episodes are beyond float64.'
    # Ratios below 1, of a policy that the log follows by chance: nothing is left of the product.
    found, weight, size = sampled(dataset, 2.0)
    assert (weight, size) == (pytest.approx(0), pytest.approx(9 / 5))
    assert told(found['weighted IS'])[0] == pytest.approx((2001 * 0.5 + 2 * 2000 * 0.25) / 3, rel=1e-9)


@pytest.mark.parametrize('reward', [0.0, 0.1, -7.3])
def test_episodes_that_say_the_same_have_no_interval(reward):
    dataset = log([1] * 7, [reward] * 7)
    found, weight, size = sampled(dataset, 1.0)
    assert (weight, size) == pytest.approx((1, 7))
    steps = ratios.log_of(dataset, 0.9)
    assert steps.floor == pytest.approx(reward)
    (model,) = ratios.by_tabular_model(dataset, steps, lambda seen: np.zeros((len(seen), 1), int))
    zeros, tried = np.zeros((7, 1), int), np.ones((7, 1), bool)
    (linear,), untried = ratios.by_linear_ratios(dataset, steps, zeros, tried, zeros, tried)
    assert untried == pytest.approx(0)
    known = [each for name, each in found.items() if name != 'weighted DR']
    for each in (*known, linear, *([] if model.refusal else [model])):
        assert told(each) == (pytest.approx(reward, rel=1e-6, abs=1e-12), False)


def test_single_steps_have_their_frequencies():
    """Actions 0 and 1 in one state, which earn 1 and 3 on average."""
    rewards, actions = [0.5, 1.5, 1, 2, 4, 3, 3, 3, 3, 3], [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    dataset = log([1] * 10, rewards, actions)
    steps = ratios.log_of(dataset, 0.9)
    assert steps.floor == 0.5
    dataset = dataset._replace(transitions=dataset.transitions._replace(
        next_observation=dataset.transitions.observation
    ))  # fmt: skip
    found = ratios.by_tabular_model(
        dataset, steps, lambda seen: np.tile(np.arange(2), (len(seen), 1))
    )
    assert [each.value for each in found] == pytest.approx([1, 3])
    # psi of a step that follows is its error over the share of those: sqrt(sum (10/3 e)^2 / 10 / 10).
    spread = 1.96 * np.sqrt(sum((10 / 3 * e) ** 2 for e in (0.5, 0.5)) / 10 / 10)
    assert found[0].high - found[0].value == pytest.approx(spread)


class Fitted:
    """Values that differ from one resample to the next, as any fit's do."""

    def values(self, observations, actions, resample):
        return np.full(actions.shape[:2], 2.0 + resample)


@pytest.mark.parametrize('episodes', [1, 2])
def test_resamples_of_one_episode_say_nothing_of_chance(episodes):
    initial, actions = np.zeros((episodes, 3)), np.zeros((episodes, 1))
    (found,) = estimators.by_fitted_q(
        Fitted(), initial, actions, np.ones((episodes, 1), bool), 0.0, np.ones((4, episodes))
    )
    assert told(found) == (2, episodes > 1)

"""Returns-to-go against sums in float64, and the episodes that are taken to go on."""

import numpy as np
import pytest

from data import blocks, returns
from tests.data.test_transforms import dataset, maps_of

LENGTHS = [3, 1, 7, 5]


def with_ends(made, terminated):
    made.transitions.discount[made.episode_offsets[1:][terminated] - 1] = 0
    return made


def slow(made, gamma, scale=1.0, shift=0.0):
    found = np.zeros(len(made.transitions.reward))
    for begin, end in zip(made.episode_offsets[:-1], made.episode_offsets[1:]):
        for row in range(begin, end):
            weight = 1.0
            for later in range(row, end):
                reward = scale * float(made.transitions.reward[later]) + shift
                found[row] += weight * reward
                weight *= gamma * float(made.transitions.discount[later])
    return found


@pytest.mark.parametrize('steps_of_a_block', [4, 1 << 16])
def test_they_equal_explicit_sums_of_preprocessed_rewards(steps_of_a_block, monkeypatch):
    """Episodes that terminate and that are cut; one of them lasts for other times than the rest."""
    monkeypatch.setattr(blocks, '_STEPS', steps_of_a_block)
    made, rng = with_ends(dataset([0.0] * 4, LENGTHS), [1, 2]), np.random.default_rng(0)
    reward = rng.standard_normal(16, np.float32)
    made = made._replace(transitions=made.transitions._replace(reward=reward))
    made.transitions.discount[11:15] = 0.9 ** np.arange(4)
    maps = maps_of(made, reward_scale=2.0, reward_shift=-0.5)
    made = made._replace(problem=made.problem._replace(preprocessing=maps))
    found = returns.discounted_to_go(made, 0.9)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow(made, 0.9, 2.0, -0.5), rtol=1e-6, atol=1e-7)


def test_what_only_ever_earns_the_same_is_taken_to_go_on_unless_it_terminates():
    """-1 a step in all episodes but one: cut, cut after one step, terminated, cut with a reward."""
    made = with_ends(dataset([-3.0, -1.0, -7.0, -5.0], LENGTHS), [2])
    made.transitions.reward[13] = 0
    found = returns.discounted_to_go(made, 0.9)
    np.testing.assert_allclose(found[:4], -10, rtol=1e-6)
    np.testing.assert_allclose(found[4:], slow(made, 0.9)[4:], rtol=1e-6)
    # Steps that last two units each: 0.9 is the discount of one.
    made.transitions.discount[:3] = 0.9
    np.testing.assert_allclose(returns.discounted_to_go(made, 0.9)[:3], -1 / (1 - 0.81), rtol=1e-6)
    # Where they last differently, nobody knows how they would go on.
    made.transitions.discount[:3] = 0.9, 1.0, 0.9
    np.testing.assert_allclose(
        returns.discounted_to_go(made, 0.9)[:3], slow(made, 0.9)[:3], rtol=1e-6
    )


def test_without_a_discount_the_sum_of_what_goes_on_is_not_known():
    made = dataset([2.0, 0.0], [2, 2])
    np.testing.assert_array_equal(returns.discounted_to_go(made, 1.0), [-np.inf, -np.inf, 0, 0])

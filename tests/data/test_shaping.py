"""Potential-based shaping."""

import dataclasses

import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer

from data import loading, shaping
from data.types import DatasetError
from tests.conftest import store
from tests.data.helpers import LINE, UNIT, episode

GAMMA, STATES, ACTIONS = 0.9, 6, 3


def values(reward, ends, following, policy):
    """Q of a policy (S, A), where an action that ends leads nowhere, float64 (S, A)."""
    carried = GAMMA * ~ends
    to = np.zeros((STATES, STATES))
    np.add.at(to, (np.arange(STATES)[:, None], following), policy * carried)
    v = np.linalg.solve(np.eye(STATES) - to, (policy * reward).sum(axis=1))
    return reward + carried * v[following]


def best(reward, ends, following):
    q = np.zeros((STATES, ACTIONS))
    for _ in range(500):
        q = reward + GAMMA * ~ends * q.max(axis=1)[following]
    return q


def test_the_best_policy_and_all_differences_of_values_stay(storage):
    """Every action of every state of a small problem as an episode of its own, terminated or cut."""
    rng = np.random.default_rng(0)
    reward = rng.normal(size=(STATES, ACTIONS)).astype(np.float32).astype(np.float64)
    following = rng.integers(STATES, size=(STATES, ACTIONS))
    ends, of_state = rng.random((STATES, ACTIONS)) < 0.3, rng.normal(size=STATES)
    store('test/all-v0', [
        EpisodeBuffer(
            observations=np.array([[s, 0], [following[s, a], 0]], np.float32),
            actions=np.zeros((1, 1), np.float32), rewards=reward[s, a : a + 1],
            terminations=ends[s, a : a + 1], truncations=~ends[s, a : a + 1],
        )
        for s in range(STATES) for a in range(ACTIONS)
    ], spaces=(LINE, UNIT))  # fmt: skip

    def potential(observations):
        return of_state[observations[:, 0].astype(int)]

    shaped = shaping.shaped(loading.load('test/all-v0'), potential, GAMMA).reshape(STATES, ACTIONS)
    assert ends.any() and np.abs(shaped - reward).min() > 1e-3
    np.testing.assert_allclose(shaped[ends], (reward - of_state[:, None])[ends])
    for _ in range(5):
        policy = rng.dirichlet(np.ones(ACTIONS), size=STATES)
        before, after = (values(each, ends, following, policy) for each in (reward, shaped))
        np.testing.assert_allclose(after, before - of_state[:, None])
    before, after = (best(each, ends, following) for each in (reward, shaped))
    np.testing.assert_allclose(after, before - of_state[:, None])
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))


def test_ends_and_durations_count(storage):
    """What follows a termination is nothing, what follows a cut stays; d units of time are gamma^d."""
    made = [
        dataclasses.replace(episode(2, terminated=ended), infos={'duration': np.array(duration)})
        for ended, duration in ((True, [1.0, 2.0]), (False, [3.0, 0.5]))
    ]
    store('test/ends-v0', made, spaces=(LINE, UNIT))
    dataset = loading.load('test/ends-v0')
    found = shaping.shaped(dataset, lambda observations: observations[:, 0] + 1, GAMMA)
    # The first entries of an episode's observations are 0, 0.2 and 0.4; its rewards 0.5 and 1.5.
    ahead = [GAMMA * 1.2, 0, GAMMA**3 * 1.2, GAMMA**0.5 * 1.4]
    np.testing.assert_allclose(found, [0.5 - 1 + ahead[0], 1.5 - 1.2 + ahead[1], 0.5 - 1 + ahead[2],
                                       1.5 - 1.2 + ahead[3]], rtol=1e-5)  # fmt: skip


def test_a_potential_of_returns_is_the_mean_of_the_nearest_steps(storage, monkeypatch):
    monkeypatch.setattr(shaping, '_NEIGHBOURS', 2)
    places = np.array([[0, 0], [1, 0], [9, 0], [9.5, 0]], np.float32)
    store('test/line-v0', [episode(3, places)], spaces=(LINE, UNIT))
    potential = shaping.of_returns(loading.load('test/line-v0'), 0.5)
    # Rewards 0.5, 1.5, 2.5.
    to_go = np.array([0.5 + 0.5 * (1.5 + 0.5 * 2.5), 1.5 + 0.5 * 2.5, 2.5])
    found = potential(np.array([[0.1, 0], [8, 0]], np.float32))
    np.testing.assert_allclose(found, [to_go[:2].mean(), to_go[1:].mean()], rtol=1e-6)


def test_returns_without_a_discount_may_not_be_known(storage):
    made = dataclasses.replace(episode(3), rewards=np.ones(3))
    store('test/ones-v0', [made], spaces=(LINE, UNIT))
    with pytest.raises(DatasetError, match='not known without a discount'):
        shaping.of_returns(loading.load('test/ones-v0'), 1.0)

"""Rewards from demonstrations."""

import numpy as np
import pytest

from data import demonstrations, loading, transforms
from data.types import DatasetError
from tests.conftest import store
from tests.data.helpers import LINE, UNIT, episode

LENGTHS = 5, 20, 3, 17


@pytest.fixture
def log(storage):
    """Four episodes of noise, of lengths that are filled to two."""
    rng = np.random.default_rng(0)
    observations = [rng.uniform(-2, 2, (length + 1, 2)).astype(np.float32) for length in LENGTHS]
    store('test/noise-v0', [
        episode(length, observed) for length, observed in zip(LENGTHS, observations)
    ], spaces=(LINE, UNIT))  # fmt: skip
    return loading.load('test/noise-v0')


def standardised(dataset):
    """The observations of each episode."""
    observed = np.asarray(dataset.transitions.observation, np.float64)
    observed = (observed - observed.mean(axis=0)) / (observed.std(axis=0) + 1e-3)
    return np.split(observed, dataset.episode_offsets[1:-1])


def cosine_costs(x, y):
    lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
    return 1 - x @ y.T / lengths


def sinkhorn(costs, rounds=100, entropy=0.01):
    """The plan of Sinkhorn's scaling, with a log-domain step where numbers would underflow."""
    n, m = costs.shape
    f, g = np.zeros(n), np.zeros(m)
    for _ in range(rounds):
        g = -entropy * np.log(np.exp((f[:, None] - costs) / entropy).sum(axis=0) * m)
        f = -entropy * np.log(np.exp((g[None] - costs) / entropy).sum(axis=1) * n)
    return np.exp((f[:, None] + g[None] - costs) / entropy)


def test_transport_is_numpys_sinkhorn(log):
    episodes, shown = standardised(log), (0, 3)
    expected = []
    for steps in episodes:
        each = []
        for demonstration in shown:
            costs = cosine_costs(steps, episodes[demonstration])
            plan = sinkhorn(costs)
            np.testing.assert_allclose(plan.sum(axis=1), 1 / len(steps))
            each.append(5 * np.exp(-5 / 2 * len(steps) * (plan * costs).sum(axis=1)))
        expected.append(max(each, key=np.sum))
    found = demonstrations.transport_rewards(log, transforms.select(log, np.array(shown)))
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=2e-3)
    # A demonstration is carried to itself, for next to nothing.
    of_shown = np.split(found, log.episode_offsets[1:-1])[3]
    assert of_shown.min() > 4.8 and found.min() < 2


def test_the_nearest_step_is_that_of_a_search(log, monkeypatch):
    monkeypatch.setattr(demonstrations, '_ENTRIES', 100)
    episodes = standardised(log)
    shown = np.concatenate([episodes[0], episodes[2]])
    expected = 5 * np.exp(-5 / 2 * cosine_costs(np.concatenate(episodes), shown).min(axis=1))
    found = demonstrations.nearest_rewards(log, transforms.select(log, np.array([0, 2])))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_best_episodes_are_those_of_highest_return(log):
    # An episode's return grows with its length.
    np.testing.assert_array_equal(demonstrations.best_episodes(log, 2), [1, 3])
    for number in (0, 5):
        with pytest.raises(DatasetError, match='it has 4 episodes'):
            demonstrations.best_episodes(log, number)
    zeros = log._replace(transitions=log.transitions._replace(reward=np.zeros(sum(LENGTHS))))
    with pytest.raises(DatasetError, match='all episodes have the return 0'):
        demonstrations.best_episodes(zeros, 2)


def test_demonstrations_observe_what_the_log_observes(log, pendulum):
    demonstrations.check_alike(log, log)
    with pytest.raises(DatasetError, match='test/pendulum-v0 observes 3 features.* demonstrate nothing'):
        demonstrations.check_alike(log, loading.load(pendulum))


def test_what_transport_needs_is_said(log, monkeypatch):
    monkeypatch.setattr(demonstrations, 'find_spec', lambda name: None)
    with pytest.raises(DatasetError, match=r"needs the package ott-jax, .*\[rewards\]"):
        demonstrations.transport_rewards(log, log)

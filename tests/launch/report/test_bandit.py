"""The bandit that tries policies, against exact answers and UCB written out."""

import math

import jax
import numpy as np
import pytest

from launch.report import bandit

# Of one episode each: what an arm gives is known. No two are so near that they tie.
ARMS = np.array([[3.0], [-40.0], [71.5], [71.0], [12.25], [70.3]])
TRIALS = 400


def ucb(values: np.ndarray, first: np.ndarray, num_pulls: int) -> tuple[list[int], list[int]]:
    """Arms of known values, first each once in the order given: whom to pull, and to deploy."""
    pulled, deployed = [], []
    for t in range(1, num_pulls + 1):
        if t <= len(first):
            arm = first[t - 1]
        else:
            index = [
                value + math.sqrt(2 * math.log(t) / pulled.count(i)) for i, value in enumerate(values)
            ]
            arm = int(np.argmax(index))
        pulled.append(int(arm))
        deployed.append(max(set(pulled), key=lambda i: values[i]))
    return pulled, deployed


@pytest.fixture(scope='module')
def tried() -> bandit.Trial:
    """Sixty pulls of all ARMS."""
    found = bandit.trials(jax.numpy.float32(ARMS), jax.random.key(1), 60, 6, TRIALS)
    return jax.tree.map(np.asarray, found)


def test_arms_are_pulled_as_ucb_says(tried):
    assert tried.pulled.shape == tried.deployed.shape == (TRIALS, 60)
    for pulled, deployed in zip(tried.pulled[:20], tried.deployed[:20]):
        # Those that were not pulled yet come first.
        assert sorted(pulled[:6]) == list(range(6))
        assert ucb(ARMS[:, 0], pulled[:6], 60) == (pulled.tolist(), deployed.tolist())
    # Those that are near each other share what is left, the best most of it.
    counts = np.bincount(tried.pulled[0], minlength=6)
    assert counts[2] > counts[3] > counts[5] > 1 and counts[[0, 1, 4]].tolist() == [1, 1, 1]


def test_which_arm_is_first_is_left_to_chance(tried):
    first, second = (np.bincount(each, minlength=6) for each in tried.pulled.T[:2])
    # Of a binomial number with the mean 67 and the deviation 7.5.
    assert first.min() > 35 and first.max() < 100 and second.min() > 35
    assert len(np.unique(tried.pulled[:, :6], axis=0)) > 200


def test_without_ties_names_make_no_difference(tried):
    order = np.array([4, 2, 0, 5, 1, 3])
    found = bandit.trials(jax.numpy.float32(ARMS[order]), jax.random.key(1), 60, 6, TRIALS)
    np.testing.assert_array_equal(order[found.pulled][:, 6:], tried.pulled[:, 6:])
    np.testing.assert_array_equal(order[found.deployed][:, 5:], tried.deployed[:, 5:])


def best_of_some(values: np.ndarray, some: int) -> float:
    """Exact mean of the best of so many of the values, drawn without replacement."""
    ordered = np.sort(values)
    ways = [math.comb(below, some - 1) for below in range(len(values))]
    return float(np.dot(ways, ordered) / math.comb(len(values), some))


def within(trials: np.ndarray, mean: float) -> bool:
    """Whether trials are of a mean, up to four standard errors and rounding."""
    return abs(trials.mean() - mean) <= 4 * trials.std() / math.sqrt(len(trials)) + 1e-9


def test_after_k_pulls_of_known_arms_the_best_of_k_is_deployed():
    found = bandit.expected_scores(ARMS, 20, 4, TRIALS, 0)
    assert (found.shape, found.dtype) == ((TRIALS, 20), np.float64)
    values = ARMS[:, 0]
    assert best_of_some(values, 1) == values.mean() and best_of_some(values, 6) == values.max()
    for pulls in (1, 2, 3, 4):
        assert within(found[:, pulls - 1], best_of_some(values, pulls))
    # From then on nothing is learned, and no more than four of them are ever tried.
    np.testing.assert_array_equal(found[:, 3:], np.repeat(found[:, 3:4], 17, axis=1))
    assert set(found[:, -1]) == {71.5, 71.0, 70.3}


def test_what_counts_is_the_mean_of_all_episodes():
    rng = np.random.default_rng(0)
    scores = rng.normal([[50.0], [35.0], [-300.0]], 10, (3, 40))
    means = scores.mean(axis=1)
    found = bandit.expected_scores(scores, 150, 20, TRIALS, 0)
    assert set(found.ravel()) == set(means)
    # One pull, whatever it gives, is of a policy drawn by chance: a negative score is no reason to
    # deploy another, which nobody has tried.
    assert within(found[:, 0], means.mean())
    # In the end it is known which is best, but not always after one episode of each.
    best = np.mean(found == means.max(), axis=0)
    assert best[2] < best[10] < best[-1] and best[-1] > 0.95
    again = bandit.expected_scores(scores, 150, 20, TRIALS, 0)
    np.testing.assert_array_equal(found, again)
    assert not np.array_equal(found, bandit.expected_scores(scores, 150, 20, TRIALS, 1))


def test_one_arm_earns_its_mean():
    scores = np.array([[0.1, 0.4, 100.0]])
    np.testing.assert_array_equal(bandit.expected_scores(scores, 5, 20, 3, 0), np.full((3, 5), 33.5))


def test_equal_arms_are_deployed_in_turn():
    equal = np.full_like(ARMS, 1e7)
    found = bandit.trials(jax.numpy.float32(equal), jax.random.key(1), 60, 6, TRIALS)
    assert np.bincount(np.ravel(found.deployed), minlength=6).min() > TRIALS * 60 / 7
    # However much they earn, each is tried before any is again.
    np.testing.assert_array_equal(np.sort(found.pulled[:, :6]), np.tile(np.arange(6), (TRIALS, 1)))


@pytest.mark.parametrize('scores', [np.zeros(3), np.array([[1.0, np.nan]])])
def test_what_are_no_scores_is_refused(scores):
    with pytest.raises(AssertionError):
        bandit.expected_scores(scores, 5, 20, 3, 0)

"""A two-step problem with chance in it, small enough for exact values."""

import math
from fractions import Fraction

import numpy as np
import pytest

from algorithms import importance_sampling as ips

ESTIMATORS = (ips.ordinary, ips.weighted, ips.per_decision, ips.weighted_doubly_robust)
GAMMA = 0.9
# P(s' | s, a) of two states and two actions; reward of (s, a); each episode has 3 steps, or ends
# before with probability END.
NEXT = np.array([[[0.8, 0.2], [0.3, 0.7]], [[0.5, 0.5], [0.1, 0.9]]])
REWARD = np.array([[0.0, 1.0], [2.0, -1.0]])
STEPS, END = 3, 0.2
BEHAVIOUR = np.array([[0.5, 0.5], [0.7, 0.3]])
POLICY = np.array([[0.2, 0.8], [0.9, 0.1]])


def exact(policy):
    """Q (T, S, A) and V (T, S) of a policy, by backward induction."""
    q, v = np.zeros((STEPS, 2, 2)), np.zeros((STEPS + 1, 2))
    for step in reversed(range(STEPS)):
        q[step] = REWARD + GAMMA * (1 - END) * NEXT @ v[step + 1]
        v[step] = (policy * q[step]).sum(axis=1)
    return q, v


def collect(size, seed, policy=POLICY, behaviour=BEHAVIOUR, with_values=True):
    """Episodes of the behaviour policy, from state 0."""
    rng = np.random.default_rng(seed)
    arrays = {name: np.zeros((size, STEPS)) for name in ('reward', 'log_ratio', 'q', 'v')}
    arrays['discount'] = np.full((size, STEPS), GAMMA)
    q, v = exact(policy)
    for row in range(size):
        state = 0
        for step in range(STEPS):
            action = rng.choice(2, p=behaviour[state])
            arrays['reward'][row, step] = REWARD[state, action]
            ratio = policy[state, action] / behaviour[state, action]
            arrays['log_ratio'][row, step] = np.log(ratio)
            if with_values:
                arrays['q'][row, step], arrays['v'][row, step] = q[step, state, action], v[step, state]
            if rng.random() < END:
                break
            state = rng.choice(2, p=NEXT[state, action])
    return ips.Episodes(**arrays)


def once(episodes):
    return np.ones((1, len(episodes.reward)))


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_the_behaviour_policy_itself_has_its_mean_return(estimator):
    episodes = collect(50, 0, policy=BEHAVIOUR, with_values=False)
    returns = episodes.reward @ GAMMA ** np.arange(STEPS)
    (estimate,) = estimator(episodes, once(episodes))
    assert estimate == pytest.approx(returns.mean(), rel=1e-12)
    assert ips.effective_sample_size(episodes) == pytest.approx(50)


@pytest.mark.parametrize('estimator', [ips.ordinary, ips.per_decision])
def test_unbiased(estimator):
    """Many datasets of one episode each."""
    episodes = collect(5_000, 1)
    estimates = estimator(episodes, np.eye(len(episodes.reward)))
    value = exact(POLICY)[1][0, 0]
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(value, abs=3.5 * error)


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_consistent(estimator):
    value = exact(POLICY)[1][0, 0]
    errors = {
        size: np.mean([
            abs(estimator(episodes, once(episodes))[0] - value)
            for episodes in (collect(size, seed) for seed in range(30))
        ])
        for size in (30, 480)
    }  # fmt: skip
    # Sixteen times the data, a quarter of the error.
    assert errors[480] < 0.45 * errors[30]


def test_true_values_lower_the_variance():
    def spread(with_values):
        logs = [collect(100, seed, with_values=with_values) for seed in range(60)]
        return np.std([ips.weighted_doubly_robust(log, once(log))[0] for log in logs])

    assert spread(with_values=True) < 0.9 * spread(with_values=False)


def test_doubly_robust_is_the_papers_sum():
    episodes = collect(7, 2)
    n, weights = 7, np.cumprod(np.exp(episodes.log_ratio), axis=1)
    total = 0.0
    for i in range(n):
        for t in range(STEPS):
            now = weights[i, t] / weights[:, t].sum()
            before = weights[i, t - 1] / weights[:, t - 1].sum() if t else 1 / n
            total += GAMMA**t * (
                now * episodes.reward[i, t] - now * episodes.q[i, t] + before * episodes.v[i, t]
            )
    (estimate,) = ips.weighted_doubly_robust(episodes, once(episodes))
    assert estimate == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_counts_stand_for_repeated_episodes(estimator):
    episodes = collect(6, 3)
    counts = np.array([[2, 0, 1, 0, 3, 0], [1, 1, 1, 1, 1, 1]])
    repeated = ips.Episodes(*(np.repeat(array, counts[0], axis=0) for array in episodes))
    expected = [estimator(log, once(log))[0] for log in (repeated, episodes)]
    np.testing.assert_allclose(estimator(episodes, counts), expected, rtol=1e-12)


def test_a_policy_that_no_episode_follows_has_no_weight():
    episodes = collect(5, 0)._replace(log_ratio=np.full((5, STEPS), -np.inf))
    assert ips.effective_sample_size(episodes) == 0
    for estimator in (ips.weighted, ips.weighted_doubly_robust):
        assert np.isnan(estimator(episodes, once(episodes))).all()
    assert ips.ordinary(episodes, once(episodes)) == 0


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_steps_of_different_durations_have_their_own_discounts(estimator):
    """As many steps of reward 0 as a step lasts longer."""
    reward, log_ratio = np.array([[1.0, 0, 2, 3]]), np.log([[0.5, 1, 2, 1.5]])
    zeros = np.zeros((1, 4))
    long = ips.Episodes(reward, np.full((1, 4), GAMMA), log_ratio, zeros, zeros)
    kept = [0, 2, 3]
    short = ips.Episodes(*(array[:, kept] for array in long))._replace(
        discount=np.array([[GAMMA**2, GAMMA, 0.0]])
    )
    assert estimator(short, once(short)) == pytest.approx(estimator(long, once(long)), rel=1e-12)


def in_fractions(episodes, ratios, gamma):
    """The estimators as the papers have them, in whole numbers of any length: (n, T) lists."""
    n, steps = len(ratios), len(ratios[0])
    rho = [[math.prod(row[: t + 1], start=Fraction(1)) for t in range(steps)] for row in ratios]
    reward, q, v = ([[Fraction(each) for each in row] for row in array.tolist()]
                    for array in (episodes.reward, episodes.q, episodes.v))  # fmt: skip
    d = [Fraction(gamma) ** t for t in range(steps)]
    returns = [sum(d[t] * row[t] for t in range(steps)) for row in reward]
    final = [row[-1] for row in rho]
    robust = Fraction(0)
    for t in range(steps):
        now = sum(row[t] for row in rho)
        before = sum(row[t - 1] for row in rho) if t else Fraction(n)
        robust += sum(
            d[t] * (rho[i][t] / now * (reward[i][t] - q[i][t])
                    + (rho[i][t - 1] if t else 1) / before * v[i][t])
            for i in range(n)
        )  # fmt: skip
    return {
        ips.ordinary: sum(w * r for w, r in zip(final, returns)) / n,
        ips.weighted: sum(w * r for w, r in zip(final, returns)) / sum(final),
        ips.per_decision: sum(d[t] * rho[i][t] * reward[i][t]
                              for i in range(n) for t in range(steps)) / n,
        ips.weighted_doubly_robust: robust,
        ips.effective_sample_size: sum(final) ** 2 / sum(w**2 for w in final),
    }  # fmt: skip


@pytest.mark.parametrize('base', [2**16, Fraction(1, 2**16)])
def test_products_of_thousands_of_ratios(base):
    """2^1200 and 2^-1200 are beyond float64, as those of thousands of steps; their quotients are not."""
    steps, rng = 75, np.random.default_rng(0)
    ratios = [[Fraction(base)] * steps, [Fraction(base)] * (steps - 2) + [Fraction(1)] * 2]
    ratios += [[Fraction(base)] * 70 + [Fraction(1)] * 5]
    reward, q, v = (rng.integers(-3, 4, (3, steps)).astype(float) for _ in range(3))
    reward[2] = 0
    log_ratio = np.array([[math.log(each) for each in row] for row in ratios])
    episodes = ips.Episodes(reward, np.full((3, steps), 0.5), log_ratio, q, v)
    exact = in_fractions(episodes, ratios, Fraction(1, 2))
    size = exact.pop(ips.effective_sample_size)
    assert ips.effective_sample_size(episodes) == pytest.approx(float(size), rel=1e-9)
    for estimator, value in exact.items():
        (found,) = estimator(episodes, np.ones((1, 3)))
        if abs(value) > 2**1000:
            assert not np.isfinite(found)
        else:
            assert found == pytest.approx(float(value), rel=1e-9, abs=1e-300)


def test_a_resample_without_the_heaviest_episode_has_a_mean_of_the_others():
    """Beside e^2000, e^1000 is nothing; without it, it is all there is."""
    log_ratio = np.array([[2000.0], [1000.0], [1000.0 + math.log(3)], [-np.inf]])
    reward, zeros = np.array([[5.0], [1.0], [2.0], [9.0]]), np.zeros((4, 1))
    episodes = ips.Episodes(reward, zeros, log_ratio, zeros, zeros)
    counts = np.array([[1, 1, 1, 1], [0, 1, 1, 1], [0, 2, 0, 2], [0, 0, 0, 4]])
    for estimator in (ips.weighted, ips.weighted_doubly_robust):
        np.testing.assert_allclose(estimator(episodes, counts), [5, 1.75, 1, np.nan], rtol=1e-12)
    # All of pi's weight is on one episode.
    assert ips.effective_sample_size(episodes) == 1
    assert ips.mean_weight(episodes) == np.inf


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_one_episode_of_one_step(estimator):
    one = np.ones((1, 1))
    episodes = ips.Episodes(3 * one, 0 * one, np.log(2 * one), one, 2 * one)
    expected = {ips.ordinary: 6, ips.per_decision: 6, ips.weighted: 3}.get(estimator, 3 - 1 + 2)
    assert estimator(episodes, np.ones((1, 1))) == pytest.approx([expected], rel=1e-12)
    assert (ips.mean_weight(episodes), ips.effective_sample_size(episodes)) == pytest.approx((2, 1))

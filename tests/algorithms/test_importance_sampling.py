"""A two-step problem with chance in it, small enough for exact values."""

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
    arrays = {name: np.zeros((size, STEPS)) for name in ('reward', 'q', 'v')}
    arrays['ratio'], arrays['discount'] = np.ones((size, STEPS)), np.full((size, STEPS), GAMMA)
    q, v = exact(policy)
    for row in range(size):
        state = 0
        for step in range(STEPS):
            action = rng.choice(2, p=behaviour[state])
            arrays['reward'][row, step] = REWARD[state, action]
            arrays['ratio'][row, step] = policy[state, action] / behaviour[state, action]
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
    n, weights = 7, np.cumprod(episodes.ratio, axis=1)
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
    episodes = collect(5, 0)._replace(ratio=np.zeros((5, STEPS)))
    assert ips.effective_sample_size(episodes) == 0
    for estimator in (ips.weighted, ips.weighted_doubly_robust):
        assert np.isnan(estimator(episodes, once(episodes))).all()
    assert ips.ordinary(episodes, once(episodes)) == 0


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_steps_of_different_durations_have_their_own_discounts(estimator):
    """As many steps of reward 0 as a step lasts longer."""
    reward, ratio = np.array([[1.0, 0, 2, 3]]), np.array([[0.5, 1, 2, 1.5]])
    zeros = np.zeros((1, 4))
    long = ips.Episodes(reward, np.full((1, 4), GAMMA), ratio, zeros, zeros)
    kept = [0, 2, 3]
    short = ips.Episodes(*(array[:, kept] for array in long))._replace(
        discount=np.array([[GAMMA**2, GAMMA, 0.0]])
    )
    assert estimator(short, once(short)) == pytest.approx(estimator(long, once(long)), rel=1e-12)

import numpy as np
import pytest

from algorithms import marginalised
from algorithms.marginalised import Log
from tests.algorithms.tabular import random_problem

GAMMA, END = 0.95, 0.2
STATES, ACTIONS = 4, 2


def once_each(problem, floor):
    """A log in which every seen action was taken once, each in an episode of its own."""
    s, a = np.nonzero(problem.seen)
    steps = np.arange(len(s))
    log = Log(a, problem.reward[s, a], np.full(len(s), 0.9), steps, floor)
    return log, s, problem.next_state[s, a]


def by_both(log, state, next_state, initial, policy, num_actions):
    """Estimates of a policy (S,), the linear one with a feature for each state."""
    size = len(policy)
    tried = np.zeros((size, num_actions), bool)
    tried[state, log.action] = True
    tried = tried[np.arange(size), policy]
    features = np.eye(size)
    prepared = marginalised.prepare(
        log, features[state], features[next_state], features[initial], num_actions, 1e-9
    )
    return (
        marginalised.tabular(log, state, next_state, initial, policy),
        marginalised.linear(
            prepared, policy[next_state], tried[next_state], policy[initial], tried[initial]
        ),
    )


@pytest.mark.parametrize('floor', [0.0, -20.0])
def test_a_known_problem_has_its_exact_value(floor):
    problem = random_problem(8, 3)
    log, state, next_state = once_each(problem, floor)
    policy = np.random.default_rng(1).integers(3, size=8)
    expected = problem.value_of(policy, 0.9)[state].mean()
    for found in by_both(log, state, next_state, state, policy, 3):
        assert found.value == pytest.approx(expected, rel=1e-6)
        assert found.untried == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(found.influence.mean(), 0, atol=1e-12)


def test_what_was_never_tried_is_worth_the_floor():
    problem = random_problem(8, 3, unseen=1)
    log, state, next_state = once_each(problem, -12.0)
    policy = np.where(np.arange(8) == 5, (~problem.seen).argmax(axis=1), problem.seen.argmax(axis=1))
    # The policy's own equations, but for the state where it does what is new.
    goes = 0.9 * np.eye(8)[problem.next_state[np.arange(8), policy]]
    earns = problem.reward[np.arange(8), policy]
    goes[5], earns[5] = 0, -12.0
    v = np.linalg.solve(np.eye(8) - goes, earns)
    comes = np.linalg.solve(np.eye(8) - goes, np.eye(8)[5])
    for found in by_both(log, state, next_state, state, policy, 3):
        assert found.value == pytest.approx(v[state].mean(), rel=1e-6)
        assert found.untried == pytest.approx(comes[state].mean(), rel=1e-6)


def test_a_loop_without_end_has_a_value():
    """Without discount, a state that leads to itself."""
    zeros = np.zeros(1, int)
    log = Log(zeros, np.zeros(1), np.ones(1), zeros, 0.0)
    assert marginalised.tabular(log, zeros, zeros, zeros, zeros).value == 0


def sampled(episodes, seed):
    """A log of uniformly random actions in a problem with chance; a policy, and its exact value."""
    known, rng = np.random.default_rng(7), np.random.default_rng(seed)
    leads = known.dirichlet(np.ones(STATES), size=(STATES, ACTIONS))
    reward = known.normal(size=(STATES, ACTIONS))
    policy = known.integers(ACTIONS, size=STATES)
    steps = []
    for episode in range(episodes):
        state, over = rng.integers(STATES), False
        while not over:
            action = rng.integers(ACTIONS)
            following, over = rng.choice(STATES, p=leads[state, action]), rng.random() < END
            steps.append((action, reward[state, action], GAMMA * (not over), episode, state, following))
            state = following
    action, earned, discount, episode, state, following = (np.array(each) for each in zip(*steps))
    chosen = np.arange(STATES), policy
    v = np.linalg.solve(np.eye(STATES) - GAMMA * (1 - END) * leads[chosen], reward[chosen])
    return Log(action, earned, discount, episode, -10.0), state, following, policy, v.mean()


def repeated(log, state, following, episodes):
    """The same with these episodes."""
    starts = np.searchsorted(log.episode, np.arange(log.episode[-1] + 2))
    rows = np.concatenate([np.arange(starts[e], starts[e + 1]) for e in episodes])
    episode = np.repeat(np.arange(len(episodes)), np.diff(starts)[episodes])
    log = log._replace(
        action=log.action[rows], reward=log.reward[rows], discount=log.discount[rows], episode=episode
    )
    return log, state[rows], following[rows]


def first(log, state):
    return state[np.searchsorted(log.episode, np.arange(log.episode[-1] + 1))]


def test_standard_errors_are_those_of_the_bootstrap():
    """Of both estimates, and of the difference of two policies."""
    log, state, following, policy, value = sampled(500, 0)
    other = np.where(np.arange(STATES) == 0, 1 - policy, policy)

    def estimates(log, state, following):
        initial = state[np.searchsorted(log.episode, np.arange(log.episode[-1] + 1))]
        found = by_both(log, state, following, initial, policy, ACTIONS)
        return *found, marginalised.tabular(log, state, following, initial, other)

    model, linear, second = estimates(log, state, following)
    rng, again = np.random.default_rng(1), []
    for _ in range(100):
        drawn = estimates(*repeated(log, state, following, rng.integers(500, size=500)))
        one, two, three = (each.value for each in drawn)
        again.append((one, two, one - three))
    influences = model.influence, linear.influence, model.influence - second.influence
    for influence, spread in zip(influences, np.std(again, axis=0)):
        assert marginalised.standard_error(influence) == pytest.approx(spread, rel=0.25)
    for each in (model, linear):
        assert each.value == pytest.approx(value, abs=4 * marginalised.standard_error(each.influence))

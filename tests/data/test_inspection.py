"""Numbers and warnings about datasets made by hand."""

import gymnasium as gym
import numpy as np
import pytest

from data import inspection, judges, loading
from data.columns import Columns, Feature
from data.loading import Dataset
from data.types import Spec, Transition
from tests.conftest import collect, store
from tests.data.helpers import problem

LENGTHS = [4, 2, 4]
OFFSETS = np.cumsum([0, *LENGTHS])
STEPS = OFFSETS[-1]
CARTPOLE = gym.spec('CartPole-v1')


def made(discrete: bool = True, **changes) -> Dataset:
    """Three episodes of nothing unusual in CartPole: terminated, truncated, neither."""
    random = np.random.default_rng(0)
    fields = {
        'observation': random.normal(size=(STEPS, 4)).astype(np.float32),
        'action': np.int32([0, 1, 0, 0, 1, 0, 0, 0, 1, 0])
        if discrete
        else random.uniform(-0.9, 0.9, (STEPS, 2)).astype(np.float32),
        'reward': np.arange(STEPS, dtype=np.float32),
        'discount': np.float32(np.arange(STEPS) != 3),
        'next_observation': np.zeros((STEPS, 4), np.float32),
    }
    transitions = Transition(**{name: changes.pop(name, fields[name]) for name in fields})
    task = problem(Spec(4, 2, discrete), env_spec=CARTPOLE, scores=(5.0, 25.0))
    for field in set(changes) & set(task._fields):
        task = task._replace(**{field: changes.pop(field)})
    dataset = Dataset(
        problem=task,
        transitions=transitions,
        truncation=np.arange(STEPS) == 5,
        episode_offsets=OFFSETS,
        metadata={'env_spec': CARTPOLE.to_json()},
    )
    return dataset._replace(**changes)


def warnings(dataset: Dataset) -> list[str]:
    """All but what the judge finds in these logs (test_judges.py)."""
    faults, doubts = judges.compare(dataset.problem, dataset) if dataset.problem.env_spec else ([], [])
    found = [f'policies cannot be evaluated: {fault}' for fault in faults] + doubts
    return [each for each in inspection.warnings(dataset) if each not in found]


def only_warning(dataset: Dataset) -> str:
    (warning,) = warnings(dataset)
    return warning


def test_statistics_of_episodes():
    measured = inspection.statistics(made())
    np.testing.assert_array_equal(measured.returns, [0 + 1 + 2 + 3, 4 + 5, 6 + 7 + 8 + 9])
    np.testing.assert_array_equal(measured.lengths, LENGTHS)
    np.testing.assert_array_equal(measured.terminated, [True, False, False])
    np.testing.assert_array_equal(measured.truncated, [False, True, False])
    assert measured.problem.scores == (5.0, 25.0)
    assert measured.problem.lines == {'random': 5.0, 'expert': 25.0}
    assert measured.comparable


def test_an_episode_that_terminates_at_the_limit_counts_once():
    truncation = np.arange(STEPS) == 3
    measured = inspection.statistics(made(truncation=truncation))
    assert measured.terminated.sum() == 1
    assert measured.truncated.sum() == 0


def test_shares_of_discrete_actions():
    measured = inspection.statistics(made(spec=Spec(4, 3, discrete=True)))
    np.testing.assert_allclose(measured.action_shares, [0.7, 0.3, 0.0])
    assert measured.at_bounds is None


def test_coverage_of_continuous_actions():
    action = np.zeros((STEPS, 2), np.float32)
    action[:, 1] = [-1, -1, -1, 1, 1, 0.5, 0.5, 0.5, 0.5, -0.99]
    measured = inspection.statistics(made(discrete=False, action=action))
    np.testing.assert_allclose(measured.at_bounds, [0, 0.5])
    assert measured.action_shares.shape == (2, inspection.ACTION_BINS)
    np.testing.assert_allclose(measured.action_shares.sum(axis=1), 1)
    assert measured.action_shares[0].max() == 1
    np.testing.assert_allclose(measured.action_shares[1, [0, -1]], [0.4, 0.2])


def test_lines_of_the_metadata_come_before_the_scores():
    dataset = made(reference_lines={'clinicians': 0.8})
    assert inspection.statistics(dataset).problem.lines == {'clinicians': 0.8}


@pytest.mark.parametrize('discrete', [True, False])
def test_nothing_unusual_warns_of_nothing(discrete):
    assert warnings(made(discrete)) == []


def test_no_warnings_about_real_logs(pendulum, cartpole):
    for dataset_id in (pendulum, cartpole):
        assert warnings(loading.load(dataset_id)) == []


def test_warns_of_missing_scores():
    dataset = made(scores=None)
    assert only_warning(dataset) == 'no reference scores: returns, no scores'
    assert inspection.statistics(dataset).problem.scores is None
    assert inspection.statistics(dataset).problem.lines == {}


def test_warns_of_no_environment():
    warning = only_warning(made(env_spec=None, metadata={}))
    assert warning == (
        'no environment recorded: policies are judged from held-out episodes of the log'
    )


def test_says_what_the_judge_finds():
    spec = gym.envs.registration.EnvSpec('Nowhere-v0', entry_point='nowhere:Env')
    (fault,) = inspection.warnings(made(env_spec=spec, metadata={}))
    assert fault.startswith('policies cannot be evaluated: environment Nowhere-v0 is not registered')
    dataset = made(env_spec=gym.spec('CartPole-v0'))
    conditions, cut, bounds = inspection.warnings(dataset)
    assert 'other conditions' in conditions and '200 steps (after 4 at most)' in cut
    assert 'observations leave the bounds of CartPole-v0 in 1 of 4 features: feature 2' in bounds
    assert not inspection.statistics(dataset).comparable


def test_warns_of_zero_rewards():
    assert only_warning(made(reward=np.zeros(STEPS, np.float32))) == 'all rewards are zero'


def test_warns_of_equal_returns():
    reward = np.float32([1, 1, 1, 1, 2, 2, 1, 1, 2, 0])
    assert 'all episodes have the return 4.000' in only_warning(made(reward=reward))


def test_warns_of_constant_features():
    observation = made().transitions.observation.copy()
    observation[:, [1, 3]] = 7
    warning = only_warning(made(observation=observation))
    assert warning.startswith('observation features that never change: 2 of 4 (1, 3);')


COLUMNS = Columns(
    tuple(Feature(name, name, missing=0.25) for name in ('age', 'weight', 'lactate', 'ward=icu')),
    ('drug',), ('none', 'some', 'much'), 'patient', 'alive', notes=('10 rows: 10 steps in 3 episodes',),
)  # fmt: skip


def test_warnings_call_features_and_actions_by_their_names():
    observation = made().transitions.observation.copy()
    observation[:, [0, 3]] = 7
    dataset = made(observation=observation, spec=Spec(4, 3, discrete=True), columns=COLUMNS)
    features, actions = warnings(dataset)
    assert features.startswith('observation features that never change: 2 of 4 (age, ward=icu);')
    assert actions == 'actions never taken: 1 of 3 (much)'
    action = np.full((STEPS, 2), 0.5, np.float32)
    amounts = COLUMNS._replace(actions=('fluids', 'vaso'), labels=())
    warning = only_warning(made(discrete=False, action=action, columns=amounts))
    assert warning == 'action dimensions that never change: 2 of 2 (fluids, vaso)'


def test_ranges_of_features():
    measured = inspection.statistics(made())
    observation = np.float64(made().transitions.observation)
    np.testing.assert_allclose(measured.ranges[:, 1], observation.mean(axis=0))
    np.testing.assert_array_equal(measured.ranges[:, [0, 2]].T, [observation.min(0), observation.max(0)])
    np.testing.assert_array_equal(measured.action_counts, [7, 3])


def test_warns_of_steps_after_a_termination():
    discount = np.ones(STEPS, np.float32)
    discount[[4, 6, 7, 9]] = 0
    warning = only_warning(made(discount=discount))
    assert warning == 'episodes that go on after a termination: 2 (1, 2)'


def test_warns_of_steps_after_a_truncation():
    truncation = np.isin(np.arange(STEPS), [2, 5, 7, 8, 9])
    warning = only_warning(made(truncation=truncation))
    assert warning.startswith('episodes that go on after a truncation: 2 (0, 2); if others begin')


@pytest.mark.parametrize('changed', [None, 'observation', 'action', 'reward'])
def test_warns_of_copies_only(storage, changed):
    first, second, _ = collect('Pendulum-v1', 3, 20)
    store('test/copied-v0', [first, second, first], 'Pendulum-v1')
    dataset = loading.load('test/copied-v0')
    if changed is None:
        assert only_warning(dataset) == 'episodes that are copies of earlier ones: 1 (2)'
        return
    arrays = dataset.transitions._asdict()
    arrays[changed] = np.array(arrays[changed])
    arrays[changed][-1] += 0.01
    assert warnings(dataset._replace(transitions=Transition(**arrays))) == []


def test_short_episodes_may_be_equal(storage):
    (episode,) = collect('Pendulum-v1', 1, 9)
    (other,) = collect('Pendulum-v1', 1, 12, seed=1)
    store('test/copied-v0', [episode, episode, other], 'Pendulum-v1')
    assert warnings(loading.load('test/copied-v0')) == []


def test_one_episode_alone_has_no_equal(storage):
    store('test/one-v0', collect('Pendulum-v1', 1, 20), 'Pendulum-v1')
    assert warnings(loading.load('test/one-v0')) == []


def test_warns_of_actions_at_the_bounds():
    action = made(discrete=False).transitions.action.copy()
    action[:2, 1] = [1, -1]
    warning = only_warning(made(discrete=False, action=action))
    assert warning.startswith('up to 20% of the actions are at their bounds (dimensions 1)')
    action[0, 1] = 0
    assert warnings(made(discrete=False, action=action)) == []


def test_warns_of_actions_never_taken():
    warning = only_warning(made(spec=Spec(4, 3, discrete=True)))
    assert warning == 'actions never taken: 1 of 3 (2)'
    action = made(discrete=False).transitions.action.copy()
    action[:, 0] = 0.5
    warning = only_warning(made(discrete=False, action=action))
    assert warning == 'action dimensions that never change: 1 of 2 (0)'

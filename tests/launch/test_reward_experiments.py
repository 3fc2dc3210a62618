"""The experiments on where rewards come from."""

import numpy as np
import pytest

from data import loading
from launch import experiments, train
from launch.configs import bc, iql
from launch.experiments import d4rl_scores, demonstrations, preferences, shaping, wrong_rewards
from tests.launch.helpers import members_of

SCORE = {'mean': 50.0, 'mean_low': 40.0, 'mean_high': 60.0}


def test_rewards_are_written_once(cartpole):
    made = []

    def make(dataset):
        made.append(dataset.problem.name)
        return np.zeros(len(dataset.transitions.reward))

    for _ in range(2):
        assert experiments.relabelled(cartpole, 'test/zeros-v0', make, 'zero') == 'test/zeros-v0'
    assert made == [cartpole]
    written = loading.load('test/zeros-v0')
    assert not written.transitions.reward.any() and written.metadata['rewards']['source'] == 'zero'


def test_wrong_rewards_are_none_random_and_negated(cartpole):
    dataset = loading.load(cartpole)
    reward = np.asarray(dataset.transitions.reward)
    found = {name: make(dataset) for name, make in wrong_rewards.REWARDS.items() if make}
    assert not found['zero'].any() and np.array_equal(found['negated'], -reward)
    random = found['random']
    assert random.min() >= 0 and random.max() < 1 and random.std() > 0.25


def test_wrong_rewards_are_on_one_footing(monkeypatch, tmp_path):
    monkeypatch.setattr(wrong_rewards.icu_sepsis, 'reference_values', lambda: {'optimum': 90.0})
    found = [wrong_rewards.config_for(module, 'a/b-v0') for module in wrong_rewards.METHODS]
    for config in found:
        train.validate(config)
        assert len(members_of(config)) == 10
    for key in ('num_updates', 'batch_size', 'dataset'):
        assert len({config[key] for config in found}) == 1
    survive = {name: dict.fromkeys(wrong_rewards.REWARDS, SCORE) for name in ('A', 'B')}
    wrong_rewards.draw(survive, tmp_path / 'wrong.png')
    assert (tmp_path / 'wrong.png').exists()


def test_updates_are_counted_to_where_the_goal_is_kept(tmp_path):
    there = np.array([[0, 1, 0, 1], [1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]], bool)
    each = shaping.Learned(np.array([10, 20, 30, 40]), there)
    np.testing.assert_array_equal(each.needed, [40, 10, 30, np.inf])
    shown = shaping.table({'A': {'none': each}})
    assert '| A | none | 35 | 10 to never | 3 of 4 |' in shown
    shaping.draw({'A': {'none': each}, 'B': {'none': each}}, tmp_path / 'shaping.png')
    assert (tmp_path / 'shaping.png').exists()


@pytest.mark.parametrize('module', shaping.METHODS, ids=lambda module: module.__name__)
def test_shaped_crossroads_differ_in_their_rewards_alone(module):
    plain, other = shaping.config_for(module), shaping.config_for(module, 'a/b-v0')
    train.validate(plain)
    other.dataset = plain.dataset
    assert plain == other and len(members_of(plain)) == 10


def test_one_demonstration_is_in_the_place_of_rewards(monkeypatch, tmp_path):
    written = {}

    def relabelled(dataset_id, to, make, source):
        written[to] = make
        return to

    monkeypatch.setattr(experiments, 'relabelled', relabelled)
    found = demonstrations.configs()
    for config in found.values():
        train.validate(config)
        assert len(members_of(config)) == 4
    assert list(found)[3:] == ['IQL, optimal transport', 'IQL, nearest step', 'IQL, true rewards']
    assert [config.dataset for config in found.values()][3:5] == list(written)
    monkeypatch.setattr(d4rl_scores, 'held_in', lambda dataset: d4rl_scores.Held(10.0, 60.0, 90.0))
    demonstrations.draw({'A': SCORE, 'B': SCORE}, tmp_path / 'one.png')
    assert (tmp_path / 'one.png').exists()


def test_preferences_differ_in_their_rewards_alone(tmp_path):
    true = preferences.scaled(preferences.sepsis_config(iql))
    learned = preferences.scaled(preferences.sepsis_config(iql, seed=2))
    for config in (true, learned, preferences.sepsis_config(bc)):
        train.validate(config)
        assert config.num_seeds == preferences.SEEDS
    learned.seed = true.seed
    assert learned == true
    file = tmp_path / 'pairs.csv'
    for config in (
        preferences.reward_config('sepsis', file, 3),
        preferences.reward_config('lean', file, 0, dataset=preferences.HOPPER),
        preferences.cpl_config(file, 4),
    ):
        train.validate(config)
        assert config.preferences == str(file)


def test_every_teacher_and_number_of_pairs_is_shown(tmp_path):
    rng = np.random.default_rng(0)
    known = {name: rng.uniform(0.7, 0.8, 10) for name in ('true rewards', 'zero rewards', 'BC')}
    found = {
        (teacher, pairs): {name: rng.uniform(0.7, 0.8, 10) for name in ('IQL', 'CPL', 'agreement')}
        for teacher in preferences.TEACHERS for pairs in preferences.PAIRS
    }  # fmt: skip
    lines = preferences.sepsis_table(known, found).splitlines()
    assert len(lines) == 2 + 9 + 3 and sum('| noisy | 2,000 |' in line for line in lines) == 1
    scores = {'BC': SCORE}
    for parts in ((known, found, scores), (known, found, {}), ({}, {}, scores)):
        preferences.draw(*parts, tmp_path / 'figure.png')
        assert (tmp_path / 'figure.png').stat().st_size > 8_000
        (tmp_path / 'figure.png').unlink()

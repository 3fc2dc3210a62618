"""Tests of launch/experiments/wrong_rewards.py."""

import numpy as np

from data import loading
from launch import experiments, train
from launch.experiments import wrong_rewards
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

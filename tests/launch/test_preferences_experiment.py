"""Rewards from preferences: configs, table and figure of the experiment."""

import numpy as np

from launch import train
from launch.configs import bc, iql
from launch.experiments import preferences


def test_what_is_compared_differs_in_its_rewards_alone(tmp_path):
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
    assert len(lines) == 2 + 6 + 3 and sum('| noisy | 2,000 |' in line for line in lines) == 1
    scores = {'BC': {'mean': 50.0, 'mean_low': 40.0, 'mean_high': 60.0}}
    for parts in ((known, found, scores), (known, found, {}), ({}, {}, scores)):
        preferences.draw(*parts, tmp_path / 'figure.png')
        assert (tmp_path / 'figure.png').stat().st_size > 8_000
        (tmp_path / 'figure.png').unlink()

"""The experiment of a log alone: its table, what it chooses by, and exact values from names."""

import numpy as np
import pandas as pd
import pytest

from data import loading
from data.recipes import icu_sepsis
from launch.experiments import log_alone


def test_the_table_holds_what_the_records_do(storage, tmp_path, monkeypatch):
    monkeypatch.setattr(log_alone, 'RECIPE', 'local/icu-sepsis/clinician-40-v0')
    log_alone.ingested(tmp_path)
    ours, theirs = (loading.load(name) for name in (log_alone.DATASET, log_alone.RECIPE))
    np.testing.assert_array_equal(ours.episode_offsets, theirs.episode_offsets)
    for name in ('observation', 'reward', 'discount'):
        np.testing.assert_array_equal(getattr(ours.transitions, name), getattr(theirs.transitions, name))
    names = ours.problem.actions(np.asarray(ours.transitions.action))
    assert names.tolist() == [log_alone.TREATMENTS[i] for i in theirs.transitions.action]
    assert ours.problem.env_spec is None
    # What is there is not made again.
    (tmp_path / 'records.csv').unlink()
    log_alone.ingested(tmp_path)


def test_exact_values_come_from_the_names_of_treatments():
    names = np.array(log_alone.TREATMENTS)
    policies = np.stack([np.full(716, 'fluids 0, vasopressors 0'), names[np.arange(716) % 25]], axis=1)
    values = log_alone.exact_values(policies)
    expected = [icu_sepsis.exact_value(np.eye(25)[each]) for each in (np.zeros(716, int),
                                                                      np.arange(716) % 25)]  # fmt: skip
    assert values == pytest.approx(expected) and values[0] > values[1]


def test_what_is_any_of_several_is_worth_their_mean():
    found = pd.DataFrame({
        'split': [0, 0, 1, 1], 'exact': [0.1, 0.3, 0.5, 0.7],
        'best estimate': [False, True, True, False], 'any member': True,
    })  # fmt: skip
    assert log_alone.choice_values(found, 'best estimate').tolist() == [0.3, 0.5]
    assert log_alone.choice_values(found, 'any member').tolist() == pytest.approx([0.2, 0.6])


def test_each_split_has_the_default_values_among_its_twenty_members():
    members = 0
    for config in log_alone.configs(3):
        ((name, values),) = [(name, each) for name, each in config.sweep.items() if each]
        assert config.hparams[name] in values and config.seed == 3
        members += len(values) * config.num_seeds
    assert members == 20

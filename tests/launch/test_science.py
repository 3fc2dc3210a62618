"""Claims of notebooks/results that take minutes to check: python -m pytest -m slow."""

import json

import pytest

from launch import train
from launch.configs import bc, iql
from launch.experiments import case_files, stitching

pytestmark = pytest.mark.slow


def final(config, path):
    config.run_dir = str(path)
    summary = json.loads((train.train(config) / 'summary.json').read_text())
    return summary['settings'][0]


def mean_return(config, path):
    return final(config, path)['return']


def test_cloning_clinicians_earns_what_clinicians_earn(tmp_path):
    earned = mean_return(bc.get_config('sepsis'), tmp_path / 'bc')
    assert earned['seeds'] == 10
    assert earned['mean'] == pytest.approx(0.78, abs=0.02)


def test_iql_does_no_worse_than_the_clinicians_it_learned_from(tmp_path):
    earned = mean_return(iql.get_config('sepsis'), tmp_path / 'iql')
    assert earned['seeds'] == 10
    assert earned['mean_high'] >= 0.782


def test_dqn_believes_in_what_no_clinician_did_and_the_offline_methods_do_not(tmp_path):
    settings = {
        config.algorithm: final(config, tmp_path / config.algorithm)
        for config in case_files.configs()
    }
    dqn = settings.pop('dqn')
    assert dqn['claimed_value']['mean'] > 1
    assert dqn['return']['mean_high'] < 0.05
    assert max(setting['return']['mean'] for setting in settings.values()) > 0.81


def test_values_stitch_journeys_together_and_imitation_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path / 'minari'))
    for index, config in enumerate(stitching.configs()):
        earned = mean_return(config, tmp_path / str(index))
        by_values = config.algorithm in ('discrete_cql', 'iql')
        assert earned['mean'] == pytest.approx(1 if by_values else 0.3)

"""Claims of the README that take minutes to check: python -m pytest -m slow."""

import json

import pytest

from launch import train
from launch.configs import bc, iql

pytestmark = pytest.mark.slow


def mean_return(config, path):
    config.run_dir = str(path)
    summary = json.loads((train.train(config) / 'summary.json').read_text())
    return summary['settings'][0]['return']


def test_cloning_clinicians_earns_what_clinicians_earn(tmp_path):
    earned = mean_return(bc.get_config('sepsis'), tmp_path / 'bc')
    assert earned['seeds'] == 10
    assert earned['mean'] == pytest.approx(0.78, abs=0.02)


def test_iql_does_no_worse_than_the_clinicians_it_learned_from(tmp_path):
    earned = mean_return(iql.get_config('sepsis'), tmp_path / 'iql')
    assert earned['seeds'] == 10
    assert earned['mean_high'] >= 0.782

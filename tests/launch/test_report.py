import numpy as np
import pytest

from launch import report
from launch.members import Member


def test_interval_of_known_scores():
    scores = np.array([1.0, 2.0, 3.0, 100.0])
    result = report.interval(scores)
    assert result['mean'] == pytest.approx(26.5)
    assert result['iqm'] == pytest.approx(2.5)
    assert result['mean_low'] < 26.5 < result['mean_high'] <= 100
    assert 1 <= result['iqm_low'] < result['iqm_high']
    assert result == report.interval(scores)


def test_interval_of_normal_scores_is_about_two_standard_errors():
    scores = np.random.default_rng(0).normal(5, 1, 400)
    result = report.interval(scores)
    assert result['mean_high'] - result['mean_low'] == pytest.approx(4 / np.sqrt(400), rel=0.15)


def test_diverged_seeds_are_left_out_and_counted():
    result = report.interval(np.array([1.0, np.nan, 3.0]))
    assert result['mean'] == 2 and result['seeds'] == 2
    assert report.interval(np.array([np.nan]))['seeds'] == 0
    one = report.interval(np.array([4.0]))
    assert one['mean'] == 4 and np.isnan(one['mean_low'])


def test_settings_group_their_seeds():
    members = [Member({'x': x}, seed) for x in (0.1, 0.2) for seed in (3, 4)]
    assert report.by_setting(members) == {'x=0.1': [0, 1], 'x=0.2': [2, 3]}

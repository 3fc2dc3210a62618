"""Runs whose learners see more than a row of the log at a time."""

import pytest

from algorithms import ALGORITHMS
from data.types import ReturnTransition
from launch import train
from launch.cli import UserError
from tests.launch.helpers import small_config


def test_returns_that_are_discounted_once_allow_no_sweep_over_gamma(monkeypatch):
    monkeypatch.setattr(ALGORITHMS['iql'], 'BATCH', ReturnTransition, raising=False)
    config = small_config('test/none-v0', 'iql', **{'sweep.gamma': (0.9, 0.99)})
    with pytest.raises(UserError, match=r'config.sweep.gamma is \(0.9, 0.99\); .* only \(\) is valid'):
        train.train(config)

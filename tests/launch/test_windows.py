"""Runs whose learners see more than a row of the log at a time."""

import pytest

from algorithms import ALGORITHMS
from data.types import ReturnTransition
from launch import train
from launch.cli import UserError
from launch.run import metrics
from launch.run.metrics import MetricsLog
from tests.launch.helpers import small_config
from tests.launch.test_resuming import assert_same_states
from tests.launch.test_train import timeless


def test_returns_that_are_discounted_once_allow_no_sweep_over_gamma(monkeypatch):
    monkeypatch.setattr(ALGORITHMS['iql'], 'BATCH', ReturnTransition, raising=False)
    config = small_config('test/none-v0', 'iql', **{'sweep.gamma': (0.9, 0.99)})
    with pytest.raises(UserError, match=r'config.sweep.gamma is \(0.9, 0.99\); .* only \(\) is valid'):
        train.train(config)


@pytest.mark.parametrize(
    ('algorithm', 'values', 'message'),
    [
        ('iql', {'n_step': 0}, r'config.n_step is 0; valid: an integer in \[1, 1e4\]'),
        ('bc', {'n_step': 2}, 'config.n_step is 2; algorithm bc discounts nothing .* only 1 is valid'),
        ('decision_transformer', {'n_step': 3}, 'config.n_step is 3; .* only 1 is valid'),
    ],
)
def test_what_an_algorithm_cannot_learn_from_is_refused(algorithm, values, message, tmp_path):
    path = tmp_path / 'run'
    config = small_config('test/none-v0', algorithm, run_dir=str(path), **values)
    with pytest.raises(UserError, match=message) as raised:
        train.train(config)
    assert len(str(raised.value).splitlines()) == 1 and not path.exists()


@pytest.mark.parametrize(('where', 'values'), [('device', {}), ('host', {})])
def test_a_run_that_was_interrupted_ends_like_one_that_was_not(
    where, values, pendulum, tmp_path, monkeypatch
):
    options = {'n_step': 3, 'dataset_on': where, 'eval_interval': 10, 'num_updates': 20} | values
    config = small_config(pendulum, 'td3_bc', run_dir=str(tmp_path / 'whole'), **options)
    whole = train.train(config)
    config.run_dir = str(tmp_path / 'cut')
    write = MetricsLog.write

    def interrupted(self, rows):
        if rows[0]['step'] == 20:
            raise KeyboardInterrupt
        write(self, rows)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MetricsLog, 'write', interrupted)
        train.train(config)
    cut = train.train(config)
    assert timeless(metrics.read(cut)) == timeless(metrics.read(whole))
    assert_same_states(cut, whole)

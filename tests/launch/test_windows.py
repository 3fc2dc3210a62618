"""Runs whose learners see more than a row of the log at a time."""

import jax
import numpy as np
import pytest

from algorithms import ALGORITHMS, bc
from data import loading
from data.types import DatasetError, ReturnTransition
from launch import train
from launch.cli import UserError
from launch.run import metrics, policies
from launch.run.metrics import MetricsLog
from tests.conftest import collect, store
from tests.launch.exports import made_run
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
        ('iql', {'chunk': 0}, r'config.chunk is 0; valid: an integer in \[1, 1e4\]'),
        ('bc', {'n_step': 2}, 'config.n_step is 2; algorithm bc has no targets .* only 1 is valid'),
        ('decision_transformer', {'n_step': 3}, 'config.n_step is 3; .* only 1 is valid'),
        ('decision_transformer', {'chunk': 3}, 'config.chunk is 3; .* only 1 is valid'),
    ],
)
def test_what_an_algorithm_cannot_learn_from_is_refused(algorithm, values, message, tmp_path):
    path = tmp_path / 'run'
    config = small_config('test/none-v0', algorithm, run_dir=str(path), **values)
    with pytest.raises(UserError, match=message) as raised:
        train.train(config)
    assert len(str(raised.value).splitlines()) == 1 and not path.exists()


def test_a_run_that_was_interrupted_ends_like_one_that_was_not(pendulum, tmp_path, monkeypatch):
    options = {'n_step': 3, 'chunk': 4, 'dataset_on': 'host', 'eval_interval': 10, 'num_updates': 20}
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
    # Their directories keep how they act.
    assert policies.restore(cut).learner.form.chunk == 4


def test_chunks_are_made_of_continuous_actions_that_fit_in_episodes(
    pendulum, cartpole, tmp_path, capsys
):
    path = tmp_path / 'run'
    for dataset, chunk, message in (
        (cartpole, 2, 'config.chunk is 2; dataset test/cartpole-v0 has discrete actions'),
        (pendulum, 51, 'a chunk of 51 actions fits in no episode; the longest has 50 steps'),
    ):
        algorithm = 'iql' if dataset == cartpole else 'bc'
        config = small_config(dataset, algorithm, run_dir=str(path), chunk=chunk)
        with pytest.raises((UserError, DatasetError), match=message):
            train.train(config)
        assert not path.exists()
    assert not capsys.readouterr().err


def test_episodes_that_are_shorter_than_a_chunk_are_said_not_to_be_learned_from(
    storage, tmp_path, capsys, monkeypatch
):
    episodes = collect('Pendulum-v1', 3, 30) + collect('Pendulum-v1', 2, 2)
    store('test/short-v0', episodes, 'Pendulum-v1')
    monkeypatch.setattr(train.learners, 'build', lambda *_, **__: 1 / 0)
    config = small_config('test/short-v0', 'bc', run_dir=str(tmp_path / 'run'), chunk=3)
    with pytest.raises(ZeroDivisionError):
        train.train(config)
    said = 'WARNING: dataset test/short-v0: 2 of 5 episodes, 4 steps, are not learned from: they are '
    assert said + 'shorter than a chunk of 3 actions.' in capsys.readouterr().err


def test_a_policy_that_acts_in_chunks_is_led_along_a_log_like_one_that_remembers(pendulum, tmp_path):
    """What it decides at every third step of an episode, it does there and at the next two."""
    log = loading.load(pendulum)
    run = made_run(tmp_path / 'run', 'bc', log.problem, num_seeds=2, chunk=3)
    (found,) = policies.of_restored(run)
    assert found.remember and found.in_chunks
    along, offsets = found.actions_along(log), log.episode_offsets
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], log.episode_lengths)
    for member in range(2):
        state = jax.tree.map(lambda leaf, m=member: leaf[m], run.states)
        decided, _ = bc.act(state, (), np.asarray(log.transitions.observation), None, None)
        decided = np.asarray(decided).reshape(-1, 3, 1)
        expected = decided[np.arange(len(place)) - place % 3, place % 3]
        np.testing.assert_allclose(along[:, member], expected, atol=1e-5)

"""Policies that are asked for returns: one evaluation for each, and what rewards they see."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import ALGORITHMS
from launch import train
from launch.cli import UserError
from launch.experiments import return_conditioning
from launch.run import metrics
from tests.launch.helpers import small_config
from tests.launch.run.test_rollouts import evaluate, set_up

DT = 'decision_transformer'


@pytest.mark.usefixtures('one_core')
def test_every_member_is_judged_for_every_target(pendulum, tmp_path):
    """Three members on two devices, one target after the other."""
    config = small_config(
        pendulum, DT, num_seeds=3, target_returns=(-200.0, -1500.0), log_interval=1,
        run_dir=str(tmp_path / 'all'),
    )  # fmt: skip
    # Scaled up, so that the target matters to a policy hardly trained.
    config.hparams.return_scale = 1.0
    path = train.train(config)
    rows = [row for row in metrics.read(path) if row['event'] == 'evaluation']
    final = {(row['setting']['target_return'], row['seed']): row['measures']['return']
             for row in rows if row['step'] == config.num_updates}  # fmt: skip
    assert set(final) == {(target, seed) for target in (-200, -1500) for seed in range(3)}
    assert all(final[-200, seed] != final[-1500, seed] for seed in range(3))
    summary = json.loads((path / 'summary.json').read_text())
    for setting, target in zip(summary['settings'], (-200.0, -1500.0)):
        assert setting['label'] == f'target_return={target:g}'
        expected = [final[target, seed] for seed in range(3)]
        assert list(setting['returns_by_seed'].values()) == pytest.approx(expected)
    achieved = return_conditioning.achieve(path, (-200.0, -1500.0), 3)
    assert [each['seeds'] for each in achieved.values()] == [3, 3]
    assert achieved[-200]['mean'] != achieved[-1500]['mean']


def test_delayed_rewards_come_with_the_last_step(cartpole, monkeypatch):
    """A policy that remembers the sum of the rewards it has seen and acts on it: never right."""
    algorithm = ALGORITHMS['bc']
    monkeypatch.setattr(
        algorithm, 'init_memory', lambda state, num_envs: jnp.zeros(num_envs), raising=False
    )

    def act(state, memory, observation, reward, key):
        del state, observation, key
        return (memory + reward > 0.5).astype(jnp.int32), memory + reward

    monkeypatch.setattr(algorithm, 'act', act)
    task, learner, states = set_up(cartpole, 'bc')
    at_once = evaluate(task, learner, states, 5)
    delayed = evaluate(task._replace(delayed_rewards=True), learner, states, 5)
    # Always left: 8 to 10 steps. Right from the second step on is no better, but not the same.
    assert set(delayed.lengths.ravel()) <= {8, 9, 10, 11}
    np.testing.assert_array_equal(delayed.returns, delayed.lengths)
    assert not np.array_equal(at_once.lengths, delayed.lengths)


def test_critics_are_held_against_delayed_rewards_where_they_learned_from_them(cartpole):
    config = small_config(cartpole, delayed_rewards=True)
    data = train.load_data(config).learned_from
    plain = train.load_data(small_config(cartpole)).learned_from
    np.testing.assert_allclose(data.episode_returns, plain.episode_returns)
    paid = np.flatnonzero(data.transitions.reward)
    np.testing.assert_array_equal(paid, data.episode_offsets[1:] - 1)
    task, learner, states = set_up(cartpole, delayed_rewards=True)
    found = evaluate(task, learner, states, 4)
    expected = 0.99 ** (found.lengths - 1) * found.returns
    np.testing.assert_allclose(found.discounted, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ('key', 'value'), [('reward_scale', 0.1), ('reward_shift', -1.0), ('normalize_rewards', True)]
)
def test_returns_are_asked_for_in_the_environments_units(pendulum, tmp_path, key, value):
    config = small_config(pendulum, DT, run_dir=str(tmp_path / 'run'), **{key: value})
    with pytest.raises(UserError, match=f'config.{key} is .*in the units of the environment'):
        train.train(config)


def test_a_target_is_asked_for_and_not_swept(pendulum, tmp_path):
    config = small_config(pendulum, DT, run_dir=str(tmp_path / 'run'))
    config.sweep.unlock()
    config.sweep.target_return = (5.0, 6.0)
    with pytest.raises(UserError, match="unknown key 'target_return' in config.sweep"):
        train.train(config)
    config = small_config(pendulum, DT, run_dir=str(tmp_path / 'run'), target_returns=(1.0, 1.0))
    with pytest.raises(UserError, match='config.target_returns is .*; different numbers'):
        train.train(config)

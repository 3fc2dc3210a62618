import json
import shutil

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data import loading, problem
from data.types import DatasetError
from launch import train, train_online
from launch.cli import UserError
from launch.configs import online
from launch.run import metrics, replays
from launch.run.actors import Step
from launch.run.checkpoints import Checkpoints
from launch.run.metrics import MetricsLog
from tests.launch.helpers import learner_of, program, small_config
from tests.launch.test_train import final_states, timeless

SCHEDULE = {
    'num_updates': 60,
    'log_interval': 10,
    'eval_interval': 20,
    'eval_episodes': 1,
    'final_eval_episodes': 2,
    'batch_size': 16,
    'network.hidden_sizes': (16,),
}


def online_config(path, algorithm='sac', **values):
    config = online.get_config(algorithm)
    config.update_from_flattened_dict(
        SCHEDULE | {'random_steps': 30, 'replay_capacity': 50, 'run_dir': str(path)} | values
    )
    return config


def buffer_of(path, config):
    task = problem.load(path / 'problem.json')
    buffers = replays.build(
        task.spec, learner_of(config, task), config.replay_capacity, config.batch_size, None, 0.0
    )
    kept = Checkpoints(path, config.num_seeds)
    return kept.restore_latest(replay=buffers.empty())[1]['replay']


def stop_at(step, monkeypatch):
    """A run interrupted before the checkpoint of a step."""
    save = Checkpoints.save

    def interrupted(self, at, mark, **trees):
        if at == step:
            raise KeyboardInterrupt
        save(self, at, mark, **trees)

    monkeypatch.setattr(Checkpoints, 'save', interrupted)


def stop_at_judgement(step, monkeypatch):
    """A run interrupted after the checkpoint of a step, before the rows of its evaluation."""
    write = MetricsLog.write

    def interrupted(self, rows):
        if (rows[0]['event'], rows[0]['step']) == ('evaluation', step):
            raise KeyboardInterrupt
        write(self, rows)

    monkeypatch.setattr(MetricsLog, 'write', interrupted)


def test_an_interrupted_run_resumes_to_the_same_end(tmp_path, monkeypatch):
    """Three members on two devices; two updates a step; the buffer wraps around."""
    values = {'num_seeds': 3, 'updates_per_step': 2}
    whole = train_online.train_online(online_config(tmp_path / 'whole', **values))
    config = online_config(tmp_path / 'resumed', **values)
    for stop, step in ((stop_at, 40), (stop_at_judgement, 60)):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            stop(step, patch)
            train_online.train_online(config)
    resumed = train_online.train_online(config)
    np.testing.assert_equal(timeless(metrics.read(resumed)), timeless(metrics.read(whole)))
    ends = [(final_states(path), buffer_of(path, config)) for path in (resumed, whole)]
    for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_buffer_holds_what_the_environment_did(tmp_path):
    config = online_config(tmp_path / 'run', random_steps=20, num_updates=40)
    path = train_online.train_online(config)
    rows = jax.tree.map(lambda x: np.asarray(x[0]), buffer_of(path, config).transitions)
    env = gym.make('Hopper-v5').unwrapped
    for row in range(40):
        env.reset()
        # Observations leave out the first coordinate, which nothing depends on.
        qpos = np.concatenate([[0.0], rows.observation[row, :5]])
        env.set_state(qpos, rows.observation[row, 5:])
        observation, reward, terminated, _, _ = env.step(rows.action[row])
        np.testing.assert_allclose(rows.next_observation[row], observation, atol=2e-3)
        assert rows.reward[row] == pytest.approx(reward, abs=1e-3)
        assert rows.discount[row] == 1 - terminated
    follows = np.all(rows.next_observation[:39] == rows.observation[1:40], axis=1)
    # Episodes go on but where they terminate, and where the evaluation cuts them.
    np.testing.assert_array_equal(follows, (rows.discount[:39] == 1) & (np.arange(1, 40) != 20))
    assert not rows.next_observation[40:].any()


def test_updates_begin_after_the_random_steps(tmp_path):
    path = train_online.train_online(online_config(tmp_path / 'run'))
    assert final_states(path).step == 60 - 30


def test_an_offline_run_goes_on_with_its_data(pendulum, tmp_path, monkeypatch):
    offline = train.train(
        small_config(
            pendulum, run_dir=str(tmp_path / 'offline'), num_seeds=2, **{'hparams.expectile': 0.9}
        )
    )
    batches = []
    build = replays.build

    def spied(*args):
        buffers = build(*args)

        def sample(*args):
            batches.append(buffers.sample(*args))
            return batches[-1]

        return buffers._replace(sample=sample)

    monkeypatch.setattr(replays, 'build', spied)
    config = online_config(
        tmp_path / 'online', 'iql', from_run=str(offline), offline_share=0.5,
        replay_capacity=1_000, **{'hparams.inverse_temperature': 7.0},
    )  # fmt: skip
    with monkeypatch.context() as patch:
        stop_at(60, patch)
        with pytest.raises(KeyboardInterrupt):
            train_online.train_online(config)
    # What was learned offline is in its own checkpoint now.
    shutil.rmtree(offline / 'checkpoints')
    path = train_online.train_online(config)
    end = final_states(path)
    np.testing.assert_array_equal(end.step, [40 + 60] * 2)
    recorded = {tuple(row) for row in np.asarray(loading.load(pendulum).transitions.observation)}
    shares = [
        np.mean([tuple(row) in recorded for row in np.asarray(batch.observation[member, 0])])
        for batch in batches
        for member in range(2)
    ]
    # The last 20 steps twice: before and after the interruption.
    assert len(shares) == 2 * (60 + 20) and set(shares) == {0.5}
    # The run's own, the one given here, and what is other online.
    np.testing.assert_allclose(end.hparams.expectile, 0.9)
    np.testing.assert_allclose(end.hparams.inverse_temperature, 7.0)
    assert jnp.isinf(end.hparams.actor_decay_updates).all()
    evaluated = [row['measures']['score'] for row in metrics.read(path) if row['event'] == 'evaluation']
    assert len(evaluated) == 6 and np.isfinite(evaluated).all()


def rlpd_config(path, dataset, **values):
    small = {
        'dataset': dataset, 'num_updates': 40, 'random_steps': 20, 'replay_capacity': 1_000,
        'updates_per_step': 4, 'network.num_critics': 3,
    }  # fmt: skip
    return online_config(path, 'rlpd', **small | values)


def test_rlpd_learns_from_a_dataset_while_it_acts(pendulum, tmp_path, monkeypatch):
    """Exactly half of each batch, four updates a step, one of the policy."""
    batches, build = [], replays.build

    def spied(*args):
        buffers = build(*args)

        def sample(*args):
            batches.append(buffers.sample(*args))
            return batches[-1]

        return buffers._replace(sample=sample)

    values = {'reward_scale': 0.5, 'standardize_observations': True}
    config = rlpd_config(tmp_path / 'run', pendulum, **values)
    monkeypatch.setattr(replays, 'build', spied)
    path = train_online.train_online(config)
    end = final_states(path)
    np.testing.assert_array_equal(end.step, [80])
    np.testing.assert_array_equal(end.actor.step, [20])
    recorded = {tuple(row) for row in np.asarray(loading.load(pendulum).transitions.observation)}
    observed = np.concatenate([np.asarray(batch.observation) for batch in batches], axis=1)
    assert observed.shape[:3] == (1, 80, 16)
    from_data = np.array([tuple(row) in recorded for row in observed.reshape(-1, observed.shape[-1])])
    assert set(from_data.reshape(80, 16).mean(axis=1)) == {0.5}
    # What the data's environment and preprocessing are is what is acted in.
    task = problem.load(path / 'problem.json')
    assert (task.env_spec.id, task.preprocessing.reward_scale) == ('Pendulum-v1', 0.5)
    assert (task.preprocessing.observation_std != 1).all()


def test_the_batches_of_a_step_are_those_of_as_many_updates(pendulum, tmp_path):
    config = rlpd_config(tmp_path / 'run', pendulum)
    task = loading.load(pendulum).problem
    learner = learner_of(config, task)
    offline = jax.tree.map(jnp.asarray, loading.load(pendulum).transitions)
    both = [
        replays.build(task.spec, learner, 100, 16, offline, 0.5, num_updates=number)
        for number in (4, 1)
    ]
    row = jax.tree.map(lambda array: np.asarray(array[:1]), offline)
    buffer = both[0].append(both[0].empty(), Step(row, np.array([True]), None))
    together = both[0].sample(buffer, learner.seeds, jnp.array([7]))
    single = [both[1].sample(buffer, learner.seeds, jnp.array([7 + i])) for i in range(4)]
    apart = jax.tree.map(lambda *each: np.concatenate(each, axis=1), *single)
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_array_equal(a, b)


def test_discrete_actions_go_on_without_the_data(cartpole, tmp_path, monkeypatch):
    offline = train.train(small_config(cartpole, run_dir=str(tmp_path / 'offline')))
    config = online_config(
        tmp_path / 'online', 'iql', from_run=str(offline), offline_share=0.0, num_updates=40
    )
    monkeypatch.setattr(train_online, 'load_data', None)
    path = train_online.train_online(config)
    actions = np.asarray(buffer_of(path, config).transitions.action[0])
    assert set(np.unique(actions)) <= {0, 1} and actions.dtype == np.int32


def test_what_cannot_be_trained_is_named(pendulum, tmp_path):
    offline = train.train(small_config(pendulum, run_dir=str(tmp_path / 'offline')))
    path = tmp_path / 'run'

    def refused(error, match, *args, **values):
        with pytest.raises(error, match=match):
            train_online.train_online(online_config(path, *args, **values))

    refused(UserError, 'is a run of iql; give .*online.py:iql', from_run=str(offline))
    refused(UserError, 'config.num_seeds is 4, but that of', 'iql', from_run=str(offline), num_seeds=4)
    refused(UserError, 'with a sweep', 'iql', from_run=str(offline), **{'sweep.expectile': (0.7, 0.9)})
    refused(DatasetError, 'CartPole-v1: .* not supported online', env_id='CartPole-v1')
    refused(UserError, "config.env_id is '': .*=ID says which", env_id='')
    refused(DatasetError, 'features, those of environment Hopper-v5', dataset=pendulum)
    refused(UserError, 'reward_shift is 2.0, but', 'iql', from_run=str(offline), reward_shift=2.0)
    refused(UserError, 'num_target_critics is 3; valid: from 0 to', **{'network.num_target_critics': 3})
    refused(UserError, 'offline_share is 1', offline_share=1.0)
    refused(UserError, 'random_steps is 60; valid: from 0', random_steps=60)
    task = json.loads((offline / 'problem.json').read_text())
    (offline / 'problem.json').write_text(json.dumps(task | {'env_spec': None}))
    refused(UserError, 'names no environment to act in', 'iql', from_run=str(offline))
    (offline / 'summary.json').unlink()
    refused(UserError, 'is no finished offline run', 'iql', from_run=str(offline))
    assert not path.exists()
    with pytest.raises(UserError, match='is for launch.train_online'):
        train.train(online_config(path))
    with pytest.raises(UserError, match='is for launch.train'):
        train_online.train_online(small_config(pendulum))
    result = program('launch.train_online', '--config=launch/configs/online.py:bc')
    assert result.returncode == 1
    assert "unknown algorithm 'bc'; valid ones: sac, td3" in result.stderr

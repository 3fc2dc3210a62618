"""Runs that are killed at random moments, and come to the very end of one that never was."""

import os
import shutil
import signal
import subprocess
import time

import jax
import numpy as np
import pytest

from launch.run import metrics
from tests.launch.helpers import ROOT, command
from tests.launch.test_train import final_states, timeless

_SHARED = ['--config.num_seeds=3', '--config.batch_size=32', '--config.network.hidden_sizes=(16,16)',
    '--config.eval_episodes=2', '--config.final_eval_episodes=2']  # fmt: skip
_OFFLINE = ['launch.train', '--config=launch/configs/iql.py:mujoco', '--config.num_updates=2000',
    '--config.log_interval=50', '--config.eval_interval=100', '--config.dataset=test/pendulum-v0',
    '--config.standardize_observations', *_SHARED]  # fmt: skip
_ONLINE = ['launch.train_online', '--config=launch/configs/online.py:td3', '--config.num_updates=600',
    '--config.log_interval=20', '--config.eval_interval=40', '--config.env_id=Pendulum-v1',
    '--config.random_steps=60', '--config.replay_capacity=200', *_SHARED]  # fmt: skip


def launch(arguments, path):
    return subprocess.Popen(
        command(*arguments, f'--config.run_dir={path}'), cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def assert_same(path, whole):
    np.testing.assert_equal(timeless(metrics.read(path)), timeless(metrics.read(whole)))
    pairs = zip(jax.tree.leaves(final_states(path)), jax.tree.leaves(final_states(whole)), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize('arguments, kills', [(_OFFLINE, 20), (_ONLINE, 3)], ids=['offline', 'online'])
def test_random_kills_end_as_an_uninterrupted_run(arguments, kills, pendulum, tmp_path):
    whole, path = tmp_path / 'whole', tmp_path / 'killed'
    began = time.monotonic()
    process = launch(arguments, whole)
    assert not process.wait(), process.stderr.read()
    duration = time.monotonic() - began
    rng, left, ends = np.random.default_rng(0), kills, 0
    while left or path.exists():
        process = launch(arguments, path)
        try:
            # Nothing is there to be lost before its first seconds.
            code = process.wait(rng.uniform(0.2, 0.9) * duration if left else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            left -= 1
            continue
        assert code == 0, process.stderr.read()
        assert_same(path, whole)
        shutil.rmtree(path)
        ends += 1
    assert ends

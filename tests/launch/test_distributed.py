"""Runs that several processes train together, over loopback: they end as those of one process."""

import os
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import pytest

from launch import train
from launch.configs import as_python
from launch.run import checkpoints, metrics
from tests.launch.helpers import ROOT, command, small_config
from tests.launch.test_log import SMALL_ESTIMATES
from tests.launch.test_train import final_states, timeless


def launch(config, tmp_path, number, *others, cluster=False):
    """The processes that train a config; others are arguments of the last one alone."""
    file = tmp_path / f'{number}.py'
    file.write_text(as_python(config))
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = str(free.getsockname()[1])
    started = []
    for i in range(number):
        flags = [f'--coordinator=127.0.0.1:{port}', f'--num_processes={number}', f'--process_id={i}']
        if cluster:
            flags = ['--distributed']
        slurm = {
            'SLURM_JOB_ID': '1', 'SLURM_STEP_NODELIST': 'localhost', 'SLURM_NTASKS': str(number),
            'SLURM_PROCID': str(i), 'SLURM_LOCALID': str(i), 'JAX_COORDINATOR_PORT': port,
        }  # fmt: skip
        flags += others if i == number - 1 else ()
        arguments = command('launch.train', f'--config={file}', *flags)
        started.append(subprocess.Popen(
            arguments, cwd=ROOT, env=os.environ | (slurm if cluster else {}), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        ))  # fmt: skip
    return started


def ends(processes):
    """(exit status, stdout, stderr) of each."""
    return [(*process.communicate(timeout=200), process.returncode) for process in processes]


def assert_same(path, other):
    np.testing.assert_equal(timeless(metrics.read(path)), timeless(metrics.read(other)))
    assert (path / 'summary.json').read_text() == (other / 'summary.json').read_text()
    pairs = zip(jax.tree.leaves(final_states(path)), jax.tree.leaves(final_states(other)), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def test_three_processes_train_as_one_does_and_one_goes_on(pendulum, tmp_path):
    """Three members, of which each process has one, and its share of the batches."""
    values = {'num_seeds': 3, 'dataset_on': 'host', 'log_interval': 10, 'final_eval_episodes': 1}
    config = small_config(pendulum, 'bc', run_dir=str(tmp_path / 'three'), num_updates=20, **values)
    ended = ends(launch(config, tmp_path, 3))
    assert [code for _, _, code in ended] == [0] * 3, ended
    assert 'Run directory' in ended[0][0]
    assert [(out, errors) for out, errors, _ in ended[1:]] == [('', '')] * 2
    assert len(metrics.read(tmp_path / 'three')) == 9
    config.extend, config.num_updates = True, 40
    whole = small_config(pendulum, 'bc', run_dir=str(tmp_path / 'whole'), **values)
    assert_same(train.train(config), train.train(whole))


@pytest.mark.parametrize('judge', ['auto', pytest.param('log', marks=pytest.mark.slow)])
def test_two_processes_train_and_are_judged_as_one_is(judge, pendulum, tmp_path):
    """Three members, of which one process has two, or one and a copy; and each half of the steps."""
    values = SMALL_ESTIMATES | {
        'evaluate_in': judge, 'num_seeds': 3, 'num_updates': 20, 'log_interval': 10,
    }  # fmt: skip
    config = small_config(pendulum, 'bc', run_dir=str(tmp_path / 'two'), dataset_on='split', **values)
    ended = ends(launch(config, tmp_path, 2))
    assert [code for _, _, code in ended] == [0, 0] and ended[1][:2] == ('', ''), ended
    config.run_dir, config.dataset_on = str(tmp_path / 'one'), 'device'
    assert_same(tmp_path / 'two', train.train(config))


def test_what_one_process_finds_wrong_ends_all_and_is_said_once(cartpole, tmp_path):
    config = small_config(cartpole, 'bc', run_dir=str(tmp_path / 'run'), num_seeds=2)
    first, second = ends(launch(config, tmp_path, 2, '--config.seed=1', cluster=True))
    assert first[2] == second[2] == 1 and second[:2] == ('', '')
    assert first[1].splitlines()[-1] == (
        'error: not the same in process 0 and in process 1: config.ope.seed, config.seed; all take one '
        'command, and find the same files.'
    )
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_killed_processes_go_on_as_any_number_of_them(pendulum, tmp_path):
    """One of them is killed, the others end by themselves, and other numbers begin again."""
    values = {'num_seeds': 3, 'num_updates': 4_000, 'log_interval': 50, 'eval_interval': 100}
    config = small_config(pendulum, 'bc', run_dir=str(tmp_path / 'killed'), **values)
    rng = np.random.default_rng(0)
    for number, killed in ((2, 1), (3, 0), (2, 0), (3, 2)):
        before = max(checkpoints.steps(tmp_path / 'killed'), default=0)
        processes = launch(config, tmp_path, number)
        while max(checkpoints.steps(tmp_path / 'killed'), default=0) < before + 300:
            assert processes[0].poll() is None, processes[0].stderr.read()
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        processes[killed].send_signal(signal.SIGKILL)
        codes = [code for _, _, code in ends(processes)]
        assert codes[killed] == -signal.SIGKILL and 0 not in codes
    assert [code for _, _, code in ends(launch(config, tmp_path, 2))] == [0, 0]
    whole = small_config(pendulum, 'bc', run_dir=str(tmp_path / 'whole'), **values)
    assert_same(tmp_path / 'killed', train.train(whole))

"""Tests of how programs end at Ctrl-C."""

import os
import signal
import subprocess
import time

import pytest

from launch import cli
from launch.cli import Interrupted
from launch.run import loop
from tests.launch.helpers import ROOT, command


@pytest.fixture
def handlers():
    """Those of pytest, put back."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_what_stands_and_further_ones_are_harmless(number, handlers, capsys):
    ended = []

    def main():
        with cli.interruptible(lambda: 'RUN stands at 40.'):
            try:
                os.kill(os.getpid(), number)
                time.sleep(60)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)
                ended.append(True)

    with pytest.raises(Interrupted) as raised, cli._interrupts():
        main()
    assert raised.value.args == (number, 'RUN stands at 40.') and ended


def test_signals_are_as_before_once_a_program_has_ended(handlers):
    before = signal.getsignal(signal.SIGINT)
    with cli._interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_where_a_run_stands(tmp_path):
    assert loop.standing(tmp_path, 60) == (
        f'{tmp_path} has no checkpoint yet; the same command begins it again.'
    )
    (tmp_path / 'checkpoints' / '40').mkdir(parents=True)
    (tmp_path / 'checkpoints' / '60.orbax-checkpoint-tmp-0').mkdir()
    assert loop.standing(tmp_path, 60) == (
        f'{tmp_path} stands at 40 of 60 steps; the same command goes on from there.'
    )


def test_ctrl_c_ends_a_run_with_its_workers_in_one_line(pendulum, tmp_path):
    """Sent to all of its processes, as a terminal does, while two of them evaluate."""
    path = tmp_path / 'run'
    process = subprocess.Popen(
        command('launch.train', '--config=launch/configs/bc.py:mujoco', f'--config.dataset={pendulum}',
            '--config.network.hidden_sizes=(16,16)', '--config.batch_size=32',
            '--config.num_updates=100', '--config.log_interval=10',
            '--config.eval_interval=10', '--config.eval_episodes=1000',
            f'--config.run_dir={path}'),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {'TQDM_DISABLE': '1'},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (path / 'metrics.jsonl').exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    # Of the log it is warned, and nothing else is said.
    assert [each for each in errors.splitlines() if not each.startswith('WARNING: ')] == [
        f'interrupted: {path} has no checkpoint yet; the same command begins it again.'
    ]

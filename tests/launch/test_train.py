import json
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.types import DatasetError
from launch import cli, train
from launch.cli import UserError
from launch.run import checkpoints, documents, metrics, policies
from launch.run.members import Member
from tests.conftest import collect, store
from tests.launch.helpers import ROOT, command, program, run, small_config


def final_states(path):
    states = policies.restore(path).states
    return jax.tree.map(
        lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x,
        states,
    )


def timeless(rows):
    for row in rows:
        for rate in ('updates_per_second', 'steps_per_second'):
            row['measures'].pop(rate, None)
    return rows


def test_training_is_the_same_wherever_the_dataset_is(pendulum, tmp_path):
    paths = {where: tmp_path / where for where in ('device', 'host', 'split')}
    for where, path in paths.items():
        train.train(small_config(
            pendulum, 'bc', dataset_on=where, num_seeds=2, log_interval=10, run_dir=str(path)
        ))  # fmt: skip
    on_device, *others = (timeless(metrics.read(path)) for path in paths.values())
    for other in others:
        for a, b in zip(on_device, other, strict=True):
            for name, value in a['measures'].items():
                assert b['measures'][name] == pytest.approx(value, rel=1e-3)


def test_kill_and_relaunch_give_the_uninterrupted_run(pendulum, tmp_path):
    arguments = ['launch.train', '--config=launch/configs/iql.py:mujoco',
        f'--config.dataset={pendulum}', '--config.num_seeds=2', '--config.batch_size=32',
        '--config.network.hidden_sizes=(16,16)', '--config.num_updates=1000',
        '--config.log_interval=100', '--config.eval_interval=200', '--config.eval_episodes=2',
        '--config.final_eval_episodes=2', '--config.standardize_observations']  # fmt: skip
    whole = program(*arguments, f'--config.run_dir={tmp_path / "whole"}')
    assert whole.returncode == 0, whole.stderr

    interrupted = [*arguments, f'--config.run_dir={tmp_path / "killed"}']
    process = subprocess.Popen(
        command(*interrupted), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    # Killed after a checkpoint, wherever that finds it.
    deadline = time.monotonic() + 120
    checkpoints = tmp_path / 'killed' / 'checkpoints'
    while not (checkpoints.exists() and any(entry.name == '400' for entry in checkpoints.iterdir())):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = len(metrics.read(tmp_path / 'killed'))

    resumed = program(*interrupted)
    assert resumed.returncode == 0, resumed.stderr
    assert 'Resuming' in resumed.stdout
    expected = timeless(metrics.read(tmp_path / 'whole'))
    assert 0 < before < len(expected)
    assert timeless(metrics.read(tmp_path / 'killed')) == expected
    pairs = zip(
        jax.tree.leaves(final_states(tmp_path / 'whole')),
        jax.tree.leaves(final_states(tmp_path / 'killed')),
        strict=True,
    )
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def test_a_diverging_member_is_reported_and_left_out(pendulum, tmp_path, capsys):
    config = small_config(pendulum, run_dir=str(tmp_path / 'run'))
    config.sweep.critic_learning_rate = (3e-4, 1e30)
    path = train.train(config)
    printed = capsys.readouterr().out
    assert 'DIVERGED after 2 updates: seed 0 with critic_learning_rate=1e+30' in printed
    summary = json.loads((path / 'summary.json').read_text())
    assert [s['diverged_seeds'] for s in summary['settings']] == [[], [0]]
    gone = 'left out of the means: seed 0 with critic_learning_rate=1e+30.'
    assert gone in printed
    train.train(config)
    assert gone in capsys.readouterr().out
    train.train(small_config(pendulum, run_dir=str(tmp_path / 'alone')))
    alone = json.loads((tmp_path / 'alone' / 'summary.json').read_text())
    assert summary['settings'][0]['return']['mean'] == pytest.approx(
        alone['settings'][0]['return']['mean'], rel=1e-4
    )


def test_a_finished_run_is_shown_and_not_trained_again(pendulum, tmp_path, monkeypatch, capsys):
    config = small_config(pendulum, 'bc', run_dir=str(tmp_path / 'run'))
    train.train(config)
    rows, table = metrics.read(tmp_path / 'run'), capsys.readouterr().out
    monkeypatch.setattr('launch.run.learners.build', lambda *args: pytest.fail('it was trained'))
    train.train(config)
    assert metrics.read(tmp_path / 'run') == rows
    assert capsys.readouterr().out == table
    config.resume = False
    with pytest.raises(UserError, match='holds this run already'):
        train.train(config)


def test_a_directory_with_another_run_is_left_alone(pendulum, tmp_path):
    config = small_config(pendulum, run_dir=str(tmp_path / 'run'))
    train.train(config)
    before = (tmp_path / 'run' / 'metrics.jsonl').read_bytes()
    with pytest.raises(UserError, match='differs in batch_size, hparams'):
        train.train(
            small_config(
                pendulum, run_dir=str(tmp_path / 'run'), batch_size=16, **{'hparams.expectile': 0.8}
            )
        )
    assert (tmp_path / 'run' / 'metrics.jsonl').read_bytes() == before


def test_a_truncated_checkpoint_is_named(pendulum, tmp_path):
    path = train.train(small_config(pendulum, 'bc', run_dir=str(tmp_path / 'run')))
    for file in (path / 'checkpoints' / '40').rglob('*'):
        if file.is_file() and file.stat().st_size > 4096:
            os.truncate(file, file.stat().st_size // 2)
    said = r'checkpoint .*/40 is damaged: its file \S+ has [\d,]+ bytes of [\d,]+;'
    with pytest.raises(UserError, match=said):
        policies.restore(path)
    assert (path / 'summary.json').exists()


def test_a_dataset_whose_environment_is_not_installed(storage, tmp_path):
    path = store('test/gone-v0', collect('Pendulum-v1', 2, 10), 'Pendulum-v1')
    file = path / 'data' / 'metadata.json'
    file.write_text(file.read_text().replace('Pendulum-v1', 'NotInstalled-v1'))
    with pytest.raises(DatasetError, match=r'NotInstalled-v1.*pip install'):
        train.train(small_config('test/gone-v0', run_dir=str(tmp_path / 'run')))
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'argument, message',
    [
        ('--config.expectile=0.7', "unknown key 'expectile' in config; valid ones: algorithm, "),
        ('--config.hparams.tau=0.7', "unknown key 'tau' in config.hparams; valid ones: actor_"),
        ('--config.sweep.tau=0.5,0.7', "unknown key 'tau' in config.sweep; valid ones: actor_"),
        ('--config=launch/configs/iql.py:mujico', "unknown domain 'mujico'; valid ones: mujoco, "),
        ('--config=launch/configs/iqn.py', 'no config file launch/configs/iqn.py; those of this'),
    ],
)
def test_a_bad_command_line_ends_in_one_sentence(argument, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['launch.train', argument])
    with pytest.raises(SystemExit) as ended:
        cli.start_with_config(train.main, 'iql.py:sepsis')
    assert ended.value.code.startswith('error: ') and message in ended.value.code
    assert len(ended.value.code.splitlines()) == 1


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('dataset', 'local/hoper/random-v0', 'local/hopper/random-v0'),
        ('dataset', 'hopper', 'dataset hopper: not a Minari id'),
        ('dataset_on', 'disk', "config.dataset_on is 'disk'; valid: 'device', 'split' or 'host'"),
        ('log_interval', 7, 'no multiple of config.log_interval'),
        ('num_updates', 0, 'config.num_updates is 0; valid: an integer in'),
    ],
)
def test_a_config_that_cannot_be_run_is_refused_in_one_sentence(
    key, value, message, storage, tmp_path
):
    path = tmp_path / 'run'
    with pytest.raises((UserError, DatasetError), match=message) as raised:
        train.train(small_config(**{'dataset': 'test/none-v0', 'run_dir': str(path), key: value}))
    assert len(str(raised.value).splitlines()) == 1
    assert not path.exists()


def test_a_program_ends_with_that_sentence_and_status_1(storage, tmp_path):
    run_dir = f'--config.run_dir={tmp_path / "run"}'
    result = run('launch.train', '--config.algorithm=iqn', run_dir)
    assert result.returncode == 1
    assert "unknown algorithm 'iqn'; valid: awac, bc, " in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and 'Traceback' not in result.stderr
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'algorithm, fixture, message',
    [
        ('dqn', 'pendulum', r'algorithm dqn takes discrete actions; dataset test/pendulum-v0 has '
         r'continuous ones: use one of awac, bc, .*td3_bc, xql\.$'),
        ('sac', 'cartpole', r'algorithm sac takes continuous actions; dataset test/cartpole-v0 has '
         r'discrete ones: use one of bc, .*dqn, .*iql\.$'),
    ],
)  # fmt: skip
def test_an_algorithm_for_other_actions_is_refused(algorithm, fixture, message, tmp_path, request):
    dataset = request.getfixturevalue(fixture)
    with pytest.raises(UserError, match=message):
        train.train(small_config(dataset, algorithm, run_dir=str(tmp_path / 'run')))
    assert not (tmp_path / 'run').exists()


def test_an_unreachable_dataset_is_named(storage, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError('no network')

    monkeypatch.setattr('minari.download_dataset', fail)
    with pytest.raises(DatasetError, match=r'mujoco/hopper/none-v0: not in .*no network'):
        train.train(small_config('mujoco/hopper/none-v0', run_dir=str(tmp_path / 'run')))


def test_nan_rewards_stop_the_run_before_it_begins(storage, tmp_path):
    episodes = collect('Pendulum-v1', 3, 10)
    episodes[1].rewards[4] = float('nan')
    store('test/nan-v0', episodes, 'Pendulum-v1')
    with pytest.raises(DatasetError, match='test/nan-v0, episode 1, rewards: NaN'):
        train.train(small_config('test/nan-v0', run_dir=str(tmp_path / 'run')))


def test_metrics_cut_in_the_middle_of_a_line_are_read(tmp_path):
    rows = [metrics.row('training', 0, Member({}, 0), step, {'loss': np.nan}) for step in (1, 2)]
    text = '\n'.join(map(documents.dumps, [*rows, rows[0]]))
    (tmp_path / 'metrics.jsonl').write_text(text[:-1])
    np.testing.assert_equal(metrics.read(tmp_path), rows)


def test_an_interrupted_checkpoint_is_not_mistaken_for_one(pendulum, tmp_path):
    config = small_config(pendulum, 'bc', run_dir=str(tmp_path / 'run'))
    path = train.train(config)
    shutil.copytree(
        path / 'checkpoints' / '40', path / 'checkpoints' / '60.orbax-checkpoint-tmp-1'
    )
    assert checkpoints.steps(path) == [40]


def test_a_config_without_a_hyperparameter_is_named(pendulum, tmp_path):
    config = small_config(pendulum, run_dir=str(tmp_path / 'run'))
    del config.hparams.expectile
    with pytest.raises(UserError, match='config.hparams lacks expectile, which iql needs'):
        train.train(config)
    assert not (tmp_path / 'run').exists()


def test_a_config_cut_by_a_kill_is_no_run_and_a_damaged_one_is_named(pendulum, tmp_path):
    path = tmp_path / 'run'
    path.mkdir()
    (path / 'config.json.part').write_text('{"algo')
    train.train(small_config(pendulum, 'bc', run_dir=str(path)))
    (path / 'config.json').write_text('{"algo')
    with pytest.raises(UserError, match='config.json is damaged: it is no JSON'):
        policies.restore(path)
    (path / 'config.json').write_text('{"algorithm": "iqn"}')
    with pytest.raises(UserError, match='config.json names none of the algorithms awac, bc, '):
        policies.restore(path)

import errno
import json
import os
import re

import gymnasium as gym
import imageio
import numpy as np
import pytest

from launch import evaluate, train
from launch.cli import UserError
from launch.run import metrics
from tests.launch.helpers import program, small_config


@pytest.mark.usefixtures('one_core')
def test_a_run_is_judged_again(cartpole, tmp_path):
    path = train.train(
        small_config(cartpole, num_seeds=2, run_dir=str(tmp_path / 'run'), standardize_observations=True)
    )
    rows = metrics.read(path)
    trained = [row['measures']['return'] for row in rows if row['event'] == 'evaluation'][-2:]
    for seed, episodes in ((0, 2), (1, 30)):
        result = program(
            'launch.evaluate', f'--run_dir={path}', f'--episodes={episodes}', f'--seed={seed}'
        )
        assert result.returncode == 0, result.stderr
        assert f'seed {seed}' in result.stdout
        file = path / f'evaluation-seed{seed}.json'
        returns = json.loads(file.read_text())['settings'][0]['returns_by_seed']
        # The same episodes earn what they earned in training; others do not.
        assert (list(returns.values()) == pytest.approx(trained)) == (seed == 0)


def test_what_is_no_run_is_named(tmp_path):
    result = program('launch.evaluate', f'--run_dir={tmp_path}')
    assert result.returncode == 1
    assert f'{tmp_path} holds no run' in result.stderr
    assert program('launch.evaluate').stderr.strip() == 'error: which run? --run_dir=DIRECTORY says.'


def test_an_environment_that_draws_nothing_gives_no_video(storage, tmp_path, monkeypatch):
    pytest.importorskip('icu_sepsis')
    path = train.train(
        small_config('local/icu-sepsis/clinician-20-v0', 'bc', run_dir=str(tmp_path / 'run'))
    )
    result = program('launch.evaluate', f'--run_dir={path}', f'--video={tmp_path / "film.gif"}')
    assert result.returncode == 1
    assert 'no video of OfflineRL/ICU-Sepsis-v0' in result.stderr
    assert not (tmp_path / 'film.gif').exists()


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('film', 'a name that ends in .mp4 or .gif'),
        ('.mp4', 'a name that ends in'),
        ('film.avi', 'a name that ends in'),
        ('nowhere/film.gif', 'No such file or directory'),
        ('file/film.gif', 'Not a directory'),
        ('folder.gif', 'Is a directory'),
        ('a' * 300 + '.gif', 'File name too long'),
        # That of the unfinished one is longer.
        ('a' * 250 + '.gif', 'File name too long'),
    ],
)
def test_a_video_that_cannot_be_written_is_told_first(tmp_path, monkeypatch, name, reason):
    monkeypatch.setattr('launch.run.policies.restore', lambda path: pytest.fail('too late'))
    (tmp_path / 'file').touch()
    (tmp_path / 'folder.gif').mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=f'^--video=.*{re.escape(reason)}') as error:
        evaluate.film(tmp_path, 0, 0, tmp_path / name)
    assert '\n' not in str(error.value) and sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_told_before_a_video_is_made(tmp_path, monkeypatch):
    def full(descriptor, begin, length):
        raise OSError(errno.ENOSPC, 'x')

    monkeypatch.setattr('launch.run.policies.restore', lambda path: pytest.fail('too late'))
    monkeypatch.setattr(os, 'posix_fallocate', full)
    with pytest.raises(UserError, match='^--video=.*No space left on device'):
        evaluate.film(tmp_path, 0, 0, tmp_path / 'film.gif')


def test_frames_of_a_policy_are_written(cartpole, tmp_path, monkeypatch):
    path = train.train(small_config(cartpole, 'bc', num_seeds=2, run_dir=str(tmp_path / 'run')))
    # Frames that are equal would be one frame of the file.
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        gym.envs.classic_control.CartPoleEnv,
        'render',
        lambda self: rng.integers(255, size=(16, 16, 3), dtype=np.uint8),
    )
    # Set for good, where it is chosen.
    monkeypatch.setenv('MUJOCO_GL', 'egl')
    evaluate.film(path, 1, 3, tmp_path / 'film.gif')
    assert [each.name for each in tmp_path.glob('*film*')] == ['film.gif']
    frames = imageio.mimread(tmp_path / 'film.gif')
    evaluate.evaluate(path, 1, 3)
    returns = json.loads((path / 'evaluation-seed3.json').read_text())['settings'][0]['returns_by_seed']
    # One for every step, and one before the first.
    assert len(frames) == 1 + returns['1']
    monkeypatch.setattr(gym.envs.classic_control.CartPoleEnv, 'render', lambda self: 1 / 0)
    monkeypatch.setattr('launch.run.drawing.choose_backend', lambda: 'Install it.')
    with pytest.raises(UserError, match=r'CartPole-v1: render failed \(Zero.*\)\. Install it\.$'):
        evaluate.film(path, 1, 3, tmp_path / 'film.gif')
    monkeypatch.setattr(gym.envs.classic_control.CartPoleEnv, 'render', lambda self: None)
    with pytest.raises(UserError, match='CartPole-v1: it draws no images'):
        evaluate.film(path, 1, 3, tmp_path / 'film.gif')
    sizes = iter(range(8, 100))
    for image, reason in (
        (lambda self: rng.random((9, 9, 3)), r'it draws float64 of shape \(9, 9, 3\); uint8 of'),
        (lambda self: np.zeros((16, 16, 2), np.uint8), r'it draws uint8 of shape \(16, 16, 2\); uint8'),
        (lambda self: np.zeros((next(sizes), 8, 3), np.uint8), r'.* sizes, \(8, 8, 3\) and \(9, 8, 3\)'),
    ):
        monkeypatch.setattr(gym.envs.classic_control.CartPoleEnv, 'render', image)
        with pytest.raises(UserError, match=f'CartPole-v1: {reason}'):
            evaluate.film(path, 1, 3, tmp_path / 'film.gif')
    with pytest.raises(UserError, match='--member=2: .* has members 0 to 1'):
        evaluate.film(path, 2, 3, tmp_path / 'film.gif')

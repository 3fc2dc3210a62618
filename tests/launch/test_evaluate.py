import json

import gymnasium as gym
import numpy as np
import pytest

from launch import evaluate, policies, run_directory, train
from tests.launch.helpers import run, small_config


def test_a_run_is_judged_again(cartpole, tmp_path):
    path = train.train(
        small_config(cartpole, num_seeds=2, run_dir=str(tmp_path / 'run'), standardize_observations=True)
    )
    rows = run_directory.read_metrics(path)
    trained = [row['measures']['return'] for row in rows if row['event'] == 'evaluation'][-2:]
    for seed, episodes in ((0, 3), (1, 30)):
        result = run(
            'launch.evaluate', f'--run_dir={path}', f'--episodes={episodes}', f'--seed={seed}'
        )
        assert result.returncode == 0, result.stderr
        assert f'seed {seed}' in result.stdout
        file = path / f'evaluation-seed{seed}.json'
        returns = json.loads(file.read_text())['settings'][0]['returns_by_seed']
        # The same episodes earn what they earned in training; others do not.
        assert (list(returns.values()) == pytest.approx(trained)) == (seed == 0)


def test_what_is_no_run_is_named(tmp_path):
    result = run('launch.evaluate', f'--run_dir={tmp_path}')
    assert result.returncode == 1
    assert f'{tmp_path} holds no run' in result.stderr
    assert run('launch.evaluate').stderr.strip() == 'error: which run? --run_dir=DIRECTORY says.'


def test_an_environment_that_draws_nothing_gives_no_video(storage, tmp_path, monkeypatch):
    pytest.importorskip('icu_sepsis')
    path = train.train(
        small_config('local/icu-sepsis/clinician-20-v0', 'bc', run_dir=str(tmp_path / 'run'))
    )
    result = run('launch.evaluate', f'--run_dir={path}', f'--video={tmp_path / "film.gif"}')
    assert result.returncode == 1
    assert 'no video of OfflineRL/ICU-Sepsis-v0' in result.stderr
    assert not (tmp_path / 'film.gif').exists()


def test_frames_of_a_policy_are_written(cartpole, tmp_path, monkeypatch):
    path = train.train(small_config(cartpole, run_dir=str(tmp_path / 'run')))
    monkeypatch.setattr(
        gym.envs.classic_control.CartPoleEnv,
        'render',
        lambda self: np.full((16, 16, 3), int(self.steps_beyond_terminated is None), np.uint8),
    )
    learner, states, task, *_ = policies.load(path)
    evaluate.film(learner, states, task, 0, 1, tmp_path / 'film.gif')
    assert (tmp_path / 'film.gif').stat().st_size > 100

"""Tests of launch/experiments/tuning_budget.py."""

import contextlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.axes import Axes

from launch import train
from launch.cli import UserError
from launch.experiments import tuning_budget
from launch.run import policies, rollouts
from launch.run.members import Member
from launch.run.policies import Restored
from tests.conftest import collect, store
from tests.launch.helpers import members_of, program, small_config

DATASET, EPISODES = 'test/cartpole-v0', 4


@pytest.fixture
def few(monkeypatch):
    """Few episodes and trials."""
    for name, value in {'_EPISODES': EPISODES, '_TRIALS': 50, '_PULLS': 100}.items():
        monkeypatch.setattr(tuning_budget, name, value)


@pytest.fixture(scope='module')
def sweep(tmp_path_factory) -> Path:
    """A sweep of BC, two members."""
    path = tmp_path_factory.mktemp('sweep')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MINARI_DATASETS_PATH', str(path / 'minari'))
        store(DATASET, collect('CartPole-v1', 20, 30), 'CartPole-v1', scores=(20.0, 500.0))
        return train.train(small_config(
            DATASET, 'bc', seed=2, num_updates=20, run_dir=str(path / 'run'),
            **{'sweep.learning_rate': (1e-4, 1e-1)},
        ))  # fmt: skip


@pytest.fixture
def runs(sweep, tmp_path) -> list[Path]:
    """The sweep, and again as if of another seed, with other episodes."""
    paths = [shutil.copytree(sweep, tmp_path / name) for name in ('one', 'other')]
    changed(paths[1] / 'config.json', lambda content: content.update(seed=5))
    return paths


def no_episodes(*arguments):
    pytest.fail('rolled out again')


def changed(file: Path, change) -> None:
    """Changes what a JSON file holds in place."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def diverged(monkeypatch, path: Path, *members: int) -> None:
    """Has these members of a run diverge."""
    restore = policies.restore

    def restored(which):
        run = restore(which)
        gone = np.isin(np.arange(len(run.finite)), members)
        return run._replace(finite=~gone) if which == path else run

    monkeypatch.setattr(policies, 'restore', restored)


@pytest.mark.usefixtures('one_core', 'few')
def test_sweeps_of_an_algorithm_are_one_curve(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    drawn, plot = [], Axes.plot
    monkeypatch.setattr(
        Axes, 'plot', lambda self, x, y, **more: drawn.append((x, y, more)) or plot(self, x, y, **more)
    )
    tuning_budget.main([str(each) for each in runs])
    printed = capsys.readouterr()
    assert 'BC x2: 100%' in printed.err and '8/8' in printed.err
    kept = [json.loads((each / 'episodes-seed1.json').read_text()) for each in runs]
    for each, seed in zip(kept, (2, 5)):
        assert (each['updates'], each['episodes'], each['seed']) == (20, EPISODES, 1)
        whose = [(policy['setting'], policy['seed']) for policy in each['policies']]
        assert whose == [({'learning_rate': 1e-4}, seed), ({'learning_rate': 1e-1}, seed)]
    returns = np.array([policy['returns'] for each in kept for policy in each['policies']])
    scores = 100 * (returns - 20) / (500 - 20)
    row = next(line for line in printed.out.splitlines() if line.startswith('| BC'))
    name, arms, blindly, *after, best = row.strip('| ').split(' | ')
    assert (name, arms) == ('BC', '4') and len(after) == 4
    assert blindly == f'{scores.mean():.1f}' and best == f'{scores.mean(axis=1).max():.1f}'
    (pulls, means, more), = drawn
    assert (list(pulls), more['label']) == (list(range(1, 101)), 'BC, 4 policies')
    assert scores.mean(axis=1).min() < means[0] < means[-1] < scores.mean(axis=1).max() + 1e-9
    assert [each.split()[0] for each in after] == [f'{means[i - 1]:.1f}' for i in (1, 5, 20, 100)]
    assert 'test/cartpole-v0' in printed.out and '\nScore of the policy' in printed.out
    assert (tmp_path / 'tuning-budget.png').stat().st_size > 10_000
    # The second time nothing is rolled out, and all is the same.
    monkeypatch.setattr(rollouts, 'evaluate', no_episodes)
    tuning_budget.main([str(each) for each in runs])
    assert capsys.readouterr().out == printed.out


@pytest.mark.usefixtures('one_core', 'few')
def test_what_is_kept_is_of_these_policies_or_refused(runs, monkeypatch, capsys):
    (run,) = tuning_budget.restored(runs[:1])
    returns = tuning_budget.returns_of(run)
    file = runs[0] / 'episodes-seed1.json'
    written = file.read_text()
    # Those of fewer updates, or of other episodes, are run again.
    for key in ('updates', 'episodes'):
        changed(file, lambda content: content.update({key: 3}))  # noqa: B023
        if key == 'episodes':
            changed(file, lambda content: [each['returns'].pop() for each in content['policies']])
        np.testing.assert_array_equal(tuning_budget.returns_of(run), returns)
        assert file.read_text() == written
    monkeypatch.setattr(rollouts, 'evaluate', no_episodes)
    for change in (
        lambda content: content.update(config='0123abcd'),
        lambda content: content['policies'].pop(),
        lambda content: content['policies'].reverse(),
        lambda content: content['policies'][0].update(seed=7),
    ):
        file.write_text(written)
        changed(file, change)
        with pytest.raises(UserError, match='episodes-seed1.json is of other policies .*; remove it'):
            tuning_budget.returns_of(run)
    for change, said in (
        (lambda content: content.pop('updates'), "it has no 'updates'"),
        (lambda content: content['policies'][0]['returns'].pop(), 'not every policy has 4 returns'),
        (lambda content: content['policies'][0].update(returns=[None] * 4), 'is null, not a number'),
    ):
        file.write_text(written)
        changed(file, change)
        with pytest.raises(UserError, match=f'episodes-seed1.json is damaged: .*{said}'):
            tuning_budget.returns_of(run)
    file.write_text(written[:-20])
    with pytest.raises(UserError, match='episodes-seed1.json is damaged: it is no JSON'):
        tuning_budget.returns_of(run)
    # Nothing of a stranger's is lost.
    assert file.read_text() == written[:-20]
    file.unlink()
    file.mkdir()
    with pytest.raises(IsADirectoryError):
        tuning_budget.arms_of([run])


@pytest.mark.usefixtures('one_core', 'few')
def test_policies_that_diverged_are_left_out_and_that_is_said(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    all_returns = tuning_budget.returns_of(policies.restore(runs[0]))
    assert not np.array_equal(*all_returns)
    (runs[0] / 'episodes-seed1.json').unlink()
    diverged(monkeypatch, runs[0], 0)
    diverged(monkeypatch, runs[1], 0, 1)
    tuning_budget.main([str(each) for each in runs])
    assert '| BC | 1 (3 diverged, left out) |' in capsys.readouterr().out
    run, other = map(policies.restore, runs)
    np.testing.assert_array_equal(tuning_budget.returns_of(run), all_returns[1:])
    assert tuning_budget.returns_of(other).shape == (0, EPISODES)
    diverged(monkeypatch, runs[0], 0, 1)
    with pytest.raises(UserError, match=r'all policies of BC have diverged \(.*one, .*other\): there'):
        tuning_budget.restored(runs)


@pytest.mark.usefixtures('few')
def test_runs_that_cannot_be_compared_are_named(runs, tmp_path, monkeypatch):
    one, other = runs

    def refused(*paths) -> str:
        with pytest.raises(UserError) as error:
            tuning_budget.restored(list(paths))
        return str(error.value)

    assert refused(one, other, tmp_path / 'x' / '..' / 'one').startswith('a run is named twice')
    assert f'{tmp_path} holds no run' in refused(one, tmp_path)
    longer = shutil.copytree(other, tmp_path / 'longer')
    changed(longer / 'problem.json', _longer)
    said = refused(one, longer)
    assert said.startswith(f'{one} is judged in CartPole-v1, {longer} in CartPole-v1, or with other')
    changed(other / 'summary.json', lambda content: content.update(dataset='test/pendulum-v0'))
    assert refused(one, other) == (
        'the runs are on different datasets: test/cartpole-v0, test/pendulum-v0.'
    )
    (other / 'summary.json').unlink()
    assert refused(one, other) == f'{other} is not finished: there is no summary.json in it.'
    # Before anything is written.
    monkeypatch.chdir(tmp_path)
    result = program('launch.experiments.tuning_budget', one, other)
    assert (result.returncode, result.stderr) == (1, f'error: {refused(one, other)}\n')
    assert not list(tmp_path.glob('**/episodes*')) + list(tmp_path.glob('*.png'))


def _longer(content: dict) -> None:
    content['env_spec']['max_episode_steps'] = 1_000


@pytest.mark.usefixtures('few')
def test_every_target_of_a_policy_is_an_arm(tmp_path, monkeypatch):
    """Asked for a return, these earn it."""

    def evaluated(learner, states, lanes, finite, episodes, stream):
        returns = np.full((len(finite), episodes), states)
        yield SimpleNamespace(share=0.5)
        return SimpleNamespace(returns=np.where(finite[:, None], returns, np.nan))

    monkeypatch.setattr(rollouts, 'evaluate', evaluated)
    # The states are no more than what they are asked for.
    monkeypatch.setattr(rollouts, 'asked_for', lambda states, target: target)
    monkeypatch.setattr(tuning_budget.directory, 'load_config', lambda path: None)
    monkeypatch.setattr(tuning_budget.directory, 'digest', lambda config: 'abc')
    monkeypatch.setattr(tuning_budget, 'Lanes', lambda *sizes: contextlib.nullcontext())
    members = [Member({}, seed) for seed in range(3)]
    run = Restored(
        tmp_path, 'Decision Transformer', 7, SimpleNamespace(scores=None, name='d'),
        SimpleNamespace(members=members), None, (10.0, 30.0), np.array([True, False, True]),
    )  # fmt: skip
    for _ in range(2):
        arms = tuning_budget.arms_of([run])['Decision Transformer']
        np.testing.assert_array_equal(arms.scores.mean(axis=1), [10, 10, 30, 30])
        assert arms.diverged == 2
    curves = {'Decision Transformer': tuning_budget.curve(arms.scores)}
    assert tuning_budget.table({'Decision Transformer': arms}, curves, scored=False).endswith(
        '| 30 [30, 30] | 30 [30, 30] | 30 [30, 30] | 30 |'
    )
    assert tuning_budget.explanation(run.problem).startswith('Return (d has no reference scores) of ')


def test_sweeps_are_on_one_footing():
    found = tuning_budget.configs()
    for config in found:
        train.validate(config)
        assert config.num_updates == 2 * config.eval_interval and config.seed == 0
    assert [config.algorithm for config in found] == ['td3_bc', 'iql', 'rebrac', 'bc']
    assert [len(members_of(config)) for config in found] == [8, 12, 12, 8]
    for key in ('dataset', 'num_updates', 'batch_size', 'final_eval_episodes', 'num_seeds'):
        assert len({config[key] for config in found}) == 1

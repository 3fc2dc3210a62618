"""The program that judges runs from a log, and the experiments on it."""

import json
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from data import behaviour, loading
from data.types import DatasetError
from launch import evaluate, ope, train
from launch.cli import UserError
from launch.estimate import estimators, exact, judging
from launch.estimate.estimators import ESTIMATORS, Estimate
from launch.experiments import fqe_on_hopper, off_policy_evaluation
from launch.run import policies, rollouts
from launch.run.lanes import Lanes
from launch.run.turns import finish
from tests.launch.estimate.helpers import SEPSIS, config_for, judged_as
from tests.launch.helpers import program, small_config

# What the runs earn is of no interest here.
BRIEF = {
    'num_updates': 10, 'log_interval': 1, 'eval_interval': 10, 'eval_episodes': 1,
    'final_eval_episodes': 1,
}  # fmt: skip

METHOD = judging.method_of(config_for(SEPSIS, behaviour='auto'))


@pytest.fixture(scope='module')
def clinical(tmp_path_factory):
    """A run of two policies on a few sepsis records, which stay in the storage."""
    pytest.importorskip('icu_sepsis')
    path = tmp_path_factory.mktemp('clinical')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MINARI_DATASETS_PATH', str(path / 'minari'))
        config = small_config(SEPSIS, 'bc', num_seeds=2, run_dir=str(path / 'bc'))
        # By which each policy does as the clinicians did for at least one whole stay.
        config.network.hidden_sizes = (16, 16)
        yield train.train(config)


def test_estimates_are_those_of_the_estimators(clinical):
    config = config_for(SEPSIS)
    judged = ope.judge(config, [clinical])
    assert [each.name for each in judged] == [
        f'{clinical} seed {seed} after 40 updates' for seed in (0, 1)
    ]
    assert [(each.run, each.member) for each in judged] == [(str(clinical), 0), (str(clinical), 1)]
    dataset = loading.load(SEPSIS)
    observations = np.asarray(dataset.transitions.observation)
    actions = policies.stateless(clinical).normalized_actions(observations)
    log_probs = behaviour.recorded_log_probs(dataset)
    for policy, each in enumerate(judged):
        assert list(each.estimates) == list(ESTIMATORS)
        weights, returns = [], []
        for begin, end in zip(dataset.episode_offsets[:-1], dataset.episode_offsets[1:]):
            follows = actions[begin:end, policy] == dataset.transitions.action[begin:end]
            weights.append(np.prod(follows / np.exp(log_probs[begin:end])))
            returns.append(dataset.transitions.reward[begin:end].sum(dtype=float))
        weights, returns = np.array(weights), np.array(returns)
        assert each.mean_weight == pytest.approx(np.mean(weights))
        ordinary = each.estimates['ordinary IS']
        assert ordinary.value == pytest.approx(np.mean(weights * returns))
        assert ordinary.low <= ordinary.value <= ordinary.high
        size = np.sum(weights) ** 2 / max(np.sum(weights**2), 1e-300)
        assert each.effective_sample_size == pytest.approx(size)
        fitted = each.estimates['FQE']
        assert fitted.low < fitted.value < fitted.high


def test_few_episodes_that_follow_a_policy_are_no_evidence(clinical):
    judged = ope.judge(config_for(SEPSIS, min_effective_sample_size=1e6), [clinical])
    for each in judged:
        for name, estimate in each.estimates.items():
            certain = name in ('FQE', 'linear MWL')
            assert certain == np.isfinite(estimate.value) == (not estimate.refusal)
    assert '| - | - | - | - |' in ope.table(judged)
    assert np.isfinite(judged[0].untried)
    sentences = ope.refusals(judged)
    # Sixty patients hardly ever come to the same state twice.
    assert any('tabular model does not apply: an observation comes' in each for each in sentences)
    assert any('weighted DR cannot say: the episodes that follow' in each for each in sentences)
    assert list(ope.choices(judged)) == ['FQE', 'linear MWL']


def test_fitted_probabilities_are_used_on_the_other_half(clinical):
    one, two = (
        ope.judge(config_for(SEPSIS, behaviour=behaviour), [clinical])[0]
        for behaviour in ('fitted', 'auto')
    )
    assert np.isfinite(one.estimates['FQE'].value)
    # 'auto' takes the recorded ones, on all sixty.
    assert one.mean_weight != two.mean_weight
    assert judging.behaviour_of(loading.load(SEPSIS), METHOD) == 'recorded'


def test_continuous_policies_have_fitted_q_alone(pendulum, tmp_path):
    path = train.train(small_config(pendulum, 'bc', run_dir=str(tmp_path / 'run'), **BRIEF))
    (judged,) = ope.judge(config_for(pendulum, num_refits=0), [path])
    assert np.isfinite(judged.estimates['FQE'].value)
    assert np.isnan(judged.estimates['FQE'].low)
    assert all('one continuous action' in judged.estimates[name].refusal for name in ESTIMATORS[1:])


def test_what_cannot_be_judged_is_named(cartpole, tmp_path):
    path = train.train(small_config(cartpole, 'bc', run_dir=str(tmp_path / 'run'), **BRIEF))
    with pytest.raises(DatasetError, match="hold no 'log_prob' for each step"):
        ope.judge(config_for(cartpole, behaviour='recorded'), [path])
    with pytest.raises(UserError, match='values of policies in CartPole-v1 are not known'):
        exact.values(policies.stateless(path))


def test_policies_that_remember_are_led_along_the_log(cartpole, tmp_path):
    path = train.train(
        small_config(cartpole, 'decision_transformer', run_dir=str(tmp_path / 'dt'), **BRIEF)
    )
    with pytest.raises(UserError, match='read the steps before'):
        policies.stateless(path)
    (found,) = policies.of_run(path)
    dataset = loading.load(cartpole)
    actions = found.actions_along(dataset)
    # One episode by hand, alone.
    episode = 1
    rows = slice(*dataset.episode_offsets[episode : episode + 2])
    learner, states = found.run.learner, found.run.states
    memory, reward = learner.init_memory(states, 1), np.zeros((1, 1))
    for step, observation in enumerate(dataset.transitions.observation[rows]):
        action, memory = learner.act(
            states, memory, observation[None, None], reward, learner.keys(), step
        )
        assert action[0, 0] == actions[rows][step, 0]
        reward = dataset.transitions.reward[rows][step].reshape(1, 1)
    (judged,) = ope.judge(config_for(cartpole), [path])
    for name in ('FQE', 'tabular model', 'linear MWL', 'weighted DR'):
        assert 'also reads the steps before' in judged.estimates[name].refusal
    assert judged.effective_sample_size >= 0


def test_every_checkpoint_that_is_kept_is_judged(cartpole, tmp_path):
    values = BRIEF | {'num_updates': 30, 'keep_checkpoints': 2}
    path = train.train(small_config(cartpole, 'bc', run_dir=str(tmp_path / 'run'), **values))
    early, late = policies.of_run(path, all_checkpoints=True)
    assert (early.run.updates, late.run.updates) == (20, 30)
    assert early.names == [f'{path} seed 0 after 20 updates']
    (last,) = policies.of_run(path)
    observations = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    for each in (last, late):
        np.testing.assert_array_equal(
            each.normalized_actions(observations), late.normalized_actions(observations)
        )
    assert early.run.states.step[0] == 20 and last.run.states.step[0] == 30


def test_a_policy_of_another_problem_is_named(pendulum, cartpole, tmp_path):
    path = train.train(small_config(pendulum, 'bc', run_dir=str(tmp_path / 'run'), **BRIEF))
    with pytest.raises(UserError, match='cannot be judged from dataset test/cartpole-v0: its spec'):
        ope.judge(config_for(cartpole), [path])


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('behaviour', 'guessed', "valid: 'auto', 'recorded' or 'fitted'"),
        ('tried_threshold', 1.0, r'valid: a number in \[0, 1\)'),
        ('num_refits', 1, r'valid: an integer in \[0, 0\] or \[2, 1e4\]'),
        ('log_interval', 30, 'config.num_updates is 40, no multiple of config.log_interval'),
        ('batch_size', 0, 'config.batch_size is 0'),
        ('behaviour_model.num_updates', 0, 'config.behaviour_model.num_updates is 0'),
    ],
)
def test_bad_values_are_named(key, value, message):
    with pytest.raises(UserError, match=message):
        ope.validated(config_for(SEPSIS, **{key: value}), [Path('run')])


def test_the_program_writes_its_own_file_alone(clinical, tmp_path):
    file = tmp_path / 'out.json'
    config = config_for(SEPSIS, output=str(file))
    overrides = [f'--config.{key}={config[key]}' for key in
                 ('dataset', 'batch_size', 'behaviour_model.num_updates', 'num_updates',
                  'log_interval', 'num_refits', 'output', 'min_mean_weight',
                  'min_effective_sample_size', 'min_support')]  # fmt: skip
    file.write_text('[]')
    refused = program('launch.ope', *overrides, str(clinical))
    assert refused.returncode == 1
    assert f'{file} holds something else' in refused.stderr
    assert file.read_text() == '[]'
    file.unlink()
    result = program('launch.ope', *overrides, '--select', str(clinical))
    assert result.returncode == 0, result.stderr
    assert 'FQE chooses' in result.stdout
    assert f'Learned from this very dataset, whose chances favour what they chose: {clinical}' in (
        result.stdout
    )
    written = json.loads(file.read_text())
    assert len(written['policies']) == 2
    # The same question again may have the same file.
    ope._keep_others(file, ConfigDict(written['config']))


@pytest.mark.usefixtures('one_core')
def test_exact_values_are_what_is_earned(clinical):
    judged = policies.stateless(clinical)
    run = judged.run
    with Lanes(run.problem, 2, 200) as lanes:
        played = rollouts.evaluate(run.learner, run.states, lanes, np.ones(2, bool), 200)
        episodes = finish(played)
    error = episodes.returns.std(axis=1) / np.sqrt(200) + 1e-3
    assert np.all(np.abs(exact.values(judged) - episodes.returns.mean(axis=1)) < 4 * error)
    evaluate.evaluate_exactly(clinical)
    written = json.loads((clinical / 'evaluation-exact.json').read_text())['settings'][0]
    assert list(written['returns_by_seed'].values()) == pytest.approx(exact.values(judged))


def test_the_best_may_be_the_surest_and_may_be_one_of_many():
    sure, unsure = judged_as(0.5, 0.6)
    unsure = unsure._replace(estimates={'FQE': Estimate(0.6, 0.1, 1.1)})
    none = unsure._replace(estimates={'FQE': Estimate(0.9, np.nan, np.nan)})
    everything = [
        each._replace(
            estimates=dict.fromkeys(ESTIMATORS, estimators.refused('no.')) | each.estimates
        )
        for each in (sure, unsure, none)
    ]
    assert [each.estimates['FQE'].value for each in ope.choices(everything)['FQE']] == [0.9, 0.6, 0.5]
    by_bound = ope.choices(everything, by_lower_bound=True)['FQE']
    assert [each.estimates['FQE'].value for each in by_bound] == [0.5, 0.6, 0.9]
    # Policies whose every episode differs by the same are told apart, however uncertain both are.
    noise = np.random.default_rng(0).normal(size=100)
    told = [
        each._replace(estimates=each.estimates | {
            'linear MWL': Estimate(value, value - 1, value + 1, influence=noise + shift)
        })
        for each, value, shift in zip(everything, (0.5, 0.6, 0.3), (0.0, 0.001 * noise, 0.1 * noise))
    ]  # fmt: skip
    assert 'the log tells it from all others' in ope.ranking(told)
    same = [told[0], told[1]._replace(estimates=told[1].estimates | {
        'linear MWL': told[1].estimates['linear MWL']._replace(value=0.5)
    })]  # fmt: skip
    assert 'the log cannot tell it from 1 of the 1 others' in ope.ranking(same)


def test_quality_of_an_estimator():
    true = np.array([0.1, 0.5, 0.9, 0.4])
    judged = judged_as(0.15, 0.7, 0.6, 0.35)
    quality = off_policy_evaluation.quality(judged, true, 'FQE')
    assert quality == pytest.approx(
        {'policies': 4, 'error': 0.15, 'coverage': 0.5, 'rank_correlation': 0.8, 'regret': 0.4}
    )


def test_figures_are_drawn(tmp_path):
    true = np.array([0.1, 0.5])
    refused = Estimate(np.nan, np.nan, np.nan, 'cannot say.')
    judged = [
        each._replace(estimates=each.estimates | dict.fromkeys(ESTIMATORS[1:], refused))
        for each in judged_as(0.2, 0.4)
    ]
    off_policy_evaluation.draw(judged, judged, true, tmp_path / 'all.png')
    fqe_on_hopper.draw(judged, true, 'title', tmp_path / 'fqe.png')
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ('all.png', 'fqe.png'))


@pytest.mark.slow
def test_measured_returns_are_of_raw_rewards(pendulum, tmp_path, monkeypatch):
    monkeypatch.setattr(fqe_on_hopper, '_EPISODES', 2)
    config = small_config(
        pendulum, num_seeds=2, run_dir=str(tmp_path / 'run'), reward_scale=0.01, **BRIEF
    )
    judged = policies.stateless(train.train(config))
    run = judged.run
    with Lanes(run.problem, 2, 2) as lanes:
        episodes = finish(
            rollouts.evaluate(run.learner, run.states, lanes, np.ones(2, bool), 2, stream=1)
        )
    np.testing.assert_allclose(
        fqe_on_hopper.measure(judged, 1.0), episodes.returns.mean(axis=1), rtol=1e-5
    )

"""Training on a log and nothing else: no environment, or one that has no reference scores."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import ALGORITHMS, bc
from data import sampling
from data.batches import Form
from data.problem import identity
from data.types import DatasetError, Spec
from launch import train
from launch.cli import UserError
from launch.estimate import held_out, judging
from launch.estimate.behaviour import Model
from launch.estimate.support import Support
from launch.run import metrics, policies
from tests.conftest import collect, store
from tests.data.test_transforms import dataset
from tests.launch.helpers import learner_of, program, small_config

SMALL_ESTIMATES = {
    'ope.num_updates': 20, 'ope.log_interval': 1, 'ope.num_refits': 2,
    'ope.network.hidden_sizes': (8, 8),
    'ope.behaviour_model.num_updates': 20, 'ope.behaviour_model.network.hidden_sizes': (8, 8),
    'ope.min_mean_weight': 0.0, 'ope.min_support': 0.0,
}  # fmt: skip


@pytest.fixture
def patients(storage):
    """A discrete log without an environment; its id."""
    import gymnasium as gym

    spaces = gym.spaces.Box(-np.inf, np.inf, (4,)), gym.spaces.Discrete(2)
    store('clinic/patients-v0', collect('CartPole-v1', 30, 30), spaces=spaces, scores=None)
    return 'clinic/patients-v0'


def log_config(dataset, algorithm='discrete_bcq', **values):
    return small_config(dataset, algorithm, **(SMALL_ESTIMATES | values))


def summary_of(path):
    return json.loads((path / 'summary.json').read_text())


def test_a_sweep_is_ranked_by_its_estimates(patients, tmp_path, capsys):
    config = log_config(patients, num_seeds=2, run_dir=str(tmp_path / 'run'))
    config.sweep.threshold = (0.1, 0.9)
    path = train.train(config)
    summary = summary_of(path)
    found = json.loads((path / 'estimates.json').read_text())
    values = {
        (each['setting']['threshold'], each['seed']): each['estimates']['FQE']['value']
        for each in found['policies']
    }
    assert set(values) == {(0.1, 0), (0.1, 1), (0.9, 0), (0.9, 1)}
    means = [setting['estimate']['mean'] for setting in summary['settings']]
    assert means == sorted(means, reverse=True)
    for setting in summary['settings']:
        threshold = setting['setting']['threshold']
        assert setting['estimate']['mean'] == pytest.approx(
            np.mean([values[threshold, seed] for seed in (0, 1)])
        )
        for name in ('support', 'agreement', 'td_error', 'claimed_value'):
            assert np.isfinite(setting[name]['mean'])
        assert 'return' not in setting and 'score' not in setting
    # The sixth of 30 episodes, of which every step earns 1.
    assert summary['log']['episodes'] == 6
    assert summary['log']['return']['mean'] == pytest.approx(summary['log']['steps'] / 6)
    printed = capsys.readouterr().out
    assert 'estimate' in printed and 'The log' in printed and summary['ranking'] in printed
    assert (path / 'learning_curves.png').exists()
    # What is finished is shown again.
    train.train(config)
    assert summary['ranking'] in capsys.readouterr().out
    compared = program('launch.compare', path, f'--output={tmp_path / "figure.png"}')
    assert compared.returncode == 0 and 'the log' in compared.stdout, compared.stderr


def test_a_transformer_is_asked_for_what_the_log_reached(patients, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, 'of_log', lambda *_: 0.0)
    config = log_config(
        patients, 'decision_transformer', target_returns=(), standardize_returns=True, num_updates=20,
        log_interval=1, run_dir=str(tmp_path / 'run'),
    )  # fmt: skip
    path = train.train(config)
    (setting,) = summary_of(path)['settings']
    assert 0 <= setting['agreement']['mean'] <= 1 and 'td_error' not in setting
    # A value of the observation alone has no place for what a transformer remembers.
    assert 'reads the steps before' in setting['refused']['0'] and 'estimate' not in setting
    data = train.load_data(config)
    returns = np.concatenate([data.learned_from.episode_returns, data.held_out.episode_returns])
    run = policies.restore(path)
    assert run.target_returns[0] == returns.max()
    assert float(run.states.hparams.return_scale[0]) == pytest.approx(returns.std(), rel=1e-4)


def test_an_environment_that_is_not_wanted_is_left_alone(pendulum, tmp_path, monkeypatch):
    monkeypatch.setattr(train, '_estimate', lambda *_: None)
    config = log_config(pendulum, 'bc', evaluate_in='log', run_dir=str(tmp_path / 'run'))
    setting = summary_of(train.train(config))['settings'][0]
    assert setting['normalized_action_distance']['mean'] > 0 and 'return' not in setting
    config = log_config(pendulum, 'bc', run_dir=str(tmp_path / 'other'), env_id='CartPole-v1')
    with pytest.raises(DatasetError, match='config.env_id names another .* does without'):
        train.train(config)


def test_without_reference_scores_there_are_returns_alone(storage, tmp_path):
    store('test/cartpole-v0', collect('CartPole-v1', 20, 30), 'CartPole-v1', scores=None)
    path = train.train(log_config('test/cartpole-v0', 'bc', run_dir=str(tmp_path / 'run')))
    setting = summary_of(path)['settings'][0]
    assert setting['return']['mean'] >= 8 and 'score' not in setting
    assert all('score' not in row['measures'] for row in metrics.read(path))
    assert program('launch.compare', path, f'--output={tmp_path / "figure.png"}').returncode == 0
    assert program('launch.evaluate', f'--run_dir={path}', '--episodes=2').returncode == 0


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('dataset', '', '--config.dataset=ID'),
        ('evaluate_in', 'hospital', "valid: 'auto', 'environment' or 'log'"),
        ('holdout_fraction', 1.0, r'valid: a number in \(0, 1\)'),
        ('ope.behaviour', 'guessed', 'config.ope.behaviour'),
        ('ope.estimator', 'guess', "config.ope.estimator is 'guess'; valid: FQE, tabular model"),
        ('keep_checkpoints', 0, 'config.keep_checkpoints is 0'),
    ],
)
def test_what_cannot_be_judged_is_named(patients, tmp_path, key, value, message):
    config = log_config(patients, run_dir=str(tmp_path / 'run'))
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        train.train(config)
    assert not (tmp_path / 'run').exists()


def test_an_environment_that_is_demanded_must_be_there(patients, tmp_path):
    config = log_config(patients, evaluate_in='environment', run_dir=str(tmp_path / 'run'))
    with pytest.raises(DatasetError, match='names no environment'):
        train.train(config)


def test_policies_are_judged_from_part_of_a_large_log_and_that_is_said(monkeypatch, capsys):
    held = dataset([1.0, 2.0, 3.0, 4.0], [2, 3, 3, 2])
    assert held_out.judged_from(held) is held and not capsys.readouterr().err
    monkeypatch.setattr(held_out, '_MOST_STEPS', 6)
    few = held_out.judged_from(held)
    np.testing.assert_allclose(few.episode_returns, [1, 4], rtol=1e-6)
    assert 'judged from 4 of the 10 steps that are held out' in capsys.readouterr().err


def test_held_out_metrics_are_those_of_updates_that_are_not_made(patients):
    config = log_config(patients, 'dqn', num_seeds=2, reward_scale=4.0)
    data = train.load_data(config)
    learner = learner_of(config, data.learned_from.problem)
    states = learner.init()
    before = jax.device_get(states.critic.params)
    batches = held_out.fixed_batches(data.held_out.transitions, 32, 3, Form())
    measured = learner.metrics_on(states, batches)
    update = jax.jit(ALGORITHMS['dqn'].update)
    for member in (0, 1):
        state = jax.tree.map(lambda leaf, m=member: leaf[m], states)
        errors = []
        for number in range(3):
            key = sampling.batch_key(0, number)
            batch = sampling.sample(jax.tree.map(jnp.asarray, data.held_out.transitions), key, 32)
            batch = data.learned_from.problem.preprocessing.transition(batch)
            errors.append(update(state, batch).metrics['td_error'])
        assert measured['td_error'][member] == pytest.approx(np.mean(errors), rel=1e-5)
    jax.tree.map(np.testing.assert_array_equal, before, jax.device_get(states.critic.params))


class FixedPolicy:
    """Stands for a cloned network: the probability of action 1 is the observation."""

    params = None

    @staticmethod
    def apply_fn(params, observations):
        from networks.distributions import Categorical

        p = observations[:, 0]
        return Categorical(jnp.log(jnp.stack([1 - p, p], axis=1)))


def test_support_and_agreement_are_shares_of_actions(patients):
    data = train.load_data(log_config(patients)).learned_from
    task = data.problem._replace(spec=Spec(1, 2, True), preprocessing=identity(1))
    steps = data.transitions._replace(
        observation=np.array([[0.9], [0.6], [0.02]], np.float32), action=np.array([1, 0, 0], np.int32)
    )
    made = data._replace(problem=task, transitions=steps)
    model = Model(bc.BCState(None, None, None, FixedPolicy, {}), identity(1))
    support = Support(model, float(np.log(0.05)))
    # Probabilities 0.9, 0.6, 0.02 of the first policy's actions, 0.1, 0.4, 0.98 of the second's.
    found = held_out.imitation(np.array([[1, 0], [1, 0], [1, 0]], np.int32), made, support)
    np.testing.assert_allclose(found['support'], [2 / 3, 1])
    np.testing.assert_allclose(found['agreement'], [1 / 3, 2 / 3])


def test_what_is_held_out_depends_on_the_seed_alone(patients):
    first, again, other = (
        train.load_data(log_config(patients, seed=seed)).held_out.transitions.observation
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)

"""Runs whose policies are told where to go, from the config to the exported policy."""

import json

import numpy as np
import pytest

from data import environments, problem, seeding
from data.types import DatasetError
from launch import evaluate, train
from launch.cli import UserError
from launch.run import exporting, metrics, policies, rollouts
from launch.run.lanes import Lanes
from launch.run.turns import finish
from tests.conftest import collect, store
from tests.data.plane import PLANE_ID
from tests.launch.helpers import program, small_config

GOALS = {'goals.future': 'geometric', 'goals.current': 0.2, 'goals.random': 0.3}
UNIFORM = {'goals.future': 'uniform', 'num_updates': 20}


@pytest.fixture
def plane(storage):
    """20 episodes of random moves on the plane of tests/data/plane.py; its id."""
    store('test/plane-v0', collect(PLANE_ID, 20, 20), PLANE_ID, scores=None)
    return 'test/plane-v0'


def trained(path, dataset, algorithm='iql', **values):
    config = small_config(dataset, algorithm, **{'run_dir': str(path)} | GOALS | values)
    return train.train(config)


@pytest.mark.usefixtures('one_core')
def test_a_run_faces_states_and_goals_wherever_its_batches_are_from(plane, tmp_path, capsys):
    values = UNIFORM | {'num_seeds': 2, 'standardize_observations': True, 'eval_interval': 20}
    runs = [
        trained(tmp_path / where, plane, 'bc', dataset_on=where, **values)
        for where in ('device', 'host', 'split')
    ]
    task = problem.load(runs[0] / 'problem.json')
    assert task.goals and task.spec.observation_size == 4
    mean = task.preprocessing.observation_mean
    np.testing.assert_array_equal(mean[:2], mean[2:])
    losses = [
        [row['measures']['learner/actor_loss'] for row in metrics.read(run)
         if row['event'] == 'training']  # fmt: skip
        for run in runs
    ]
    assert len(losses[0]) == 40
    np.testing.assert_allclose(losses[1:], losses[:1] * 2, rtol=1e-5)
    assert 'the log' not in capsys.readouterr().out

    evaluate.evaluate(runs[0], 3, seed=1)
    (setting,) = json.loads((runs[0] / 'evaluation-seed1.json').read_text())['settings']
    # The environment pays 1 for the goal, and ends.
    assert setting['score']['mean'] == pytest.approx(100 * setting['return']['mean'])


@pytest.mark.usefixtures('one_core')
def test_episodes_of_an_evaluation_take_the_tasks_in_turn(plane, tmp_path):
    run = policies.restore(trained(tmp_path / 'run', plane, 'bc', **UNIFORM, eval_interval=20))
    with Lanes(run.problem, 1, 23) as lanes:
        everyone = np.ones(1, bool)
        episodes = finish(rollouts.evaluate(run.learner, run.states, lanes, everyone, 23))
    env = environments.make(run.problem.env_spec)
    for number, seed in enumerate(np.random.SeedSequence((0, 0)).generate_state(23)):
        expected, info = seeding.reset(env, int(seed), {'turn': number})
        assert info['task'] == 1 + number % 5
        np.testing.assert_array_equal(episodes.initial_observations[0, number], expected)
    about = exporting.of_table(run.problem)
    assert [each['column'] for each in about['features']] == [
        'observation_0', 'observation_1', 'goal_0', 'goal_1',
    ]  # fmt: skip


REFUSED = [
    ('crl', {'goals.future': ''}, "config.goals.future is ''; algorithm crl learns to reach goals"),
    ('rebrac', {}, 'algorithm rebrac learns from what relabelled steps do not have'),
    ('decision_transformer', {}, 'decision_transformer learns from what relabelled steps do not'),
    ('iql', {'goals.future': ''}, "config.goals.current is 0.2, but config.goals.future is ''"),
    ('iql', {'goals.future': 'near'}, "config.goals.future is 'near'; valid: '', 'geometric' or 'uni"),
    ('iql', {'goals.random': 1.5}, r'config.goals.random is 1.5; valid: a number in \[0, 1\]'),
    ('iql', {'goals.random': 0.9}, 'are 0.2 and 0.9; valid: shares that sum to 1 at most'),
    ('iql', {'goals.actor_random': 0.5}, 'algorithm iql has one goal for its policy and its critics'),
    ('iql', {'hparams.gamma': 1.0}, "algorithm iql has none here: only 'uniform' is valid"),
    ('iql', {'sweep.gamma': (0.9, 0.99)}, "algorithm iql has none here: only 'uniform' is valid"),
    ('bc', {}, "algorithm bc has none here: only 'uniform' is valid"),
    ('iql', {'n_step': 2}, "config.n_step is 2; with config.goals.future, .* only 1 is valid"),
    ('iql', {'chunk': 3}, 'config.chunk is 3; with config.goals.future, .* only 1 is valid'),
    ('iql', {'normalize_rewards': True}, 'config.normalize_rewards is True; with config.goals'),
    ('iql', {'delayed_rewards': True}, 'config.delayed_rewards is True; with config.goals'),
    ('iql', {'evaluate_in': 'log'}, 'whether policies reach goals is seen in an environment, not in'),
]  # fmt: skip


@pytest.mark.parametrize(('algorithm', 'values', 'match'), REFUSED)
def test_what_does_not_go_with_goals_is_refused(plane, tmp_path, algorithm, values, match):
    with pytest.raises(UserError, match=match) as error:
        trained(tmp_path / 'run', plane, algorithm, **values)
    assert '\n' not in str(error.value) and not (tmp_path / 'run').exists()


def test_an_environment_without_goals_is_refused(pendulum, tmp_path):
    with pytest.raises(DatasetError, match='environment Pendulum-v1 has no tasks with goals'):
        trained(tmp_path / 'run', pendulum)


@pytest.mark.usefixtures('one_core')
def test_critics_of_goals_claim_nothing_and_do_not_go_on_online(plane, tmp_path):
    """They go by other rewards than the environment."""
    path = trained(tmp_path / 'run', plane, num_updates=20, eval_interval=20)
    rows = [row['measures'] for row in metrics.read(path) if row['event'] == 'evaluation']
    assert rows and not any('claimed_value' in row for row in rows)
    ended = program(
        'launch.train_online', '--config=launch/configs/online.py:iql', f'--from_run={path}'
    )
    assert ended.returncode and 'learned from relabelled goals' in ended.stderr

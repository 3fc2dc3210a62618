"""What a policy faces, as it is kept with a run."""

import json

import gymnasium as gym
import numpy as np
import pytest

from data import environments, judges, loading, problem, transforms
from data.types import DatasetError, Spec
from tests.data import helpers


def assert_same(a, b):
    if isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_same(x, y)
    else:
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('fixture', ['pendulum', 'cartpole'])
def test_a_problem_comes_back_as_it_was(fixture, request, tmp_path):
    dataset = transforms.preprocess(
        loading.load(request.getfixturevalue(fixture)), True, True, 2.0, -1.0
    )
    before = transforms.delay_rewards(dataset).problem
    problem.save(before, tmp_path / 'problem.json')
    after = problem.load(tmp_path / 'problem.json')
    for name in problem.Problem._fields:
        if name != 'env_spec':
            assert_same(getattr(before, name), getattr(after, name))
    assert after.env_spec.id == before.env_spec.id
    assert after.preprocessing.observation_mean.dtype == np.float32


def test_one_without_environment_or_scores_comes_back(tmp_path):
    before = helpers.problem(Spec(2, 1, discrete=False))
    problem.save(before, tmp_path / 'problem.json')
    after = problem.load(tmp_path / 'problem.json')
    assert after.env_spec is None and after.scores is None and after.lines == {}


def test_one_from_before_success_could_be_the_score_is_scored_as_it_was(tmp_path):
    file = tmp_path / 'problem.json'
    kept = helpers.problem(Spec(2, 1, discrete=False))._replace(score_by_success=True)
    problem.save(kept, file)
    assert problem.load(file).score_by_success
    fields = json.loads(file.read_text())
    del fields['score_by_success']
    file.write_text(json.dumps(fields))
    assert not problem.load(file).score_by_success


def test_one_of_another_version_is_named(tmp_path):
    file = tmp_path / 'problem.json'
    problem.save(helpers.problem(Spec(2, 1, discrete=False)), file)
    fields = json.loads(file.read_text())
    fields['action_low'] = fields.pop('action_map')['low']
    file.write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match='another version of this code: it has action_low'):
        problem.load(file)


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda text: text[:-20], r'is damaged: it is no JSON \('),
        (lambda text: '[' * 100_000, r'is damaged: it is no JSON \('),
        (lambda text: '[1]', 'is damaged: it holds no object'),
        (lambda text: text.replace('"observation_size": 2', '"observation_size": "2"'),
         'its spec is not'),
        (lambda text: text.replace('"observation_size": 2', '"observation_size": 3'),
         'its preprocessing is not of the 3 features of its spec'),
        (lambda text: text.replace('"action_map": {', '"action_map": {"a": '), 'it is no JSON'),
        (lambda text: text.replace('"scores": null', '"scores": [1]'), 'its scores is not'),
        (lambda text: text.replace('"env_spec": null', '"env_spec": 3'), 'its env_spec is not'),
        (lambda text: text.replace('_by_success": false', '_by_success": 1'), 'its score_by_success is'),
        (lambda text: text.replace('"name": "', '"name": 3, "nam": "'), 'another version'),
        (lambda text: text.replace('"start": ', '"begin": '), "its action_map is not .*'start'"),
    ],
)  # fmt: skip
def test_a_damaged_one_is_named_in_one_sentence(change, said, tmp_path):
    file = tmp_path / 'problem.json'
    problem.save(helpers.problem(Spec(2, 1, discrete=False)), file)
    file.write_text(change(file.read_text()))
    with pytest.raises(DatasetError, match=f'{file} .*{said}') as raised:
        problem.load(file)
    assert len(str(raised.value).splitlines()) == 1


def test_a_missing_one_is_named(tmp_path):
    with pytest.raises(DatasetError, match='problem.json is missing'):
        problem.load(tmp_path / 'problem.json')


def test_lines_are_the_references_or_the_scores():
    made = helpers.problem(Spec(2, 1, discrete=False), scores=(1.0, 3.0))
    assert made.lines == {'random': 1.0, 'expert': 3.0}
    assert made._replace(reference_lines={'doctor': 2.0}).lines == {'doctor': 2.0}


def test_an_environment_makes_a_problem_of_its_own():
    made = problem.from_environment('Pendulum-v1')
    assert made.spec == Spec(3, 1, discrete=False) and made.scores is None
    np.testing.assert_array_equal(made.action_map.high, [2])
    assert judges.check(made) == []
    with pytest.raises(DatasetError, match='CartPole-v1: .* not supported online'):
        problem.from_environment('CartPole-v1')


def test_another_environment_has_scores_of_its_own():
    made = helpers.problem(Spec(11, 3, discrete=False), scores=(0.0, 1.0))
    there = problem.judged_in(made._replace(reference_lines={'doctor': 2.0}), 'Hopper-v5')
    assert there.env_spec.id == 'Hopper-v5' and there.scores[0] < -20 and there.scores[1] > 3000
    assert there.lines == {'random': there.scores[0], 'expert': there.scores[1]}
    assert problem.judged_in(made, 'CartPole-v1').scores is None


def test_another_time_limit_has_no_scores_unless_there_was_none():
    hopper = gym.spec('Hopper-v5')
    made = helpers.problem(Spec(11, 3, discrete=False), env_spec=hopper, scores=(0.0, 1.0))
    assert problem.judged_in(made, 'Hopper-v5') == made
    assert problem.judged_in(made, max_episode_steps=1000).scores == (0.0, 1.0)
    shorter = problem.judged_in(made, max_episode_steps=100)
    assert shorter.env_spec.max_episode_steps == 100 and shorter.scores is None
    endless = made._replace(env_spec=gym.spec('Blackjack-v1'))
    assert environments.time_limit(endless.env_spec) is None
    limited = problem.judged_in(endless, max_episode_steps=9)
    assert limited.env_spec.max_episode_steps == 9 and limited.scores == (0.0, 1.0)


def test_fields_that_came_later_have_their_defaults(tmp_path):
    file = tmp_path / 'problem.json'
    problem.save(helpers.problem(Spec(2, 1, discrete=False), delayed_rewards=True), file)
    fields = json.loads(file.read_text())
    del fields['columns'], fields['delayed_rewards']
    file.write_text(json.dumps(fields))
    assert not problem.load(file).delayed_rewards and problem.load(file).columns is None
    del fields['spec']
    file.write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match='another version'):
        problem.load(file)

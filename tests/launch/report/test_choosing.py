"""Tests of launch/report/choosing.py."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data.problem import Problem
from launch.cli import UserError
from launch.report import choosing
from launch.report.choosing import Estimates
from launch.run.members import Member
from launch.run.policies import Restored
from tests.launch.exports import clinic

# Two settings with two seeds each; the last has diverged.
MEMBERS = [Member({'expectile': value}, seed) for value in (0.7, 0.9) for seed in (3, 4)]


def restored(path: Path, members=MEMBERS, targets=()) -> Restored:
    task: Problem = clinic('discrete')
    learner = SimpleNamespace(members=members)
    return Restored(path, 'IQL', 100, task, learner, None, targets, np.arange(len(members)) != 3)


def estimated(path: Path, *values, updates=100) -> Path:
    """A file of estimates of these values, None where they are refused."""
    estimates = [
        {'value': value, 'low': None, 'high': None, 'refusal': '' if value else 'cannot say.'}
        for value in values
    ]
    policies = [
        {'run': str(path), 'member': member, 'updates': updates, 'estimates': {'FQE': estimate}}
        for member, estimate in enumerate(estimates)
    ]
    file = path / 'elsewhere.json'
    file.write_text(json.dumps({'config': {'hparams': {'gamma': 0.9}}, 'policies': policies}))
    return file


def test_the_member_is_chosen(tmp_path):
    run = restored(tmp_path)
    assert choosing.member(run, Estimates([]), 2, None) == 2
    assert choosing.member(restored(tmp_path, MEMBERS[:1]), Estimates([]), None, None) == 0
    assert choosing.member(run, Estimates([]), None, 'expectile=0.70') == 0
    known = choosing.read(estimated(tmp_path, 0.1, 0.5, None, 0.9), run, None)
    assert (known.estimator, known.discount, known.log) == ('FQE', 0.9, None)
    assert choosing.member(run, known, None, 'expectile=0.7') == 1
    # One is refused, another diverged: the only one that is left.
    assert choosing.member(run, known, None, 'expectile=0.9') == 2
    assert choosing.best(run, known._replace(judged=known.judged[:3]), None).member == 1
    assert choosing.asked(run, 2, known, None).judged.estimates['FQE']['refusal'] == 'cannot say.'
    assert choosing.asked(run, 2, Estimates([]), None).judged is None


def test_the_best_policy_may_be_of_an_earlier_checkpoint(tmp_path, monkeypatch):
    run, earlier = restored(tmp_path), restored(tmp_path)._replace(updates=50)
    kept = [SimpleNamespace(run=earlier), SimpleNamespace(run=run)]
    monkeypatch.setattr(choosing.policies, 'of_run', lambda path, all_checkpoints: kept)
    known = choosing.read(estimated(tmp_path, 0.1, 0.5, updates=50), run, None)
    assert choosing.best(run, known, None) == (earlier, 1, None, known.judged[1])
    # The last checkpoint was not judged.
    assert choosing.asked(run, 1, known, None).judged is None
    kept.pop(0)
    with pytest.raises(UserError, match='after 50 updates, but it keeps the checkpoints after 100'):
        choosing.best(run, known, None)


def test_policies_that_are_asked_for_returns_are_judged_with_each(tmp_path):
    run = restored(tmp_path, MEMBERS[:1], (1.0, 0.5))
    file = estimated(tmp_path, 0.2, 0.4)
    found = json.loads(file.read_text())
    found['policies'][1]['member'] = 0
    file.write_text(json.dumps(found))
    known = choosing.read(file, run, None)
    assert choosing.best(run, known, None).target_return == 0.5
    assert choosing.best(run, known, 1.0).target_return == 1.0
    assert known.value(choosing.asked(run, 0, known, None).judged) == 0.2
    assert choosing.asked(run, 0, known, 0.3) == (run, 0, 0.3, None)


@pytest.mark.parametrize(
    'index, setting, message',
    [
        (None, None, r'which policy\? .* has the members 0 \(seed 3 with expectile=0.7\); 1 .*--best'),
        (4, None, '--member=4: .* has members 0 to 3'),
        (3, None, r'member 3 of .* \(seed 4 with expectile=0.9\) has diverged'),
        (None, 'expectile=0.8', '--setting=expectile=0.8: the settings of .* are expectile=0.7; exp'),
        (None, 'expectile', 'the settings of .* are expectile=0.7; expectile=0.9'),
    ],
)
def test_a_member_that_cannot_be_exported_is_refused(tmp_path, index, setting, message):
    with pytest.raises(UserError, match=message):
        choosing.member(restored(tmp_path), Estimates([]), index, setting)


def test_estimates_that_do_not_choose_are_refused(tmp_path):
    run, refused = restored(tmp_path), estimated(tmp_path, None, None)
    with pytest.raises(UserError, match='--best=estimate: .* has no estimates.json'):
        choosing.best(run, Estimates([]), None)
    with pytest.raises(UserError, match='the log cannot tell which policy of .* is best: FQE gives no'):
        choosing.best(run, choosing.read(refused, run, None), None)
    with pytest.raises(UserError, match='--estimator=WIS: .* has estimates by FQE'):
        choosing.read(refused, run, 'WIS')
    with pytest.raises(UserError, match='has no estimates of elsewhere, but of'):
        choosing.read(refused, run._replace(path=Path('elsewhere')), None)
    refused.write_text(refused.read_text().replace('"high"', '"higher"'))
    with pytest.raises(UserError, match=r"holds no estimates of policies: .* has no 'high'"):
        choosing.read(refused, run, None)
    refused.write_text('{}')
    with pytest.raises(UserError, match='holds no estimates of policies'):
        choosing.read(refused, run, None)
    with pytest.raises(UserError, match='holds no estimates of policies'):
        choosing.read(tmp_path / 'nowhere.json', run, None)

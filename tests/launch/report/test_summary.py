import json
from types import SimpleNamespace

import numpy as np
import pytest

from launch.cli import UserError
from launch.report import summary
from launch.run import documents, rollouts
from launch.run.members import Member, by_setting
from launch.run.rollouts import Episodes


def test_interval_of_known_scores():
    scores = np.array([1.0, 2.0, 3.0, 100.0])
    result = summary.interval(scores)
    assert result['mean'] == pytest.approx(26.5)
    assert result['iqm'] == pytest.approx(2.5)
    assert result['mean_low'] < 26.5 < result['mean_high'] <= 100
    assert 1 <= result['iqm_low'] < result['iqm_high']
    assert result == summary.interval(scores)


def test_interval_of_normal_scores_is_about_two_standard_errors():
    scores = np.random.default_rng(0).normal(5, 1, 400)
    result = summary.interval(scores)
    assert result['mean_high'] - result['mean_low'] == pytest.approx(4 / np.sqrt(400), rel=0.15)


def test_diverged_seeds_are_left_out_and_counted():
    result = summary.interval(np.array([1.0, np.nan, 3.0]))
    assert result['mean'] == 2 and result['seeds'] == 2
    assert summary.interval(np.array([np.nan]))['seeds'] == 0
    one = summary.interval(np.array([4.0]))
    assert one['mean'] == 4 and np.isnan(one['mean_low'])


def test_settings_group_their_seeds():
    members = [Member({'x': x}, seed) for x in (0.1, 0.2) for seed in (3, 4)]
    assert by_setting(members) == {'x=0.1': [0, 1], 'x=0.2': [2, 3]}


def a_summary(claimed=None):
    setting = {
        'setting': {},
        'label': '',
        'return': summary.interval(np.array([0.1, 0.3])),
        'score': summary.interval(np.array([10.0, 30.0])),
        'returns_by_seed': {0: 0.1, 1: 0.3},
        'diverged_seeds': [],
    }
    if claimed is not None:
        setting['claimed_value'] = summary.interval(np.array([claimed, claimed]))
        setting['discounted_return'] = summary.interval(np.array([0.15, 0.25]))
    return {
        'dataset': 'test/some-v0',
        'updates': 10,
        'reference_returns': {'random': 0.0, 'expert': 1.0},
        'reference_lines': {},
        'settings': [setting],
    }


def test_a_table_of_runs_with_and_without_critics():
    lines = summary.table({'BC': a_summary(), 'DQN': a_summary(claimed=1e6)}).splitlines()
    assert lines[0].split()[-2:] == ['claimed', 'measured']
    assert lines[2].startswith('BC') and '[0.100, 0.300]' in lines[2] and '1e+06' not in lines[2]
    assert lines[3].startswith('DQN') and lines[3].split()[-2:] == ['1e+06', '0.2']
    assert 'claimed' not in summary.table({'BC': a_summary()})


def test_measures_hold_the_claim_against_the_discounted_return():
    episodes = Episodes(
        returns=np.array([[1.0, 3.0]]),
        discounted=np.array([[0.5, 1.5]]),
        discounted_steps=np.array([[1.0, 1.0]]),
        lengths=np.array([[4, 6]]),
        successes=np.full((1, 2), np.nan),
        initial_observations=np.zeros((1, 2, 1)),
    )
    problem = SimpleNamespace(scores=(0.0, 4.0), score_by_success=False)
    (row,) = rollouts.measures(episodes, np.array([3.0]), problem)
    assert row['return'] == 2 and row['score'] == 50 and row['length'] == 5
    assert row['discounted_return'] == 1 and row['value_overestimation'] == 2
    (row,) = rollouts.measures(episodes, None, problem)
    assert 'claimed_value' not in row and 'success' not in row


def test_success_is_a_measure_where_it_is_told_and_the_score_where_the_data_say_so():
    blank = np.zeros((3, 4))
    successes = np.array([[0, 1, 0, 0], [1, 1, 0, 1], [np.nan] * 4])
    episodes = Episodes(blank, blank, blank, blank, successes, np.zeros((3, 4, 1)))
    by_return = SimpleNamespace(scores=(0.0, 4.0), score_by_success=False)
    rows = rollouts.measures(episodes, None, by_return)
    assert [row['success'] for row in rows[:2]] == [0.25, 0.75] and np.isnan(rows[2]['success'])
    assert [row['score'] for row in rows] == [0, 0, 0]
    for scores in (None, (0.0, 4.0)):
        by_success = SimpleNamespace(scores=scores, score_by_success=True)
        rows = rollouts.measures(episodes, None, by_success)
        # The third diverged, and what it scores is as unknown as all else.
        assert [row['score'] for row in rows[:2]] == [25, 75] and np.isnan(rows[2]['score'])


def damaged(path, change):
    documents.write(path / 'summary.json', a_summary())
    found = json.loads((path / 'summary.json').read_text())
    change(found)
    (path / 'summary.json').write_text(json.dumps(found))
    return summary.read(path)


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda found: found.pop('updates'), "it has no 'updates'"),
        (lambda found: found.update(settings=3), 'settings is 3, not a list'),
        (lambda found: found['settings'][0].pop('label'), r"settings\[0\] has no 'label'"),
        (lambda found: found['settings'][0]['return'].update(mean='x'),
         r'settings\[0\].return.mean is "x", not a number'),
        (lambda found: found.update(log=[]), r'log is \[\], not an object'),
    ],
)  # fmt: skip
def test_a_damaged_summary_names_its_key(change, said, tmp_path):
    with pytest.raises(UserError, match=f'summary.json is damaged: {said}'):
        damaged(tmp_path, change)


def test_what_is_unknown_is_null_in_the_file_and_nan_to_its_readers(tmp_path):
    made = a_summary()
    made['settings'][0]['return'] = summary.interval(np.array([4.0]))
    documents.write(tmp_path / 'summary.json', made)
    assert '"mean_low": null' in (tmp_path / 'summary.json').read_text()
    found = summary.read(tmp_path)
    assert np.isnan(found['settings'][0]['return']['mean_low'])
    assert summary.table({'BC': found}) == summary.table({'BC': made})

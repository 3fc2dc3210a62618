"""What the log earned, and what it says of whether policies can be ranked."""

import numpy as np
import pytest

from data import transforms
from launch.report import estimates, summary
from tests.data.test_transforms import dataset


def test_the_logs_own_returns_are_discounted_by_step_or_by_time():
    data = dataset([2.0, 6.0, 4.0], [2, 3, 1])
    found = estimates.of_log(data, 0.5)
    assert (found['episodes'], found['steps']) == (3, 6)
    assert found['return']['mean'] == pytest.approx(4)
    each = [1 + 0.5, 2 * (1 + 0.5 + 0.25), 4]
    assert found['discounted_return']['mean'] == pytest.approx(np.mean(each))
    spread = np.std(each, ddof=1) / np.sqrt(3) * 4.302653
    assert found['discounted_return']['mean_low'] == pytest.approx(np.mean(each) - spread, rel=1e-5)
    lasting = data._replace(duration=np.array([2.0, 1, 1, 3, 1, 1]))
    each = [1 + 0.5**2, 2 * (1 + 0.5 + 0.5**4), 4]
    # That steps have been discounted for learning changes nothing of it.
    for log in (lasting, transforms.discount_durations(lasting, 0.5)):
        found = estimates.of_log(log, 0.5)
        assert found['discounted_return']['mean'] == pytest.approx(np.mean(each))


def test_one_episode_has_no_interval():
    assert np.isnan(estimates.of_log(dataset([2.0], [2]), 1.0)['return']['mean_low'])


@pytest.mark.parametrize('value', [0.0, 0.1, -3.0])
def test_episodes_of_one_return_have_no_interval(value):
    found = estimates.of_log(dataset([value] * 5, [1] * 5), 1.0)['discounted_return']
    assert found['mean'] == pytest.approx(value, rel=1e-6) and np.isnan(found['mean_low'])


def attached(*intervals, log=(0.4, 0.5)):
    """A summary of settings x = 0, 1, ... with two seeds of these estimates each; None is refused."""
    settings, judged = [], []
    for x, interval in enumerate(intervals):
        settings.append({'setting': {'x': x}, 'label': f'x={x}', 'diverged_seeds': []})
        for seed, shift in ((0, -0.01), (1, 0.01)):
            low, high = interval or (0, 0)
            estimate = {'value': (low + high) / 2 + shift, 'low': low + shift, 'high': high + shift,
                        'refusal': '' if interval else 'too few.'}  # fmt: skip
            judged.append({'setting': {'x': x}, 'seed': seed, 'estimates': {'FQE': estimate}})
    own = {'mean': np.mean(log), 'mean_low': log[0], 'mean_high': log[1]}
    found = {'log': {'discounted_return': own}, 'estimator': 'FQE', 'policies': judged}
    made = {'dataset': 'test/some-v0', 'updates': 10, 'settings': settings}
    return estimates.attach(made, found)


def test_settings_are_ranked_and_those_apart_are_told_apart():
    made = attached((0.1, 0.2), None, (0.7, 0.9), log=(0.4, 0.5))
    assert [each['label'] for each in made['settings']] == ['x=2', 'x=0', 'x=1']
    best = made['settings'][0]['estimate']
    assert best == pytest.approx({'mean': 0.8, 'mean_low': 0.7, 'mean_high': 0.9, 'seeds': 2})
    assert made['settings'][2]['refused'] == {'0': 'too few.', '1': 'too few.'}
    assert made['ranking'].startswith('The log tells x=2 from all others')
    assert 'from what it did itself, which earned less' in made['ranking']
    text = summary.table({'BC': made})
    assert text.index('x=2') < text.index('x=0') < text.index('x=1') < text.index('the log')


def test_intervals_that_overlap_do_not_rank():
    made = attached((0.3, 0.6), (0.35, 0.65), (0.1, 0.2), log=(0.4, 0.5))
    assert 'cannot tell x=1 from x=0: ' in made['ranking'] and 'x=2' not in made['ranking']
    assert 'cannot tell x=1 from what it did itself' in made['ranking']
    assert 'is below what the log itself earned' in attached((0.1, 0.2), log=(0.4, 0.5))['ranking']


def test_where_all_is_refused_the_log_says_nothing():
    assert attached(None, None)['ranking'] == (
        'The log cannot say what any of these policies earns: too few.'
    )

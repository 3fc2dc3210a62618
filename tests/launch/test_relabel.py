"""The program that writes datasets with other rewards."""

import numpy as np
import pytest

from data import judges, loading
from tests.launch.helpers import program


def relabel(**flags):
    return program('launch.relabel', *(f'--{name}={value}' for name, value in flags.items()))


def test_a_constant_reward(cartpole):
    result = relabel(dataset=cartpole, to='test/zeros-v0', constant=0)
    assert result.returncode == 0, result.stderr
    assert 'test/zeros-v0 is built' in result.stdout
    dataset = loading.load('test/zeros-v0')
    assert not np.any(dataset.transitions.reward)
    assert dataset.metadata['rewards']['source'] == 'constant'
    assert '--constant=0' in dataset.metadata['code_permalink']
    # What the log earned is now in other units than what policies will earn.
    assert judges.comparable(loading.load(cartpole)) and not judges.comparable(dataset)


@pytest.mark.parametrize(
    ('flags', 'reason'),
    [
        ({'constant': 0}, '--dataset and --to'),
        ({'dataset': 'test/any-v0', 'to': 'test/other-v0'}, 'one source of rewards'),
        ({'dataset': 'test/cartpole-v0', 'to': 'test/other-v0', 'constant': 'inf'}, 'finite number'),
    ],
)
def test_what_cannot_be_done_is_said(cartpole, flags, reason):
    result = relabel(**flags)
    assert result.returncode == 1
    assert reason in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_an_id_that_cannot_be_given_is_refused_before_the_work(cartpole, monkeypatch):
    monkeypatch.setattr(loading, 'load', lambda dataset_id: pytest.fail('it was loaded'))
    for to, reason in ((cartpole, 'exists already'), ('none', 'not a Minari id')):
        result = relabel(dataset=cartpole, to=to, constant=0)
        assert result.returncode == 1 and reason in result.stderr


def test_unlabelled_episodes_beside_labelled_ones(cartpole):
    result = relabel(dataset=cartpole, to='test/uds-v0', constant=0, beside=cartpole)
    assert result.returncode == 0, result.stderr
    before, both = loading.load(cartpole), loading.load('test/uds-v0')
    half = len(before.transitions.reward)
    assert not both.transitions.reward[:half].any()
    np.testing.assert_array_equal(both.transitions.reward[half:], before.transitions.reward)

"""The program that prints and draws what is in a dataset."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from matplotlib.image import imread

from data import inspection, places
from data.types import Spec
from launch import describe
from tests.data.test_inspection import COLUMNS, STEPS, made
from tests.launch.helpers import program


def test_what_was_judged_elsewhere_is_not_scored():
    dataset = made(env_spec=gym.spec('CartPole-v0'))
    text = describe.text(dataset, inspection.statistics(dataset), [])
    (line,) = (row for row in text.splitlines() if 'scores' in row)
    assert line.split() == ['scores', '-']


def test_text_tells_the_numbers():
    dataset = made()
    lines = describe.text(dataset, inspection.statistics(dataset), ['beware']).splitlines()
    rows = dict(line.strip().split(maxsplit=1) for line in lines[1:])
    assert lines[0] == 'test/made-v0'
    assert rows['episodes'] == '3'
    assert rows['steps'] == '10'
    assert rows['ends'] == '1 terminated, 1 truncated, 1 neither'
    assert rows['lengths'] == 'mean 3, min 2, quartiles 3 | 4 | 4, max 4'
    assert rows['returns'].startswith('mean 15.000, min 6.000, quartiles 7.500 | 9.000 | 19.500')
    # 100 * (15 - 5) / (25 - 5) and 100 * (30 - 5) / (25 - 5)
    assert rows['scores'].startswith('mean 50.0, best 125.0')
    assert rows['coverage'] == '2 of 2 actions taken, most often 0 (70.0%), 1 (30.0%)'
    assert rows['WARNING:'] == 'beware.'


def test_text_tells_what_a_table_held():
    dataset = made(spec=Spec(4, 3, discrete=True), columns=COLUMNS)
    lines = describe.text(dataset, inspection.statistics(dataset), []).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    ages = np.float64(dataset.transitions.observation[:, 0])
    assert rows['age'] == [f'{each:,.4g}' for each in (ages.min(), ages.mean(), ages.max())] + ['25.0%']
    assert rows['feature'] == ['min', 'mean', 'max', 'missing'] and 'ward=icu' in rows
    assert rows['none'] == ['7', '70.0%'] and rows['much'] == ['0', '0.0%']
    assert '  seen fewer than 20 times: 3 (none, some, much)' in lines
    assert '  10 rows: 10 steps in 3 episodes.' in lines
    assert 'most often none (70.0%), some (30.0%)' in '\n'.join(lines)


@pytest.mark.parametrize('discrete', [True, False])
@pytest.mark.parametrize('reward', [0.0, 0.25, 1000.0, 3e38])
def test_draws_degenerate_returns_too(tmp_path, discrete, reward):
    dataset = made(discrete, reward=np.full(STEPS, reward, np.float32))
    describe.draw('made', inspection.statistics(dataset), tmp_path / 'figure.png')
    assert imread(tmp_path / 'figure.png').std() > 0


@pytest.mark.parametrize(
    'values',
    [
        [0, 1, 1], [7], [0.1, 3.3, 2.5], [3, 900, 40], [0.5, 0.5],
        [1.5e39, 1.5e39], [-1e20, 3, 1e20], [1e17, 1e17],
    ],
)  # fmt: skip
def test_every_value_falls_into_a_bar(values):
    values = np.array(values, np.float64)
    edges = describe._edges(values)
    assert np.histogram(values, edges)[0].sum() == len(values)
    assert 2 <= len(edges) <= 51 and np.all(np.diff(edges) > 0)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_program_prints_and_draws(pendulum, here):
    result = program('launch.describe', f'--dataset={pendulum}')
    assert result.returncode == 0, result.stderr
    assert 'episodes      20\n' in result.stdout
    figure = here / 'describe-test-pendulum-v0.png'
    assert figure.name in result.stdout
    assert imread(figure).shape[:2] == (1050, 1650)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--dataset=local/nothing-v0'], ['local/nothing-v0', 'local/icu-sepsis/clinician-v0']),
        ([], ['--dataset=ID']),
    ],
)
def test_what_cannot_be_described_ends_in_one_sentence(storage, here, arguments, words):
    result = program('launch.describe', *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith('error: ')
    assert len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr
    assert not list(here.glob('*.png'))


def test_an_output_nowhere_is_one_sentence(pendulum, here):
    result = program('launch.describe', f'--dataset={pendulum}', '--output=nowhere/figure.png')
    assert result.returncode == 1
    assert result.stderr == 'error: --output=nowhere/figure.png: there is no directory nowhere.\n'


def test_draws_where_a_maze_was_walked(tmp_path):
    maze = dataclasses.replace(gym.spec('CartPole-v1'), id='antmaze-medium-v0')
    dataset = made(False, env_spec=maze)
    measured = inspection.statistics(dataset)
    describe.draw('made', measured, tmp_path / 'without.png')
    describe.draw('made', measured, tmp_path / 'with.png', places.of(dataset))
    without, with_places = (imread(tmp_path / f'{name}.png') for name in ('without', 'with'))
    assert with_places.shape[1] > without.shape[1]
    # The maze is in the part on the right.
    assert with_places[:, without.shape[1] :].std() > 0

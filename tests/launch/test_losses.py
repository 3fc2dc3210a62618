"""What a dataset loses on its way to float32 and to bounds, and that it is said each time."""

import dataclasses

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from minari.data_collector import EpisodeBuffer

from data import inspection, loading, problem
from launch import train
from tests.conftest import store
from tests.launch.helpers import program, small_config

STEPS = 20
OBSERVED = Dict({
    'when': Box(-np.inf, np.inf, (1,), np.float64), 'pose': Box(-np.inf, np.inf, (2,), np.float64),
})  # fmt: skip


def recorded(actions, rewards=None, count=3):
    """Episodes that differ in their seconds since 1970."""
    rng = np.random.default_rng(0)
    for index in range(count):
        seconds = 1.7e9 + 100 * index + np.arange(STEPS + 1.0)
        yield EpisodeBuffer(
            observations={'when': seconds[:, None], 'pose': rng.normal(size=(STEPS + 1, 2))},
            actions=actions,
            rewards=np.arange(STEPS) / 7 if rewards is None else rewards,
            terminations=np.arange(STEPS) == STEPS - 1,
            truncations=np.zeros(STEPS, bool),
        )


@pytest.fixture
def seconds(storage):
    """A dataset of seconds, rewards that are counts of cents, and actions without bounds; its id."""
    actions = np.stack([np.linspace(-2, 3, STEPS), np.linspace(0, 0.5, STEPS)], axis=1)
    space = Box(np.array([-np.inf, -1]), np.array([3.4e38, 1]), dtype=np.float64)
    store('test/seconds-v0', recorded(actions, 2.0**24 + np.arange(STEPS)), spaces=(OBSERVED, space))
    return 'test/seconds-v0'


def test_every_load_and_every_run_says_what_is_lost(seconds, tmp_path, capsys):
    first, again = loading.load(seconds), loading.load(seconds)
    assert first.losses == again.losses
    assert [each.split(':')[0] for each in again.losses] == ['observation when', 'rewards']
    assert 'whole numbers up to 1,700,000,220' in again.losses[0]
    assert '20 distinct' in again.losses[1]

    acts = again.problem.action_map
    assert (acts.low.tolist(), acts.high.tolist()) == ([-2, -1], [3, 1])
    actions = np.asarray(again.transitions.action)
    np.testing.assert_allclose(actions[:STEPS, 0], np.linspace(-1, 1, STEPS), atol=1e-6)
    np.testing.assert_allclose(actions[:STEPS, 1], np.linspace(0, 0.5, STEPS), atol=1e-6)

    warned = inspection.warnings(again)
    assert warned[:2] == list(again.losses)
    assert warned[2].startswith('actions have no bounds that say anything in dimensions 0: the range of')
    assert '[-2.] to [3.]' in warned[2]

    train.load_data(small_config(seconds, 'bc', evaluate_in='log'))
    said = capsys.readouterr().err.splitlines()
    assert said == [f'WARNING: dataset {seconds}: {each}.' for each in warned[:3]]
    shown = program('launch.describe', f'--dataset={seconds}', f'--output={tmp_path / "figure.png"}')
    for each in warned[:3]:
        assert f'WARNING: {each}.' in shown.stdout

    # The bounds stay with a run.
    problem.save(again.problem, tmp_path / 'problem.json')
    assert str(problem.load(tmp_path / 'problem.json').action_map) == str(acts)
    assert problem.load(tmp_path / 'problem.json').action_map.measured == (0,)


def test_actions_that_become_equal_are_said(storage):
    """Twenty orders of a billion: below 1, float32 has one number for about 30 of them."""
    orders = 10**9 - 1 - np.arange(STEPS)[:, None]
    store('test/orders-v0', recorded(orders), spaces=(OBSERVED, Box(0, 10**9, (1,), np.int64)))
    said = [each for each in loading.load('test/orders-v0').losses if each.startswith('action')]
    assert len(said) == 1 and 'of 20 distinct values looked at, 18 are equal to others' in said[0]


def test_nothing_is_said_where_nothing_is_lost(pendulum, capsys):
    assert loading.load(pendulum).losses == ()
    train.load_data(small_config(pendulum, 'bc'))
    assert capsys.readouterr().err == ''


def test_images_stop_before_anything_is_read(storage, tmp_path):
    frames = np.zeros((STEPS + 1, 4, 84, 84), np.uint8)
    (episode,) = recorded(np.arange(STEPS) % 2, count=1)
    episode = dataclasses.replace(episode, observations=frames)
    store('test/frames-v0', [episode], spaces=(Box(0, 255, (4, 84, 84), np.uint8), Discrete(2)))
    shown = program('launch.describe', '--dataset=test/frames-v0', f'--output={tmp_path / "a.png"}')
    assert (shown.returncode, shown.stderr.count('\n')) == (1, 1)
    assert 'dataset test/frames-v0: observations are images of shape (4, 84, 84)' in shown.stderr

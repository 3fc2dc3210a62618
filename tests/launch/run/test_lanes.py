"""Environments of strangers: what they return and raise, in this process and in workers."""

import dataclasses
import json
import os
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from data import environments, judges
from data import problem as problem_file
from data.types import DatasetError, Spec
from launch import evaluate, train, train_online
from launch.cli import UserError
from launch.configs import online
from launch.run import metrics
from launch.run.lane import Lane
from launch.run.lanes import Lanes
from tests.conftest import collect, store
from tests.data.helpers import problem
from tests.launch.helpers import small_config

SPACES = gym.spaces.Box(-1, 1, (2,), np.float32), gym.spaces.Discrete(3)


class Strange(gym.Env):
    """Does what its arguments say."""

    def __init__(
        self, reward=1.0, observation=(0.0, 0.0), ends=(False, False), fails='', died='', info=()
    ):
        self.observation_space, self.action_space = SPACES
        if isinstance(observation, dict):
            self.observation_space = gym.spaces.Dict(a=SPACES[0], b=SPACES[0])
        self._returned, self._info = (reward, ends), dict(info)
        self._observation, self._fails, self._died = observation, fails, died
        self._steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self._fails == 'old reset':
            return np.zeros(2)
        return self._observation if isinstance(self._observation, dict) else np.zeros(2), {}

    def step(self, action):
        self._steps += 1
        # At the second step one worker dies, the other answers.
        if self._died and self._steps > 1 and not Path(self._died).exists():
            Path(self._died).touch()
            os._exit(3)
        if self._fails == 'old step':
            return np.zeros(2), 0.0, False, {}
        if self._fails == 'exit':
            raise SystemExit
        if self._fails:
            raise KeyError(self._fails)
        reward, ends = self._returned
        return self._observation, reward, *ends, self._info


@pytest.fixture
def strange(monkeypatch):
    """The problem of judging in an environment that does what is said."""
    spec = EnvSpec('mine/Strange-v0', f'{__name__}:Strange', max_episode_steps=5)
    monkeypatch.setitem(gym.registry, spec.id, spec)

    def made(keys=(), size=2, **kwargs):
        return problem(
            Spec(size, 3, True), observation_keys=keys,
            env_spec=dataclasses.replace(environments.registered(spec.id), kwargs=kwargs),
        )  # fmt: skip

    return made


def stepped(task):
    lane = Lane(task)
    lane.reset(0)
    return lane.step(np.int32(1))


@pytest.mark.parametrize('reward', [2, 2.0, np.float32(2), np.array(2), np.array([2.0]), [[2]]])
def test_rewards_are_numbers_however_they_come(strange, reward):
    earned = stepped(strange(reward=reward))[1]
    assert earned == 2.0 and type(earned) is float


@pytest.mark.parametrize(
    ('said', 'success'),
    [(True, 1), (np.False_, 0), (np.array([1.0]), 1), (0, 0), (None, np.nan), ('nothing', np.nan)],
)
def test_success_is_a_truth_or_unknown(strange, said, success):
    lane = Lane(strange(info={} if said == 'nothing' else {'success': said}))
    lane.reset(0)
    assert np.isnan(lane.success)
    lane.step(np.int32(1))
    np.testing.assert_equal(lane.success, success)


def test_a_success_that_is_no_truth_is_told(strange):
    with pytest.raises(UserError, match=r"Strange-v0: info\['success'\] is 'quite'; one number"):
        stepped(strange(info={'success': 'quite'}))


@pytest.mark.parametrize('over', [True, np.True_, np.array([True]), 1])
def test_ends_are_truths_however_they_come(strange, over):
    assert stepped(strange(ends=(over, np.False_)))[2:] == (True, False)
    assert stepped(strange(ends=(np.array(False), over)))[2:] == (False, True)


def told(strange, match, **kwargs):
    with pytest.raises(UserError, match=match) as error:
        stepped(strange(**kwargs))
    assert str(error.value).startswith('environment mine/Strange-v0: ') and '\n' not in str(error.value)


@pytest.mark.parametrize(
    'reward', [np.nan, np.inf, np.array([-np.inf]), None, np.ones(3), [], 'much', 1j]
)
def test_rewards_that_are_no_number_are_told(strange, reward):
    told(strange, 'reward is .* number is needed', reward=reward)


@pytest.mark.parametrize('over', [None, [True, False], 'yes'])
def test_ends_that_are_no_truth_are_told(strange, over):
    told(strange, 'truncated is .* number is needed', ends=(False, over))


@pytest.mark.parametrize(
    ('observation', 'match'),
    [
        ((0.0, 0.0, 0.0), r'observation has shape \(3,\), but its observation space says \(2,\)'),
        (np.zeros((1, 2)), r'observation has shape \(1, 2\)'),
        (0.0, r'observation has shape \(\)'),
        ((0.0, np.nan), 'an observation holds NaN or infinite values'),
        (((0.0,), (0.0, 1.0)), 'an observation has no array'),
        (('a', 'b'), r'its observation failed \(ValueError: '),
    ],
)
def test_observations_of_another_shape_are_told(strange, observation, match):
    told(strange, match, observation=observation)


def test_entries_of_observations_are_told(strange):
    whole = {'a': np.zeros(2), 'b': np.ones(2)}
    np.testing.assert_array_equal(
        stepped(strange(observation=whole, keys=('a', 'b'), size=4))[0], [0, 0, 1, 1]
    )
    told(strange, 'has no b, which', observation={'a': np.zeros(2)}, keys=('a', 'b'), size=4)
    odd = whole | {'b': np.zeros(3)}
    told(strange, r'observation b has shape \(3,\)', observation=odd, keys=('a', 'b'), size=4)


@pytest.mark.parametrize(
    ('fails', 'match'),
    [
        ('no key\nhere', r"step failed \(KeyError: 'no key.*here'\)"),
        ('exit', r'step failed \(SystemExit: no reason given\)'),
        ('old step', r'step failed \(ValueError: not enough values to unpack'),
        ('old reset', 'reset returned ndarray, not a tuple of 2'),
    ],
)
def test_what_an_environment_raises_is_told(strange, fails, match):
    told(strange, match, fails=fails)


def test_what_fails_does_so_before_anything_is_trained(strange, storage, tmp_path):
    spec = strange(fails='broken').env_spec
    store('test/strange-v0', collect('MountainCar-v0', 2, 5), spaces=SPACES, env_spec=spec.to_json())
    config = small_config('test/strange-v0', 'bc', run_dir=str(tmp_path / 'run'))
    with pytest.raises(UserError, match=r"Strange-v0: step failed \(KeyError: 'broken'\)"):
        train.train(config)
    assert not (tmp_path / 'run' / 'metrics.jsonl').exists()


def test_workers_that_fail_or_die_are_told_and_hang_nobody(strange, tmp_path, monkeypatch):
    monkeypatch.setattr('data.workers.num_cores', lambda: 2)
    monkeypatch.setattr('launch.run.lanes._LANES_WORTH_A_PROCESS', 2)

    def advance(lanes, begins):
        lanes.send(np.zeros(4, np.int32), begins, np.ones(4, bool))
        lanes.receive()

    with Lanes(strange(fails='far away', died=str(tmp_path / 'died')), 1, 4) as lanes:
        assert len(lanes._workers) == 2
        advance(lanes, [(seed, 0) for seed in range(4)])
        with pytest.raises(UserError, match=r"^environment mine/Strange-v0: step .*'far away'"):
            advance(lanes, [None] * 4)
        with pytest.raises(UserError, match='Strange-v0: a process .* ended with exit code 3'):
            advance(lanes, [None] * 4)
    assert not any(worker.is_alive() for worker in lanes._workers)


def test_a_worker_that_cannot_start_is_told(strange, monkeypatch):
    monkeypatch.setattr('data.workers.num_cores', lambda: 2)
    task = strange(reward=lambda: None)
    with pytest.raises(UserError, match='Strange-v0: a worker process cannot be started .*lambda'):
        Lanes(task, 1, 9)


def endless(strange, **kwargs):
    """A log of two episodes, of 5 steps and of 3, in an environment that nothing ends."""
    spec = strange(**kwargs).env_spec
    gym.registry[spec.id].max_episode_steps = None
    spec = dataclasses.replace(spec, max_episode_steps=None)
    episodes = collect('MountainCar-v0', 1, 5) + collect('MountainCar-v0', 1, 3)
    store('test/endless-v0', episodes, spaces=SPACES, env_spec=spec.to_json())


@pytest.mark.parametrize(('limit', 'length'), [(0, 5), (7, 7)])
def test_an_evaluation_ends_where_its_environment_does_not(
    strange, storage, tmp_path, capsys, limit, length
):
    endless(strange)
    run_dir = str(tmp_path / 'run')
    path = train.train(
        small_config('test/endless-v0', 'bc', max_episode_steps=limit, run_dir=run_dir)
    )
    evaluations = [row for row in metrics.read(path) if row['event'] == 'evaluation']
    assert {row['measures']['length'] for row in evaluations} == {length}
    kept = problem_file.load(path / 'problem.json')
    assert kept.env_spec.max_episode_steps == length
    said = 'WARNING: environment mine/Strange-v0 has no time limit: episodes of evaluation end after 5'
    assert (said in capsys.readouterr().err) == (limit == 0)
    # Runs of before kept no limit: they take the log's.
    file = path / 'problem.json'
    fields = json.loads(file.read_text())
    fields['env_spec']['max_episode_steps'] = None
    file.write_text(json.dumps(fields))
    evaluate.evaluate(path, 2, 0)
    judged = json.loads((path / 'evaluation-seed0.json').read_text())
    assert judged['settings'][0]['return']['mean'] == 5


def test_online_an_environment_needs_a_limit(monkeypatch, tmp_path):
    base = gym.spec('Pendulum-v1')
    monkeypatch.setitem(gym.registry, 'mine/P-v0', EnvSpec('mine/P-v0', base.entry_point))
    config = online.get_config('sac')
    config.update(env_id='mine/P-v0', run_dir=str(tmp_path / 'run'))
    with pytest.raises(DatasetError, match='mine/P-v0 has no time limit.* config.max_episode_steps'):
        train_online.train_online(config)
    assert not (tmp_path / 'run').exists()
    config.max_episode_steps = -1
    with pytest.raises(UserError, match='config.max_episode_steps is -1'):
        train_online.train_online(config)
    limited = problem_file.from_environment('mine/P-v0', 9)
    assert judges.check(limited) == [] and limited.env_spec.max_episode_steps == 9

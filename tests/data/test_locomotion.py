import subprocess
import sys
import textwrap

import gymnasium as gym
import jax
import numpy as np
import pytest

from data import recipes
from data.recipes import locomotion, rollouts
from data.types import DatasetError
from networks.policies import TanhGaussianPolicy
from tests.data import helpers

HOPPER = 'Hopper-v5'
SHIPPED = sorted({row.env_id for row in locomotion.table()})


def fresh_policy():
    module = TanhGaussianPolicy((8, 8), 3)
    return module, module.init(jax.random.key(0), np.zeros((1, 11), np.float32))


def load(dataset_id):
    return list(helpers.built(dataset_id).iterate_episodes())


def assert_same(episodes, others):
    assert len(episodes) == len(others)
    for a, b in zip(episodes, others):
        for name in ('observations', 'actions', 'rewards', 'terminations', 'truncations'):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert a.infos.keys() == b.infos.keys()
        for name in a.infos:
            np.testing.assert_array_equal(a.infos[name], b.infos[name])


def test_processes_change_nothing(monkeypatch):
    _, parameters = fresh_policy()
    parts = [(None, 700), (parameters, 500)]
    alone = list(rollouts.episodes(HOPPER, parts, 3))
    monkeypatch.setattr(rollouts, '_STEPS_WORTH_PROCESSES', 0)
    assert_same(list(rollouts.episodes(HOPPER, parts, 3)), alone)


def test_processes_end_with_the_one_that_was_killed():
    program = """
        import multiprocessing, os, time
        from data.recipes import parallel

        # For a test that is quick: what is forked has imported everything.
        parallel.get_context = lambda kind: multiprocessing.get_context('fork')
        parallel.workers.num_cores = lambda: 1
        with parallel.processes(worth_it=True) as pool:
            pool.submit(time.sleep, 0).result()
            print('working', flush=True)
            os.kill(os.getpid(), 9)
    """
    command = [sys.executable, '-c', textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        # Its workers have its output, which ends with the last of them.
        assert process.communicate(timeout=30)[0] == b'working\n'
        assert process.returncode == -9


def test_each_part_has_its_steps_and_ends_in_a_truncation():
    _, parameters = fresh_policy()
    episodes = list(rollouts.episodes(HOPPER, [(None, 301), (parameters, 203)], 0))
    ends = np.cumsum([len(episode) for episode in episodes])
    assert {301, 504} <= set(ends) and ends[-1] == 504
    for episode, end in zip(episodes, ends):
        whole = len(episode)
        shapes = [len(getattr(episode, name)) for name in ('observations', 'actions', 'rewards')]
        assert shapes == [whole + 1, whole, whole]
        assert {name: len(array) for name, array in episode.infos.items()} == {
            'log_prob': whole, 'qpos': whole + 1, 'qvel': whole + 1
        }  # fmt: skip
        assert (episode.terminations | episode.truncations).tolist() == [False] * (whole - 1) + [True]
        # Hopper falls long before its time limit: only the cut ones are truncated.
        assert episode.truncations[-1] == (end in (301, 504))


def test_log_probs_are_those_of_the_policy():
    module, parameters = fresh_policy()
    (episode, *_) = rollouts.episodes(HOPPER, [(parameters, 200)], 0)
    policy = module.apply(parameters, episode.observations[:-1].astype(np.float32))
    # log_prob inverts tanh, which costs it digits.
    np.testing.assert_allclose(
        episode.infos['log_prob'], policy.log_prob(episode.actions), rtol=1e-3, atol=1e-3
    )
    (drawn, *_) = rollouts.episodes(HOPPER, [(None, 20)], 0)
    np.testing.assert_allclose(drawn.infos['log_prob'], np.log(0.5**3), rtol=1e-6)


def test_the_simulator_goes_on_from_the_states_kept():
    (episode, *_) = rollouts.episodes('HalfCheetah-v5', [(None, 50)], 0)
    env = gym.make('HalfCheetah-v5').unwrapped
    env.reset(seed=0)
    for step in (0, 7, 49):
        env.set_state(episode.infos['qpos'][step], episode.infos['qvel'][step])
        observation, reward, *_ = env.step(episode.actions[step])
        np.testing.assert_allclose(observation, episode.observations[step + 1], atol=1e-5)
        assert reward == pytest.approx(episode.rewards[step], abs=1e-5)


@pytest.mark.parametrize('env_id', SHIPPED)
def test_the_policies_are_as_good_as_their_names(env_id):
    (medium,), (expert,) = (locomotion.of_composition(env_id, n) for n in ('medium', 'expert'))
    for row in (medium, expert):
        (parameters,) = locomotion.parameters(env_id, row.composition)
        *whole, _ = rollouts.episodes(env_id, [(parameters, 8_000)], 0)
        earned = np.mean([episode.rewards.sum() for episode in whole])
        assert earned == pytest.approx(row.mean_return, rel=0.25)
    replay = locomotion.of_composition(env_id, 'medium-replay')
    assert 40 <= medium.score <= 60
    assert expert.score >= {'Hopper-v5': 95, 'HalfCheetah-v5': 75, 'Walker2d-v5': 85}[env_id]
    assert replay[0].step == 0 and replay[-1].step == medium.step and len(replay) >= 15
    assert gym.spec(env_id).make().action_space == gym.spaces.Box(
        -1, 1, expert_action_shape(env_id), np.float32
    )


def expert_action_shape(env_id):
    return {'Hopper-v5': (3,), 'HalfCheetah-v5': (6,), 'Walker2d-v5': (6,)}[env_id]


def test_all_compositions_can_be_built():
    for body, replay in (('hopper', 400_000), ('halfcheetah', 200_000), ('walker2d', 300_000)):
        names = ('random', 'medium', 'medium-replay', 'medium-expert', 'expert')
        sizes = [recipes.resolve(f'local/{body}/{name}-v0').size for name in names]
        assert sizes == [1_000_000, 1_000_000, replay, 2_000_000, 1_000_000]
    with pytest.raises(DatasetError, match='no medium policies of Ant-v5 come with this version'):
        locomotion.parameters('Ant-v5', 'medium')


def test_compositions_are_made_of_their_policies(storage, monkeypatch):
    monkeypatch.setattr(rollouts, '_LANES', 2)
    both = load('local/hopper/medium-expert-2k-v0')
    medium = load('local/hopper/medium-1k-v0')
    assert_same(both[: len(medium)], medium)
    (expert,) = locomotion.parameters(HOPPER, 'expert')
    (medium_parameters,) = locomotion.parameters(HOPPER, 'medium')
    parts = [(medium_parameters, 1_000), (expert, 1_000)]
    assert_same(both, list(rollouts.episodes(HOPPER, parts, 0)))
    assert np.mean([e.rewards.mean() for e in both[len(medium) :]]) > np.mean(medium[0].rewards)
    replay = load('local/hopper/medium-replay-2k-v0')
    ends = np.cumsum([len(episode) for episode in replay])
    share = 2_000 // len(locomotion.of_composition(HOPPER, 'medium-replay'))
    assert share in ends and ends[-1] == 2_000
    mixed = load('local/hopper/expert-random75-2k-v0')
    assert_same(mixed[:1], load('local/hopper/expert-500-v0'))
    assert sum(map(len, mixed)) == 2_000
    np.testing.assert_allclose(
        np.concatenate([e.infos['log_prob'] for e in mixed[1:]]), np.log(0.5**3), rtol=1e-6
    )

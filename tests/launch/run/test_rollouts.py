import dataclasses

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from algorithms import ALGORITHMS
from data import environments
from launch import train
from launch.cli import UserError
from launch.report import curves, figures, summary
from launch.run import rollouts
from launch.run.lanes import LANES_PER_MEMBER, Lanes
from launch.run.turns import finish
from tests.conftest import collect, store
from tests.launch.helpers import learner_of, small_config


def set_up(dataset, algorithm='iql', **values):
    config = small_config(dataset, algorithm, **values)
    task = train.load_data(config).learned_from.problem
    learner = learner_of(config, task)
    return task, learner, learner.init()


def evaluate(task, learner, states, episodes, evaluated=None, stream=0):
    evaluated = np.ones(len(learner.members), bool) if evaluated is None else evaluated
    with Lanes(task, len(evaluated), episodes) as lanes:
        return finish(rollouts.evaluate(learner, states, lanes, evaluated, episodes, stream))


def plain_returns(task, learner, states, member, seed, episodes, stream):
    """One environment, one episode after the other."""
    env = environments.make(task.env_spec)
    returns, discounted, lengths, initial = [], [], [], []
    for episode_seed in np.random.SeedSequence((seed, stream)).generate_state(episodes):
        observation, _ = env.reset(seed=int(episode_seed))
        initial.append(observation)
        rewards, over = [], False
        while not over:
            batch = np.tile(np.asarray(observation, np.float32), (len(learner.members), 1, 1))
            action, _ = learner.act(states, (), batch, np.zeros(batch.shape[:2]), learner.keys(), 0)
            action = action[member, 0]
            if not task.spec.discrete:
                action = action * env.action_space.high
            observation, reward, terminated, truncated, _ = env.step(action)
            rewards.append(reward)
            over = terminated or truncated
        rewards = np.array(rewards, np.float64)
        returns.append(rewards.sum())
        discounted.append(np.sum(0.9 ** np.arange(len(rewards)) * rewards))
        lengths.append(len(rewards))
    return returns, discounted, lengths, initial


@pytest.mark.usefixtures('one_core')
@pytest.mark.parametrize('fixture, episodes', [('pendulum', 3), ('cartpole', 25)])
def test_lanes_earn_what_plain_rollouts_earn(fixture, episodes, request):
    dataset = request.getfixturevalue(fixture)
    task, learner, states = set_up(
        dataset, num_seeds=3, reward_scale=0.5, reward_shift=-1.0, **{'hparams.gamma': 0.9}
    )
    result = evaluate(task, learner, states, episodes, stream=5)
    for index, member in enumerate(learner.members):
        returns, discounted, lengths, initial = plain_returns(
            task, learner, states, index, member.seed, episodes, stream=5
        )
        np.testing.assert_allclose(result.returns[index], returns, rtol=1e-4)
        np.testing.assert_allclose(result.discounted[index], discounted, rtol=1e-4)
        np.testing.assert_array_equal(result.lengths[index], lengths)
        np.testing.assert_allclose(result.initial_observations[index], initial, rtol=1e-6)


@pytest.mark.usefixtures('one_core')
def test_the_claim_is_the_critics_value_of_the_initial_observations(cartpole):
    task, learner, states = set_up(
        cartpole, num_seeds=3, standardize_observations=True, reward_scale=0.5, reward_shift=-1.0
    )
    result = evaluate(task, learner, states, 4)
    evaluated = np.array([True, False, True])
    claimed = rollouts.claimed_values(learner, states, task, result, evaluated)
    assert np.isnan(claimed[1])
    for member in (0, 2):
        state = jax.tree.map(lambda leaf, m=member: leaf[m], states)
        observations = task.preprocessing.observation(result.initial_observations[member])
        q = state.critic.apply_fn(state.critic.params, observations, method='all_actions')
        action, _ = ALGORITHMS['iql'].act(state, (), observations, None, None)
        seen = np.asarray(q).min(axis=0)[np.arange(4), action].mean()
        # The critic's rewards are r / 2 - 1.
        steps = np.mean([np.sum(0.99 ** np.arange(n)) for n in result.lengths[member]])
        assert claimed[member] == pytest.approx(2 * (seen + steps), rel=1e-4)


class Lucky(gym.wrappers.TimeLimit):
    """CartPole for 8 steps; half of the episodes succeed, at their third step, and say so then only."""

    def __init__(self, render_mode=None, silent=False):
        super().__init__(gym.make('CartPole-v1'), 8)
        self._silent = silent

    def reset(self, *, seed=None, options=None):
        self._steps, self._lucky = 0, seed is not None and seed % 2 == 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        *outcome, _ = super().step(action)
        self._steps += 1
        told = {'success': self._lucky and self._steps == 3}
        return *outcome, told if self._lucky and not self._silent else {}


@pytest.fixture
def lucky(monkeypatch):
    spec = EnvSpec('mine/Lucky-v0', f'{__name__}:Lucky', max_episode_steps=8)
    monkeypatch.setitem(gym.registry, spec.id, spec)
    return environments.registered(spec.id)


@pytest.mark.usefixtures('one_core')
def test_episodes_succeed_that_the_environment_says_did_at_some_step(cartpole, lucky):
    task, learner, states = set_up(cartpole, 'bc', num_seeds=3)
    evaluated = np.array([True, False, True])
    result = evaluate(task._replace(env_spec=lucky), learner, states, 12, evaluated, stream=5)
    for index, seed in ((0, 0), (2, 2)):
        seeds = np.random.SeedSequence((seed, 5)).generate_state(12)
        np.testing.assert_array_equal(result.successes[index], seeds % 2 == 0)
    assert np.isnan(result.successes[1]).all()
    silent = dataclasses.replace(lucky, kwargs={'silent': True})
    result = evaluate(task._replace(env_spec=silent), learner, states, 2)
    assert np.isnan(result.successes).all()


def test_an_environment_that_does_not_say_it_cannot_score_by_success(storage, tmp_path):
    store('test/told-v0', collect('CartPole-v1', 6, 20), 'CartPole-v1', None, score_by_success=True)
    config = small_config('test/told-v0', 'bc', run_dir=str(tmp_path / 'run'))
    said = r"CartPole-v1 does not say .* \(info\['success'\]\), by which policies on test/told-v0 are"
    with pytest.raises(UserError, match=said):
        train.train(config)


@pytest.mark.usefixtures('one_core')
def test_a_run_is_summed_up_by_its_success(storage, lucky, tmp_path, monkeypatch):
    store('test/told-v0', collect('CartPole-v1', 6, 20), 'CartPole-v1', None, score_by_success=True)
    drawn = []
    monkeypatch.setattr(figures, 'save', lambda figure, path: drawn.append(figure))
    path = train.train(
        small_config('test/told-v0', 'bc', run_dir=str(tmp_path / 'run'), env_id=lucky.id,
                     final_eval_episodes=12)
    )  # fmt: skip
    found = summary.read(path)
    (setting,) = found['settings']
    share = np.mean(np.random.SeedSequence((0, 0)).generate_state(12) % 2 == 0)
    assert setting['score']['mean'] == pytest.approx(100 * share)
    assert setting['success']['mean'] == pytest.approx(share) and 0 < share < 1
    assert found['score_by_success'] and f'{100 * share:.1f}' in summary.table({'BC': found})
    curves.draw_comparison({'BC': found}, tmp_path / 'figure.png')
    learned, compared = (figure.axes[0] for figure in drawn)
    assert learned.get_ylabel() == compared.get_xlabel() == 'successful episodes in %'
    assert learned.lines[0].get_ydata()[-1] == pytest.approx(100 * share)


def test_an_algorithm_without_critics_claims_nothing(cartpole):
    task, learner, states = set_up(cartpole, 'bc')
    result = evaluate(task, learner, states, 2)
    assert rollouts.claimed_values(learner, states, task, result, np.array([True])) is None


def test_worker_processes_change_nothing(cartpole, monkeypatch):
    task, learner, states = set_up(cartpole, num_seeds=2)
    monkeypatch.setattr('data.workers.num_cores', lambda: 1)
    alone = evaluate(task, learner, states, 10)
    monkeypatch.setattr('data.workers.num_cores', lambda: 3)
    everyone = np.ones(2, bool)
    with Lanes(task, 2, 10) as lanes:
        assert len(lanes._workers) == 3
        shared = finish(rollouts.evaluate(learner, states, lanes, everyone, 10, 0))
    np.testing.assert_array_equal(alone.returns, shared.returns)


def test_members_left_out_are_nan(cartpole):
    task, learner, states = set_up(cartpole, num_seeds=2)
    result = evaluate(task, learner, states, 3, evaluated=np.array([True, False]))
    assert np.isfinite(result.returns[0]).all() and np.isnan(result.returns[1]).all()


@pytest.mark.usefixtures('one_core')
def test_memory_starts_anew_with_every_episode(cartpole, monkeypatch):
    """A policy that counts its steps and acts on the count: left for 2 steps, then right."""
    algorithm = ALGORITHMS['bc']
    monkeypatch.setattr(
        algorithm, 'init_memory', lambda state, num_envs: jnp.zeros((num_envs,), jnp.int32),
        raising=False,
    )  # fmt: skip

    def act(state, memory, observation, reward, key):
        del state, reward, key
        return (memory >= 2).astype(jnp.int32), memory + 1

    monkeypatch.setattr(algorithm, 'act', act)
    task, learner, states = set_up(cartpole, 'bc')
    episodes = 2 * LANES_PER_MEMBER + 3
    result = evaluate(task, learner, states, episodes)
    env = gym.make('CartPole-v1')
    for seed, length in zip(
        np.random.SeedSequence((0, 0)).generate_state(episodes), result.lengths[0], strict=True
    ):
        env.reset(seed=int(seed))
        steps, over = 0, False
        while not over:
            _, _, terminated, truncated, _ = env.step(int(steps >= 2))
            steps, over = steps + 1, terminated or truncated
        assert length == steps

"""Chunks are executed open loop: the same wherever a policy acts."""

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import ALGORITHMS, fqe
from data import environments
from launch import train
from launch.run import chunks, rollouts
from launch.run.lanes import Lanes
from launch.run.turns import finish
from tests.launch.helpers import learner_of, small_config


def test_a_chunk_is_executed_to_its_end_before_the_next():
    """Two environments, the second of which begins anew after two steps; decisions count steps."""
    pending, taken = chunks.nothing((2,), 3, 2), []
    for step in range(7):
        if step == 2:
            fresh = chunks.nothing((2,), 3, 2)
            pending = jax.tree.map(lambda old, new: old.at[1].set(new[1]), pending, fresh)
        decided = 10.0 * step + jnp.arange(6.0)[None] + jnp.array([[0.0], [100.0]])
        actions, pending = chunks.execute(pending, decided)
        taken.append(actions[:, 0])
    taken = np.array(taken).T
    np.testing.assert_array_equal(taken[0], [0, 2, 4, 30, 32, 34, 60])
    np.testing.assert_array_equal(taken[1], [100, 102, 120, 122, 124, 150, 152])


def test_policies_without_chunks_act_as_their_algorithm_does():
    algorithm = ALGORITHMS['td3_bc']
    assert chunks.policy(algorithm, None, 1) == (None, algorithm.act)
    # What has no policy can be fitted all the same.
    assert chunks.policy(fqe, None, 1) == (None, None)


def test_lanes_earn_what_plain_rollouts_in_chunks_earn(pendulum):
    config = small_config(pendulum, 'td3_bc', num_seeds=2, chunk=4, **{'hparams.gamma': 0.9})
    task = train.load_data(config).learned_from.problem
    learner = learner_of(config, task)
    states, episodes = learner.init(), 3
    with Lanes(task, 2, episodes) as lanes:
        found = finish(rollouts.evaluate(learner, states, lanes, np.ones(2, bool), episodes, 5))
    env = environments.make(task.env_spec)
    for index, member in enumerate(learner.members):
        state = jax.tree.map(lambda leaf, i=index: leaf[i], states)
        for number, seed in enumerate(np.random.SeedSequence((member.seed, 5)).generate_state(3)):
            observation, _ = env.reset(seed=int(seed))
            rewards, pending, over = [], [], False
            while not over:
                if not pending:
                    given = task.preprocessing.observation(np.float32(observation)[None])
                    decided, _ = ALGORITHMS['td3_bc'].act(state, (), given, None, None)
                    pending = list(np.asarray(decided).reshape(4, 1))
                action = pending.pop(0) * env.action_space.high
                observation, reward, terminated, truncated, _ = env.step(action)
                rewards.append(reward)
                over = terminated or truncated
            assert found.lengths[index, number] == len(rewards) == 200
            np.testing.assert_allclose(found.returns[index, number], np.sum(rewards), rtol=1e-4)
            discounted = np.sum(0.9 ** np.arange(200) * rewards)
            np.testing.assert_allclose(found.discounted[index, number], discounted, rtol=1e-4)

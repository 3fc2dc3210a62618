"""Policies that collect data: each member acts in an environment of its own."""

from typing import Any

import gymnasium as gym
import jax
import numpy as np

from data import environments
from data.flat import flatten_observation
from data.types import Transition
from launch import rollout
from launch.learners import Learners
from launch.problem import Problem

# Sets the actors' randomness apart from that of batches and evaluations of the same seed.
_STREAM = 0xAC7


class Actors:
    """One environment per member, in which its policy collects data."""

    def __init__(self, task: Problem, learner: Learners, num_members: int, random_steps: int):
        self._task, self._learner, self._random_steps = task, learner, random_steps
        self._envs = [environments.make(task.env_spec) for _ in range(num_members)]
        self._keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), _STREAM))(
            learner.seeds
        )
        self._observations: np.ndarray
        self._rng: list[np.random.Generator]
        self._running = np.zeros(num_members)
        self._finished: list[list[float]] = [[] for _ in range(num_members)]

    def restart(self, step: int) -> None:
        """Begins new episodes, from seeds that the members' seeds and the step determine."""
        sequences = [
            np.random.SeedSequence((int(seed), step, _STREAM))
            for seed, _ in zip(self._learner.seeds, self._envs)
        ]
        self._rng = [np.random.default_rng(sequence.spawn(1)[0]) for sequence in sequences]
        self._observations = np.stack([
            self._flat(env.reset(seed=int(sequence.generate_state(1)[0]))[0])
            for env, sequence in zip(self._envs, sequences)
        ])  # fmt: skip
        self._running[:] = 0.0

    def step(self, states: Any, step: int) -> Transition:
        """Acts once in every environment; transitions with a leading axis of mesh members."""
        actions = self._actions(states, step)
        rows = [self._act(env, i, action) for i, (env, action) in enumerate(zip(self._envs, actions))]
        columns = [np.stack(column) for column in zip(*rows)]
        return jax.tree.map(self._pad, Transition(*columns))

    def mean_returns(self) -> np.ndarray:
        """Of each member's episodes finished since the last call, (members,); NaN without any."""
        means = np.array([np.mean(each) if each else np.nan for each in self._finished])
        self._finished = [[] for _ in self._finished]
        return means

    def close(self) -> None:
        """Closes the environments."""
        for env in self._envs:
            env.close()

    def _actions(self, states: Any, step: int) -> np.ndarray:
        spec = self._task.spec
        if step < self._random_steps:
            if spec.discrete:
                return np.array([rng.integers(spec.action_size) for rng in self._rng], np.int32)
            return np.stack([rng.uniform(-1, 1, spec.action_size) for rng in self._rng]).astype(
                np.float32
            )
        actions = self._learner.explore(states, self._pad(self._observations), self._keys, step)
        return np.asarray(actions)[: len(self._envs)]

    def _act(self, env: gym.Env, index: int, action: np.ndarray) -> tuple:
        observation = self._observations[index].copy()
        next_observation, reward, terminated, truncated, _ = env.step(
            rollout.to_environment(action, self._task, env.action_space.shape)
        )
        next_observation = self._observations[index] = self._flat(next_observation)
        self._running[index] += reward
        if terminated or truncated:
            self._finished[index].append(self._running[index])
            self._running[index] = 0.0
            self._observations[index] = self._flat(env.reset()[0])
        discount = np.float32(0.0 if terminated else 1.0)
        return observation, action, np.float32(reward), discount, next_observation

    def _flat(self, observation) -> np.ndarray:
        return flatten_observation(observation, self._task.observation_keys, 1).reshape(-1)

    def _pad(self, array: np.ndarray) -> np.ndarray:
        return rollout.pad(array, len(self._learner.seeds) - len(self._envs))

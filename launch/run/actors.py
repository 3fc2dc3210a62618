"""Policies that collect data: each member acts in an environment of its own."""

from typing import Any

import jax
import numpy as np

from data.problem import Problem
from data.types import Transition
from launch.run.lane import Lane
from launch.run.learners import Learners

# Sets the actors' randomness apart from that of batches and evaluations of the same seed.
_STREAM = 0xAC7


class Actors:
    """One environment per member, in which its policy collects data."""

    def __init__(self, problem: Problem, learner: Learners, random_steps: int):
        """Args: the problem, its learners, and the first steps, of uniformly random actions."""
        self._spec, self._learner, self._random_steps = problem.spec, learner, random_steps
        self._lanes = [Lane(problem) for _ in learner.members]
        self._keys = learner.keys(_STREAM)
        self._observations: list[np.ndarray] = []
        self._rng: list[np.random.Generator]
        self._earned = np.zeros(len(self._lanes))
        self._finished: list[list[float]] = [[] for _ in self._lanes]

    def restart(self, step: int) -> None:
        """Begins new episodes, from seeds that the members' seeds and the step determine."""
        sequences = [
            np.random.SeedSequence((member.seed, step, _STREAM)) for member in self._learner.members
        ]
        self._rng = [np.random.default_rng(sequence.spawn(1)[0]) for sequence in sequences]
        self._observations = [
            lane.reset(int(sequence.generate_state(1)[0]))
            for lane, sequence in zip(self._lanes, sequences)
        ]
        self._earned[:] = 0.0

    @property
    def running(self) -> bool:
        """Whether episodes have begun."""
        return bool(self._observations)

    def step(self, states: Any, step: int, alive: np.ndarray) -> Transition:
        """Acts once in every environment; transitions with a leading axis of mesh members.

        Those of members that are not alive, bool (members,), stand still.
        """
        actions = self._actions(states, step)
        rows = [
            self._act(index, action) if alive[index] else self._stay(index, action)
            for index, action in enumerate(actions)
        ]
        columns = [np.stack(column) for column in zip(*rows)]
        return jax.tree.map(self._learner.fill, Transition(*columns))

    def mean_returns(self) -> np.ndarray:
        """Of each member's episodes finished since the last call, (members,); NaN without any."""
        means = np.array([np.mean(each) if each else np.nan for each in self._finished])
        self._finished = [[] for _ in self._finished]
        return means

    def close(self) -> None:
        """Closes the environments."""
        for lane in self._lanes:
            lane.close()

    def _actions(self, states: Any, step: int) -> np.ndarray:
        size = self._spec.action_size
        if step >= self._random_steps:
            observations = np.stack(self._observations)
            return self._learner.explore(states, observations, self._keys, step)
        if self._spec.discrete:
            return np.array([rng.integers(size) for rng in self._rng], np.int32)
        return np.stack([rng.uniform(-1, 1, size) for rng in self._rng]).astype(np.float32)

    def _act(self, index: int, action: np.ndarray) -> tuple:
        observation, lane = self._observations[index], self._lanes[index]
        # A member that has just diverged, which the loop reports, shall not break its environment.
        following, reward, terminated, truncated = lane.step(
            np.where(np.isfinite(action), action, 0).astype(action.dtype)
        )
        self._observations[index] = following
        self._earned[index] += reward
        if terminated or truncated:
            self._finished[index].append(self._earned[index])
            self._earned[index] = 0.0
            self._observations[index] = lane.reset()
        discount = np.float32(0.0 if terminated else 1.0)
        return observation, action, np.float32(reward), discount, following

    def _stay(self, index: int, action: np.ndarray) -> tuple:
        there = self._observations[index]
        return there, np.zeros_like(action), np.float32(0), np.float32(0), there

"""Policies that collect data: each member acts in an environment of its own."""

from typing import Any, NamedTuple

import jax
import numpy as np

from data import environments, returns
from data.problem import Problem
from data.types import ReturnTransition, Transition
from launch.run.lane import Lane
from launch.run.learners import Learners

# Sets the actors' randomness apart from that of batches and evaluations of the same seed.
_STREAM = 0xAC7


class Step(NamedTuple):
    """What all members did once, arrays with a leading axis of mesh members.

    Attributes:
        transition: of each.
        begins: bool, whether an episode began with it.
        ended: what the episodes earned that are over with it, as `Actors.cut`; None if nobody needs it
            or none is.
    """

    transition: Transition
    begins: np.ndarray
    ended: tuple[np.ndarray, np.ndarray] | None


class Actors:
    """One environment per member, in which its policy collects data."""

    def __init__(self, problem: Problem, learner: Learners, random_steps: int):
        """Args: the problem, its learners, and the first steps, of uniformly random actions."""
        self._spec, self._learner, self._random_steps = problem.spec, learner, random_steps
        self._lanes = [Lane(problem) for _ in learner.members]
        self._keys = learner.keys(_STREAM)
        self._observations: list[np.ndarray] = []
        self._rng: list[np.random.Generator]
        # What is left of each member's chunk.
        self._pending: list[np.ndarray] = [np.array([])] * len(self._lanes)
        self._begins = np.ones(len(self._lanes), bool)
        self._env_spec = problem.env_spec
        self._reward = problem.preprocessing.reward
        # Rewards and discounts of the running episodes, if what they earn is needed.
        self._needed = learner.form.kind is ReturnTransition
        self._lived: list[list[tuple[float, float]]] = [[] for _ in self._lanes]
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
        self._begins[:] = True
        self._lived = [[] for _ in self._lanes]
        self._pending = [np.array([])] * len(self._lanes)

    @property
    def running(self) -> bool:
        """Whether episodes have begun."""
        return bool(self._observations)

    def step(self, states: Any, step: int, alive: np.ndarray) -> Step:
        """Acts once in every environment; members that are not alive, bool (members,), stand still."""
        actions, begins = self._actions(states, step), self._begins
        self._begins = np.zeros_like(begins)
        rows = [
            self._act(index, action) if alive[index] else self._stay(index, action)
            for index, action in enumerate(actions)
        ]
        columns = [np.stack(column) for column in zip(*rows)]
        transition = jax.tree.map(self._learner.fill, Transition(*columns))
        return Step(transition, self._learner.fill(begins), self._ended(self._begins))

    def cut(self) -> tuple[np.ndarray, np.ndarray] | None:
        """What the running episodes, which are to end here, have earned from each of their steps on.

        Padded with zeros, float32 (mesh_members, most steps), and their steps, int32 (mesh_members,);
        None if nobody needs it.
        """
        return self._ended(np.ones(len(self._lanes), bool))

    def _ended(self, over: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        if not (self._needed and over.any()):
            return None
        # Of one length, which is compiled once.
        longest = environments.time_limit(self._env_spec)
        to_go = np.zeros((len(over), longest), np.float32)
        lengths = np.zeros(len(over), np.int32)
        for index in np.flatnonzero(over):
            if self._lived[index]:
                reward, discount = np.array(self._lived[index], np.float64).T
                reward, carried = self._reward(reward), self._learner.gammas[index] * discount
                lengths[index] = length = len(reward)
                first, last = np.array([0]), np.array([length - 1])
                to_go[index, :length] = returns.of_episodes(reward, carried, first, last)
                self._lived[index] = []
        return self._learner.fill(to_go), self._learner.fill(lengths)

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
            if not all(map(len, self._pending)):
                self._decide(states, step)
            now = np.stack([left[0] for left in self._pending])
            self._pending = [left[1:] for left in self._pending]
            return now
        if self._spec.discrete:
            return np.array([rng.integers(size) for rng in self._rng], np.int32)
        return np.stack([rng.uniform(-1, 1, size) for rng in self._rng]).astype(np.float32)

    def _decide(self, states: Any, step: int) -> None:
        """Begins chunks where nothing is left of the last."""
        observations = np.stack(self._observations)
        decided = self._learner.explore(states, observations, self._keys, step)
        shape = (-1,) if self._spec.discrete else (-1, self._spec.action_size)
        self._pending = [
            left if len(left) else chunk.reshape(shape)
            for left, chunk in zip(self._pending, decided)
        ]

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
            self._begins[index], self._pending[index] = True, np.array([])
        discount = np.float32(0.0 if terminated else 1.0)
        if self._needed:
            self._lived[index].append((reward, discount))
        return observation, action, np.float32(reward), discount, following

    def _stay(self, index: int, action: np.ndarray) -> tuple:
        there = self._observations[index]
        self._begins[index] = True
        return there, np.zeros_like(action), np.float32(0), np.float32(0), there

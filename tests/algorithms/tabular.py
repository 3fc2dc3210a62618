"""Small deterministic problems with one-hot observations, and their exact values."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data.types import Spec, Transition


class Tabular(NamedTuple):
    """States (S,) and actions (A,): where each action leads, what it earns, whether the data has it."""

    next_state: np.ndarray
    reward: np.ndarray
    seen: np.ndarray

    @property
    def spec(self) -> Spec:
        return Spec(*self.reward.shape, discrete=True)

    @property
    def observations(self) -> jax.Array:
        return jnp.eye(len(self.reward))

    def data(self) -> Transition:
        """Every action that was seen, once; nothing terminates."""
        s, a = np.nonzero(self.seen)
        return Transition(
            observation=self.observations[s],
            action=jnp.asarray(a, jnp.int32),
            reward=jnp.asarray(self.reward[s, a], jnp.float32),
            discount=jnp.ones(len(s)),
            next_observation=self.observations[self.next_state[s, a]],
        )

    def value_of(self, policy: np.ndarray, gamma: float) -> np.ndarray:
        """The true V of a deterministic policy (S,), float64."""
        states = np.arange(len(policy))
        transition = np.eye(len(policy))[self.next_state[states, policy]]
        return np.linalg.solve(
            np.eye(len(policy)) - gamma * transition, self.reward[states, policy]
        )

    def best_seen(self, gamma: float) -> tuple[np.ndarray, np.ndarray]:
        """V and policy of value iteration over the seen actions alone."""
        v = np.zeros(len(self.reward))
        for _ in range(500):
            q = np.where(self.seen, self.reward + gamma * v[self.next_state], -np.inf)
            v = q.max(axis=1)
        return v, q.argmax(axis=1)


def random_problem(num_states=6, num_actions=3, unseen=0, seed=0) -> Tabular:
    """Rewards in [-1, 0); `unseen` actions of each state are missing from the data."""
    rng = np.random.default_rng(seed)
    shape = (num_states, num_actions)
    order = rng.permuted(np.tile(np.arange(num_actions), (num_states, 1)), axis=1)
    return Tabular(
        next_state=rng.integers(num_states, size=shape),
        reward=rng.uniform(-1, 0, shape),
        seen=order >= unseen,
    )

"""Fitted Q evaluation of many policies from one dataset, as members of one run."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from algorithms import fqe
from data.loading import Dataset
from data.problem import Preprocessing
from launch.estimate import fitting
from launch.estimate.fitting import Schedule
from launch.run.members import make_members

# Steps valued at a time.
_ROWS = 16_384


class FittedQ(NamedTuple):
    """The Q functions of P policies, each fitted to the log and to its resamples.

    Attributes:
        states: FQEStates with leading axes (P, B); resample 0 is the log itself.
        preprocessing: of the observations.
    """

    states: fqe.FQEState
    preprocessing: Preprocessing

    def values(self, observations: np.ndarray, actions: np.ndarray, resample: int) -> np.ndarray:
        """Q of every policy, by its fit to a resample, float64 (n, P).

        Args:
            observations: (n, observation_size), as the environment gives them.
            actions: one for each policy, (n, P, action_size), or int32 (n, P) if discrete.
            resample: number of the resample.
        """
        chosen = jax.tree.map(lambda leaf: leaf[:, resample], self.states)
        parts = []
        for begin in range(0, len(actions), _ROWS):
            rows = slice(begin, begin + _ROWS)
            observation = self.preprocessing.observation(jnp.asarray(observations[rows]))
            parts.append(_values(chosen, observation, actions[rows]))
        return np.concatenate(parts).astype(np.float64)


@jax.jit
def _values(states: fqe.FQEState, observations: jax.Array, actions: jax.Array) -> jax.Array:
    return jax.vmap(fqe.action_value, (0, None, 1), 1)(states, observations, actions)


def fit(
    dataset: Dataset,
    next_actions: np.ndarray,
    next_tried: np.ndarray,
    untried_value: float,
    counts: np.ndarray,
    hparams: dict[str, float],
    network: ConfigDict,
    schedule: Schedule,
    seed: int,
) -> FittedQ:
    """Fits the Q functions of P policies to B resamples of a dataset.

    Args:
        dataset: the log, preprocessed.
        next_actions: the policies' at next_observation, (N, P, action_size), or int32 (N, P).
        next_tried: bool (N, P), whether the log tries these.
        untried_value: of what it does not try.
        counts: how often each resample has each episode, (B, E).
        hparams: of algorithms/fqe.py but for the untried value, the policy and the resample.
        network: its config.
        schedule: how long, and in batches of how many rows.
        seed: of all of them.
    """
    num_policies, num_resamples = next_actions.shape[1], len(counts)
    # Policy by policy.
    hparams = hparams | {'untried_value': untried_value, 'policy': 0.0, 'resample': 0.0}
    members = make_members(
        hparams,
        {'policy': range(num_policies), 'resample': range(num_resamples)},
        seed,
        num_seeds=1,
    )
    task = dataset.problem
    data = fqe.Batch(
        **dataset.transitions._asdict(),
        next_actions=next_actions,
        next_tried=next_tried,
        counts=np.repeat(counts.T, dataset.episode_lengths, axis=0).astype(np.float32),
    )
    states = fitting.fit(fqe, task, data, members, hparams, network, schedule)

    def split(leaf):
        # The fill of the mesh is dropped.
        return leaf[: len(members)].reshape(num_policies, num_resamples, *leaf.shape[1:])

    # On the host: devices would talk to each other.
    return FittedQ(jax.tree.map(split, jax.device_get(states.replace(key=None))), task.preprocessing)

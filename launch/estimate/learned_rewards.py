"""What the reward models of a run give for the steps of a dataset."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from algorithms import preference_reward
from data import disk
from data.loading import Dataset
from launch.cli import UserError
from launch.run import policies
from launch.run.policies import Policies, Restored

# Steps at a time.
_ROWS = 16_384


class Rewards(NamedTuple):
    """Of N steps, by an ensemble.

    Attributes:
        mean, deviation: over the ensemble's networks, float64 (N,).
        networks: how many there are.
        run: that learned them.
    """

    mean: np.ndarray
    deviation: np.ndarray
    networks: int
    run: Restored


def of_run(path: Path, dataset: Dataset) -> Rewards:
    """All networks of all members of a run that are finite are one ensemble.

    Raises:
        UserError, DatasetError: there is no such run, it did not learn rewards, it learned them of other
            observations or actions, with several settings, or all of its members have diverged.
    """
    run = policies.restore_rewards(path)
    members = run.learner.members
    if settings := sorted({member.label for member in members} - {members[0].label}):
        raise UserError(
            f'{path} has members of {len(settings) + 1} settings ({members[0].label}; '
            f'{"; ".join(settings)}), whose rewards are no one ensemble; learn with one setting.'
        )
    kept = np.flatnonzero(run.finite)
    if not len(kept):
        raise UserError(f'{path}: all of its members have diverged.')
    policies.check(Policies(run, [members[i] for i in kept], kept), dataset)
    # On the host: devices would talk to each other.
    states = jax.device_get(run.states.replace(key=None))
    states = jax.tree.map(lambda leaf: leaf[kept], states)
    steps, maps = dataset.transitions, run.problem.preprocessing
    count = len(steps.reward)
    mean, deviation = (disk.scratch(np.float64, (count,)) for _ in range(2))
    for begin in tqdm(range(0, count, _ROWS), 'rewards', unit_scale=_ROWS, unit=' steps'):
        rows = slice(begin, min(begin + _ROWS, count))
        observation = maps.observation(jnp.asarray(steps.observation[rows]))
        found = np.asarray(_rewards(states, observation, jnp.asarray(steps.action[rows])), np.float64)
        mean[rows], deviation[rows] = found.mean(axis=0), found.std(axis=0)
    return Rewards(mean, deviation, len(found), run)


@jax.jit
def _rewards(states, observation: jax.Array, action: jax.Array) -> jax.Array:
    """(networks of all members, rows)."""
    found = jax.vmap(preference_reward.rewards_of, (0, None, None))(states, observation, action)
    return found.reshape(-1, len(observation))

"""Fitted Q evaluation of many policies from one dataset, as members of one run."""

from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from algorithms import fqe
from data import transforms
from data.loading import Dataset
from launch import learners, members

# Steps valued at a time.
_ROWS = 16_384


class FittedQ(NamedTuple):
    """The Q functions of P policies, each fitted to the log and to its resamples.

    Attributes:
        states: FQEStates with leading axes (P, B); resample 0 is the log itself.
        preprocessing: of the observations.
    """

    states: fqe.FQEState
    preprocessing: transforms.Preprocessing

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
            observation = self.preprocessing.observation(np.asarray(observations[rows]))
            parts.append(_values(chosen, observation, actions[rows]))
        return np.concatenate(parts).astype(np.float64)


@jax.jit
def _values(states: fqe.FQEState, observations: jax.Array, actions: jax.Array) -> jax.Array:
    return jax.vmap(fqe.action_value, (0, None, 1), 1)(states, observations, actions)


def fit(
    config: ConfigDict, dataset: Dataset, next_actions: np.ndarray, counts: np.ndarray
) -> FittedQ:
    """Fits the Q functions of P policies to B resamples of a dataset.

    Args:
        config: launch/configs/ope.py.
        dataset: the log.
        next_actions: the policies' at next_observation, (N, P, action_size), or int32 (N, P).
        counts: how often each resample has each episode, (E, B).
    """
    num_policies, num_resamples = next_actions.shape[1], counts.shape[1]
    settings = ConfigDict(config.to_dict())
    settings.num_seeds = 1
    settings.sweep = {'policy': range(num_policies), 'resample': range(num_resamples)}
    settings.hparams.update({'policy': 0.0, 'resample': 0.0})
    run = members.members(settings)
    preprocessing = transforms.preprocessing(
        dataset, config.standardize_observations, False, 1.0, 0.0
    )
    learner = learners.build(fqe, settings, dataset.spec, run, preprocessing)
    data = fqe.Batch(
        **dataset.transitions._asdict(),
        next_actions=next_actions,
        counts=np.repeat(counts, dataset.episode_lengths, axis=0).astype(np.float32),
    )
    placed, states = learners.place(data, len(run)), learner.init()
    progress = tqdm(
        desc=f'fqe x{len(run)}', total=config.num_updates, unit='update', dynamic_ncols=True
    )
    for _ in range(0, config.num_updates, config.log_interval):
        states = jax.block_until_ready(
            learner.train_on_device(states, placed, config.log_interval)
        )
        progress.update(config.log_interval)
    progress.close()

    def split(leaf):
        # The fill of the mesh is dropped; members come policy by policy.
        return leaf[: len(run)].reshape(num_policies, num_resamples, *leaf.shape[1:])

    return FittedQ(jax.device_get(jax.tree.map(split, states.replace(key=None))), preprocessing)

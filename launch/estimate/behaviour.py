"""The behaviour policy of a log: as the log recorded it, or as BC finds it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from algorithms import bc
from data import behaviour
from data.loading import Dataset
from launch.estimate import fitting
from launch.estimate.fitting import Schedule
from launch.run.members import make_members


class Behaviour(NamedTuple):
    """What the policy that collected a log of N steps in E episodes was likely to do.

    Attributes:
        log_probs: of the log's actions, float64 (N,).
        used: bool (E,), the episodes that these may be used on: those that no model was fitted to.
    """

    log_probs: np.ndarray
    used: np.ndarray


def recorded(dataset: Dataset) -> Behaviour:
    """The probabilities that the dataset holds.

    Raises:
        DatasetError: it does not hold them.
    """
    return Behaviour(
        behaviour.recorded_log_probs(dataset), np.ones(len(dataset.episode_lengths), bool)
    )


def fitted(
    dataset: Dataset,
    hparams: dict[str, float],
    network: ConfigDict,
    schedule: Schedule,
    seed: int,
    rng: np.random.Generator,
) -> Behaviour:
    """Those of a model that BC fits to half of the episodes, to be used on the other half.

    Args:
        dataset: the log, preprocessed.
        hparams, network: of algorithms/bc.py.
        schedule: how long.
        seed: of the model.
        rng: chooses the half.
    """
    used = rng.permuted(np.arange(len(dataset.episode_lengths)) % 2 == 0)
    learned_from = np.repeat(~used, dataset.episode_lengths)
    members = make_members(hparams, {}, seed, num_seeds=1)
    task = dataset.problem
    rows = jax.tree.map(lambda array: np.asarray(array)[learned_from], dataset.transitions)
    states = fitting.fit(bc, task, rows, members, hparams, network, schedule)
    state = jax.tree.map(lambda leaf: leaf[0], states)
    observations = task.preprocessing.observation(jnp.asarray(dataset.transitions.observation))
    policy = state.actor.apply_fn(state.actor.params, observations)
    log_probs = policy.log_prob(np.asarray(dataset.transitions.action))
    return Behaviour(np.asarray(log_probs, np.float64), used)

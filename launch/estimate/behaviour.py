"""The behaviour policy of a log: as the log recorded it, or as BC finds it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from algorithms import bc
from data import behaviour, transforms
from data.loading import Dataset
from data.problem import Preprocessing
from launch.estimate import fitting
from launch.estimate.fitting import Schedule
from launch.run.members import make_members

# One of so many episodes says when a model is fitted well enough; so often it is asked.
_FOLDS, _CHECKS = 5, 30
# Of a large log's episodes of that kind, those that hold so many steps.
_MOST_UNSEEN = 1_000_000


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


class Model(NamedTuple):
    """The behaviour policy as algorithms/bc.py finds it.

    Attributes:
        state: of BC.
        preprocessing: of the observations.
    """

    state: bc.BCState
    preprocessing: Preprocessing

    def log_probs(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Of actions (n,), or (n, action_size), at observations as they are recorded, float64 (n,)."""
        policy = self._policy(observations)
        return np.asarray(policy.log_prob(np.asarray(actions)), np.float64)

    def tried(self, observations: np.ndarray, actions: np.ndarray, threshold: float) -> np.ndarray:
        """Whether discrete actions (n, P) are of those that the log tries at observations, bool (n, P).

        As in discrete BCQ those are `threshold` times as likely as the likeliest, or more  (Fujimoto et
        al. 2019, https://arxiv.org/abs/1910.01708).
        """
        policy = self._policy(observations)
        least = np.asarray(policy.log_prob(policy.mode())) + np.log(threshold)
        return np.stack(
            [np.asarray(policy.log_prob(column)) >= least for column in actions.T], axis=1
        )

    def _policy(self, observations: np.ndarray) -> Any:
        seen = self.preprocessing.observation(jnp.asarray(observations))
        return self.state.actor.apply_fn(self.state.actor.params, seen)


def fit(
    dataset: Dataset,
    learned_from: np.ndarray,
    hparams: dict[str, float],
    network: ConfigDict,
    schedule: Schedule,
    seed: int,
) -> Model:
    """Fits a model to some of a log's episodes, until a fifth of these is no longer predicted better.

    A model that has learned its episodes by heart takes whatever else a log does for untried.

    Args:
        dataset: the log, preprocessed.
        learned_from: bool (E,), which.
        hparams, network: of algorithms/bc.py.
        schedule: for how long at most.
        seed: of the model.
    """
    validated = np.zeros_like(learned_from)
    validated[np.flatnonzero(learned_from)[_FOLDS - 1 :: _FOLDS]] = True
    rows, unseen = (
        transforms.select(dataset, np.flatnonzero(which))
        for which in (learned_from & ~validated, validated)
    )
    unseen = transforms.thin(unseen, _MOST_UNSEEN).transitions
    best, model = -np.inf, None

    def stop(states: Any) -> bool:
        nonlocal best, model
        # A copy: the next chunk takes the memory of the states.
        now = Model(jax.tree.map(lambda leaf: jnp.copy(leaf[0]), states), dataset.problem.preprocessing)
        likelihood = np.inf
        if len(unseen.action):
            likelihood = now.log_probs(unseen.observation, unseen.action).mean()
        worse = likelihood < best
        if not worse:
            best, model = likelihood, now
        return worse

    members = make_members(hparams, {}, seed, num_seeds=1)
    schedule = schedule._replace(log_interval=max(schedule.num_updates // _CHECKS, 1))
    fitting.fit(
        bc, dataset.problem, rows.transitions, members, hparams, network, schedule, stop, data_on='host'
    )
    return model

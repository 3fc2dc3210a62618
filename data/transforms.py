"""What is done to a dataset before learning from it, each step chosen in the config."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from data.loading import Dataset
from data.types import Array, DatasetError, Transition

# Added to the standard deviations, as in TD3+BC's released code (sfujim/TD3_BC, utils.py).
_STD_OFFSET = 1e-3


class Preprocessing(NamedTuple):
    """The affine maps between what a dataset records and what an algorithm sees.

    Attributes:
        observation_mean, observation_std: float32 (observation_size,).
        reward_scale, reward_shift: the algorithm sees scale * reward + shift.
    """

    observation_mean: Array
    observation_std: Array
    reward_scale: Array
    reward_shift: Array

    def observation(self, observation: Array) -> Array:
        """Standardises observations (..., observation_size)."""
        return (observation - self.observation_mean) / self.observation_std

    def reward(self, reward: Array) -> Array:
        """Maps rewards (...)."""
        return self.reward_scale * reward + self.reward_shift

    def transition(self, batch: Transition) -> Transition:
        """Maps the observations and rewards of a batch."""
        return batch._replace(
            observation=self.observation(batch.observation),
            reward=self.reward(batch.reward),
            next_observation=self.observation(batch.next_observation),
        )


def preprocessing(
    dataset: Dataset,
    standardize_observations: bool,
    normalize_rewards: bool,
    reward_scale: float,
    reward_shift: float,
) -> Preprocessing:
    """Measures a dataset.

    Args:
        dataset: what to measure.
        standardize_observations: to mean 0 and standard deviation 1 over all steps.
        normalize_rewards: divides rewards by the range of the episodes' returns and multiplies them
            by 1000, as IQL does for locomotion (Kostrikov et al. 2021, appendix B; released code,
            train_offline.py, normalize).
        reward_scale, reward_shift: applied after the normalisation, scale first.

    Raises:
        DatasetError: rewards are to be normalised by a return range of zero.
    """
    size = dataset.spec.observation_size
    mean, std = np.zeros(size, np.float32), np.ones(size, np.float32)
    if standardize_observations:
        mean, std = _moments(dataset.transitions.observation)
        std += _STD_OFFSET
    scale = float(reward_scale)
    if normalize_rewards:
        returns = dataset.episode_returns
        if returns.max() == returns.min():
            raise DatasetError(
                f'dataset {dataset.id}: all episodes have the return {returns[0]:g}, so rewards '
                'cannot be normalised by the return range; set config.normalize_rewards=False.'
            )
        scale *= 1000.0 / (returns.max() - returns.min())
    return Preprocessing(
        jnp.asarray(mean), jnp.asarray(std), jnp.float32(scale), jnp.float32(reward_shift)
    )


def _moments(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over steps in float64, read in blocks: data may exceed memory."""
    count = len(observations)
    blocks = [slice(begin, begin + 65_536) for begin in range(0, count, 65_536)]
    mean = sum(np.sum(observations[rows], 0, np.float64) for rows in blocks) / count
    variance = sum(np.sum(np.square(observations[rows] - mean), 0) for rows in blocks) / count
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)


def top_episodes(dataset: Dataset, fraction: float) -> Dataset:
    """Keeps the episodes of highest return, for top-X % behavioural cloning.

    Episodes are taken in order of return until they hold at least `fraction` of all steps (the
    released code of Decision Transformer, gym/experiment.py, stops one episode earlier), and stay
    in recorded order.

    Raises:
        DatasetError: fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise DatasetError(f'dataset {dataset.id}: top fraction {fraction:g} is not in (0, 1].')
    if fraction == 1:
        return dataset
    lengths = dataset.episode_lengths
    best_first = np.argsort(-dataset.episode_returns, kind='stable')
    enough = np.searchsorted(np.cumsum(lengths[best_first]), fraction * lengths.sum())
    kept = np.sort(best_first[: enough + 1])
    offsets = dataset.episode_offsets
    steps = np.concatenate([np.arange(offsets[e], offsets[e + 1]) for e in kept])
    return dataset._replace(
        transitions=Transition(*(array[steps] for array in dataset.transitions)),
        truncation=dataset.truncation[steps],
        episode_offsets=np.concatenate([[0], np.cumsum(lengths[kept])]),
    )

"""What is done to a dataset before learning from it, each step chosen in the config."""

import dataclasses

import numpy as np

from data import blocks, disk
from data.loading import Dataset
from data.problem import identity
from data.types import DatasetError, Preferences, Transition

# Added to the standard deviations, as in TD3+BC's released code (sfujim/TD3_BC, utils.py).
_STD_OFFSET = 1e-3
# Where the environments are that know continuing_task.
_MAZES = 'gymnasium_robotics.envs.maze.'


def preprocess(
    dataset: Dataset,
    standardize_observations: bool,
    normalize_rewards: bool = False,
    reward_scale: float = 1.0,
    reward_shift: float = 0.0,
    standardize_returns: bool = False,
) -> Dataset:
    """Measures a dataset, and makes what is to be done to its observations and rewards part of it.

    Args:
        dataset: what to measure.
        standardize_observations: to mean 0 and standard deviation 1 over all steps.
        normalize_rewards: divides rewards by the range of the episodes' returns and multiplies them
            by 1000, as IQL does for locomotion (Kostrikov et al. 2021, appendix B; released code,
            train_offline.py, normalize).
        reward_scale, reward_shift: applied after the normalisation, scale first.
        standardize_returns: divides rewards by the standard deviation of the episodes' returns.

    Raises:
        DatasetError: rewards are to be normalised by a range or deviation of returns that is zero.
    """
    task = dataset.problem
    maps = identity(task.spec.observation_size)
    if standardize_observations:
        mean, std = _moments(dataset.transitions.observation)
        maps = maps._replace(observation_mean=mean, observation_std=std + np.float32(_STD_OFFSET))
    scale = float(reward_scale)
    if normalize_rewards:
        scale *= 1000.0 / np.ptp(_different_returns(dataset, 'normalize_rewards'))
    if standardize_returns:
        scale /= np.std(_different_returns(dataset, 'standardize_returns'))
    maps = maps._replace(reward_scale=np.float32(scale), reward_shift=np.float32(reward_shift))
    return dataset._replace(problem=task._replace(preprocessing=maps))


def _different_returns(dataset: Dataset, key: str) -> np.ndarray:
    returns = dataset.episode_returns
    if returns.max() == returns.min():
        raise DatasetError(
            f'dataset {dataset.problem.name}: all episodes have the return {returns[0]:g}, which '
            f'leaves nothing to scale rewards by; set config.{key}=False.'
        )
    return returns


def _moments(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over steps, in float64."""
    count = len(observations)
    mean = sum(np.sum(observations[rows], 0, np.float64) for rows in blocks.of_steps(count)) / count
    variance = sum(
        np.sum(np.square(observations[rows] - mean), 0) for rows in blocks.of_steps(count)
    ) / count
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)


def cut_at_goal(dataset: Dataset) -> Dataset:
    """Ends every episode at its first positive reward, as D4RL's antmaze does and Minari's does not.

    There the goal is reached and the environment terminates; policies are judged in an environment
    that does the same (gymnasium-robotics' continuing_task=False). Episodes that reach no goal stay.

    Raises:
        DatasetError: the dataset's environment is no maze that can end at its goal.
    """
    env_spec = dataset.problem.env_spec
    if env_spec is None or not str(env_spec.entry_point).startswith(_MAZES):
        raise DatasetError(
            f'dataset {dataset.problem.name}: its environment has no goal to end at; '
            'set config.cut_at_goal=False.'
        )
    offsets, first = dataset.episode_offsets, []
    for episodes, steps in blocks.of_episodes(offsets):
        goals = steps.start + np.flatnonzero(dataset.transitions.reward[steps] > 0)
        # The first goal at or after each episode's first step; none is the end of the block.
        found = np.searchsorted(goals, offsets[episodes])
        first.append(np.append(goals, steps.stop)[found])
    first = np.concatenate(first)
    reached = first < offsets[1:]
    lengths = np.where(reached, first - offsets[:-1] + 1, dataset.episode_lengths)
    cut = _steps(dataset, offsets[:-1], lengths)
    last = cut.episode_offsets[1:][reached] - 1
    cut.transitions.discount[last] = 0.0
    cut.truncation[last] = False
    kwargs = env_spec.kwargs | {'continuing_task': False}
    env_spec = dataclasses.replace(env_spec, kwargs=kwargs)
    return cut._replace(problem=cut.problem._replace(env_spec=env_spec))


def delay_rewards(dataset: Dataset) -> Dataset:
    """Pays each episode's return with its last step, nothing before (Chen et al. 2021, section 5.6)."""
    before = dataset.transitions.reward
    reward = disk.scratch(before.dtype, before.shape)
    reward[:] = 0
    reward[dataset.episode_offsets[1:] - 1] = dataset.episode_returns
    return dataset._replace(
        problem=dataset.problem._replace(delayed_rewards=True),
        transitions=dataset.transitions._replace(reward=reward),
    )


def top_episodes(dataset: Dataset, fraction: float) -> Dataset:
    """Keeps the episodes of highest return, for top-X % behavioural cloning.

    Episodes are taken in order of return until they hold at least `fraction` of all steps (the
    released code of Decision Transformer, gym/experiment.py, stops one episode earlier), and stay
    in recorded order.

    Raises:
        DatasetError: fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise DatasetError(
            f'dataset {dataset.problem.name}: top fraction {fraction:g} is not in (0, 1].'
        )
    if fraction == 1:
        return dataset
    lengths = dataset.episode_lengths
    best_first = np.argsort(-dataset.episode_returns, kind='stable')
    enough = np.searchsorted(np.cumsum(lengths[best_first]), fraction * lengths.sum())
    return select(dataset, np.sort(best_first[: enough + 1]))


def hold_out(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Splits a log into the episodes to learn from and those to judge from, at random.

    Args:
        dataset: the log.
        fraction: of the episodes that are held out, at least one of each kind.
        seed: of the choice.

    Returns:
        the episodes to learn from, and those held out, in recorded order.

    Raises:
        DatasetError: fraction is not in (0, 1), or there is but one episode.
    """
    episodes = len(dataset.episode_lengths)
    if not 0 < fraction < 1:
        raise DatasetError(
            f'dataset {dataset.problem.name}: held-out fraction {fraction:g} is not in (0, 1).'
        )
    if episodes < 2:
        raise DatasetError(
            f'dataset {dataset.problem.name}: it has one episode, and none would be left to learn '
            'from if one is held out to judge from.'
        )
    number = min(max(round(fraction * episodes), 1), episodes - 1)
    order = np.random.default_rng(seed).permutation(episodes)
    return tuple(select(dataset, np.sort(part)) for part in (order[number:], order[:number]))


def thin(dataset: Dataset, most_steps: int) -> Dataset:
    """Episodes from all over a log that hold about so many steps; all of it if that has no more."""
    steps, episodes = int(dataset.episode_offsets[-1]), len(dataset.episode_lengths)
    if steps <= most_steps:
        return dataset
    number = max(episodes * most_steps // steps, 1)
    return select(dataset, np.linspace(0, episodes - 1, number).astype(int))


def discount_durations(dataset: Dataset, gamma: float) -> Dataset:
    """Discounts a step that lasts d by gamma^d  (Bradtke & Duff 1994, semi-Markov decision processes).

    An algorithm multiplies the discount by gamma itself, so that gamma^(d - 1) is what it gets.
    """
    if dataset.duration is None:
        return dataset
    before, duration = dataset.transitions.discount, dataset.duration
    discount = disk.scratch(np.float32, before.shape)
    for steps in blocks.of_steps(len(before)):
        discount[steps] = np.where(before[steps] == 0, 0.0, gamma ** (duration[steps] - 1))
    return dataset._replace(transitions=dataset.transitions._replace(discount=discount))


def select(dataset: Dataset, kept: np.ndarray) -> Dataset:
    """A copy of the episodes of these numbers, with the preferences between any two of them."""
    selected = _steps(dataset, dataset.episode_offsets[kept], dataset.episode_lengths[kept])
    if dataset.preferences is None:
        return selected
    place = np.full(len(dataset.episode_lengths), -1)
    place[kept] = np.arange(len(kept))
    moved = dataset.preferences._replace(episode=place[dataset.preferences.episode])
    whole = np.all(moved.episode >= 0, axis=1)
    return selected._replace(preferences=Preferences(*(array[whole] for array in moved)))


def _steps(dataset: Dataset, begins: np.ndarray, lengths: np.ndarray) -> Dataset:
    """A copy of so many steps from each of these on, which make an episode each."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    shifts = begins - offsets[:-1]

    def copy(array: np.ndarray | None) -> np.ndarray | None:
        if array is None:
            return None
        copied = disk.scratch(array.dtype, (int(offsets[-1]), *array.shape[1:]))
        for episodes, steps in blocks.of_episodes(offsets):
            shift = np.repeat(shifts[episodes], lengths[episodes])
            copied[steps] = array[np.arange(steps.start, steps.stop) + shift]
        return copied

    return dataset._replace(
        transitions=Transition(*map(copy, dataset.transitions)),
        truncation=copy(dataset.truncation),
        episode_offsets=offsets,
        log_prob=copy(dataset.log_prob),
        duration=copy(dataset.duration),
    )

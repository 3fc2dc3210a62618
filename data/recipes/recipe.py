"""What a recipe is, and how episodes are recorded."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import jax
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer


class Relabelled(NamedTuple):
    """Episodes that are made from those of another recipe.

    Attributes:
        dataset_id: of the other one, which is built first, of the same size and with the same seed.
        relabel: (its episodes) -> those that they become.
    """

    dataset_id: str
    relabel: Callable[[Iterable[EpisodeBuffer]], Iterator[EpisodeBuffer]]


class Recipe(NamedTuple):
    """How to make one dataset from nothing.

    Attributes:
        dataset_id: Minari id, in the namespace local/.
        description: one line.
        size: how much to collect, in `unit`.
        unit: 'steps' or 'episodes'.
        env_spec: the environment that the data is collected in.
        eval_env_spec: the environment that policies learned from it are judged in.
        algorithm_name: what chose the actions.
        requirements: pip requirements of the environment.
        references: () -> the metadata that gives a return its meaning: score_by_success, or at least
            ref_min_score and ref_max_score, undiscounted returns in the evaluation environment.
        episodes: (env, size, seed) -> the episodes, `size` units in all, which the seed determines; or
            those of another recipe, relabelled.
    """

    dataset_id: str
    description: str
    size: int
    unit: Literal['steps', 'episodes']
    env_spec: EnvSpec
    eval_env_spec: EnvSpec
    algorithm_name: str
    requirements: tuple[str, ...]
    references: Callable[[], Mapping[str, Any]]
    episodes: Callable[[gym.Env, int, int], Iterator[EpisodeBuffer]] | Relabelled


def seeds(seed: int) -> tuple[int, np.random.Generator]:
    """Independent randomness for an environment (a seed) and for the policy in it (a generator)."""
    for_env, for_policy = np.random.SeedSequence(seed).spawn(2)
    return int(for_env.generate_state(1)[0]), np.random.default_rng(for_policy)


class Recording:
    """One episode in the making, as it will be stored."""

    def __init__(self, observation: Any, kept: dict[str, Any]):
        """Args: the first observation, and what infos keep beside every observation."""
        self._observations, self._kept = [observation], [kept]
        self._actions, self._rewards, self._infos = [], [], []
        self._terminated = self._truncated = False

    def __len__(self) -> int:
        return len(self._rewards)

    @property
    def running(self) -> bool:
        """Whether the environment has not ended the episode."""
        return not (self._terminated or self._truncated)

    @property
    def observation(self) -> Any:
        """The last one."""
        return self._observations[-1]

    def add(
        self, action: Any, infos: dict[str, Any], outcome: tuple, kept: dict[str, Any]
    ) -> None:
        """Records a step: the action, infos of it, what env.step returned, and what infos keep."""
        observation, reward, self._terminated, self._truncated, _ = outcome
        self._observations.append(observation)
        self._kept.append(kept)
        self._actions.append(action)
        self._rewards.append(reward)
        self._infos.append(infos)

    def episode(self) -> EpisodeBuffer:
        """The T steps, the last one truncated if the environment has not terminated there."""
        last = np.arange(len(self)) == len(self) - 1
        return EpisodeBuffer(
            observations=_stack(self._observations),
            actions=np.array(self._actions),
            rewards=np.array(self._rewards, np.float64),
            terminations=last & self._terminated,
            truncations=last & (not self._terminated),
            infos={**_stack(self._kept), **_stack(self._infos)},
        )


def rollout(
    env: gym.Env,
    act: Callable[[Any, dict], tuple[Any, dict]],
    size: int,
    unit: Literal['steps', 'episodes'],
    seed: int,
    keep: tuple[str, ...] = (),
) -> Iterator[EpisodeBuffer]:
    """Episodes of T steps each, `size` units in all, of a policy in an environment.

    Args:
        env: is seeded here, once.
        act: (observation, info) -> (action, infos of this step); those end up in the episode's
            infos with T entries.
        size: how many units to collect; if these are steps, the last episode is truncated there.
        unit: 'steps' or 'episodes'.
        seed: for the environment.
        keep: names in the environment's info that end up in the episode's infos with T + 1 entries,
            one per observation.
    """
    observation, info = env.reset(seed=seed)
    collected = 0
    while collected < size:
        recording = Recording(observation, {name: info[name] for name in keep})
        full = False
        while recording.running and not full:
            action, infos = act(recording.observation, info)
            outcome = env.step(action)
            info = outcome[-1]
            recording.add(action, infos, outcome, {name: info[name] for name in keep})
            full = unit == 'steps' and collected + len(recording) == size
        yield recording.episode()
        collected += len(recording) if unit == 'steps' else 1
        observation, info = env.reset()


def part(episode: EpisodeBuffer, begin: int, end: int, terminated: bool) -> EpisodeBuffer:
    """Steps begin, ..., end - 1 of an episode of T, as one that is terminated or truncated there.

    infos with T + 1 entries are of observations, those with T of steps.
    """
    steps = len(episode)
    last = np.arange(begin, end) == end - 1

    def cut(array: np.ndarray) -> np.ndarray:
        return array[begin : end + 1] if len(array) > steps else array[begin:end]

    return EpisodeBuffer(
        observations=jax.tree.map(cut, episode.observations),
        actions=episode.actions[begin:end],
        rewards=episode.rewards[begin:end],
        terminations=last & terminated,
        truncations=last & (not terminated),
        infos=jax.tree.map(cut, episode.infos),
    )


def _stack(items: list):
    if isinstance(items[0], dict):
        return {name: _stack([item[name] for item in items]) for name in items[0]}
    return np.array(items)

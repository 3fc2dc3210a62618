"""What a recipe is, and the one loop that lets a policy act in an environment."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer


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
        references: () -> the metadata that gives a return its meaning: at least ref_min_score and
            ref_max_score, undiscounted returns in the evaluation environment.
        episodes: (env, size, seed) -> the episodes, `size` units in all, which the seed determines.
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
    episodes: Callable[[gym.Env, int, int], Iterator[EpisodeBuffer]]


def seeds(seed: int) -> tuple[int, np.random.Generator]:
    """Independent randomness for an environment (a seed) and for the policy in it (a generator)."""
    for_env, for_policy = np.random.SeedSequence(seed).spawn(2)
    return int(for_env.generate_state(1)[0]), np.random.default_rng(for_policy)


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
        observations, kept = [observation], [[info[name] for name in keep]]
        actions, rewards, infos = [], [], []
        ended = terminated = False
        while not ended:
            action, step_infos = act(observation, info)
            observation, reward, terminated, truncated, info = env.step(action)
            observations.append(observation)
            kept.append([info[name] for name in keep])
            actions.append(action)
            rewards.append(reward)
            infos.append(step_infos)
            full = unit == 'steps' and collected + len(rewards) == size
            ended = terminated or truncated or full
        ends = np.arange(len(rewards)) == len(rewards) - 1
        yield EpisodeBuffer(
            observations=_stack(observations),
            actions=np.array(actions),
            rewards=np.array(rewards, np.float64),
            terminations=ends & terminated,
            truncations=ends & (not terminated),
            infos={
                **{name: np.array(values) for name, values in zip(keep, zip(*kept), strict=True)},
                **_stack(infos),
            },
        )
        collected += len(rewards) if unit == 'steps' else 1
        observation, info = env.reset()


def _stack(items: list):
    if isinstance(items[0], dict):
        return {name: np.array([item[name] for item in items]) for name in items[0]}
    return np.array(items)

"""MuJoCo locomotion with uniformly random actions: the floor that every algorithm must beat."""

from collections.abc import Iterator

import gymnasium as gym
from minari.data_collector import EpisodeBuffer

from data.recipes.recipe import Recipe, rollout, seeds
from data.reference_scores import table_scores


def _episodes(env: gym.Env, size: int, seed: int) -> Iterator[EpisodeBuffer]:
    env_seed, rng = seeds(seed)
    low, high = env.action_space.low, env.action_space.high

    def act(observation, info):
        return (low + (high - low) * rng.random(low.shape)).astype(low.dtype), {}

    return rollout(env, act, size, 'steps', env_seed)


def _recipe(env_id: str) -> Recipe:
    name = env_id.partition('-')[0]
    spec = gym.spec(env_id)

    def references() -> dict[str, float]:
        random, expert = table_scores(env_id)
        return {'ref_min_score': random, 'ref_max_score': expert}

    return Recipe(
        dataset_id=f'local/{name.lower()}/random-v0',
        description=f'{name} with uniformly random actions',
        size=1_000_000,
        unit='steps',
        env_spec=spec,
        eval_env_spec=spec,
        algorithm_name='uniformly random actions',
        requirements=('gymnasium>=1.2', 'mujoco<3.9'),
        references=references,
        episodes=_episodes,
    )


RECIPES = tuple(map(_recipe, ('Hopper-v5', 'HalfCheetah-v5', 'Walker2d-v5', 'Ant-v5')))

"""What a run learned from and is judged in: kept with the run, so that its policies outlive it."""

import json
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from ml_collections import ConfigDict

from data import environments, loading, transforms
from data.loading import Dataset
from data.reference_scores import reference_scores
from data.transforms import Preprocessing
from data.types import DatasetError, Spec


class Problem(NamedTuple):
    """A dataset without its data.

    Attributes:
        dataset_id: Minari's.
        spec: the sizes an algorithm sees.
        env_spec: the environment to evaluate in.
        observation_keys: how a dict observation is flattened (data.loading.Dataset).
        action_low, action_high, action_start: how actions reach the environment, likewise.
        scores: (random, expert) returns that normalise a score.
        reference_lines: further returns to draw beside a learning curve, by name.
        preprocessing: the maps applied to observations and rewards.
        delayed_rewards: whether an episode's reward is all paid at its end.
    """

    dataset_id: str
    spec: Spec
    env_spec: EnvSpec
    observation_keys: tuple[str, ...]
    action_low: np.ndarray | None
    action_high: np.ndarray | None
    action_start: int | None
    scores: tuple[float, float]
    reference_lines: dict[str, float]
    preprocessing: Preprocessing
    delayed_rewards: bool = False


def load_dataset(config: ConfigDict) -> Dataset:
    """The data that a config learns from.

    Raises:
        DatasetError: there is no such dataset, or it is not what the config takes it for.
    """
    dataset = loading.load(config.dataset)
    if config.cut_at_goal:
        dataset = transforms.cut_at_goal(dataset)
    dataset = transforms.top_episodes(dataset, config.top_fraction)
    return transforms.delay_rewards(dataset) if config.delayed_rewards else dataset


def from_dataset(dataset: Dataset, config: ConfigDict) -> Problem:
    """Measures a dataset and finds its environment.

    Raises:
        DatasetError: the dataset names no environment, one that cannot be made here, or has no
            reference scores.
    """
    if dataset.env_spec is None:
        raise DatasetError(f'dataset {dataset.id}: it names no environment to evaluate in.')
    environments.make(dataset.env_spec).close()
    return Problem(
        dataset_id=dataset.id,
        spec=dataset.spec,
        env_spec=dataset.env_spec,
        observation_keys=dataset.observation_keys,
        action_low=dataset.action_low,
        action_high=dataset.action_high,
        action_start=dataset.action_start,
        scores=reference_scores(dataset.id, dataset.metadata, dataset.env_spec.id),
        reference_lines=dataset.metadata.get('reference_lines', {}),
        preprocessing=transforms.preprocessing(
            dataset,
            config.standardize_observations,
            config.normalize_rewards,
            config.reward_scale,
            config.reward_shift,
        ),
        delayed_rewards=config.delayed_rewards,
    )


def from_environment(env_id: str) -> Problem:
    """An environment without a dataset, to learn in while acting.

    Raises:
        DatasetError: it cannot be made here, its observations or actions are not plain vectors, the
            actions bounded ones, or D4RL's table has no reference scores for it.
    """
    env_spec = environments.registered(env_id)
    env = environments.make(env_spec)
    observations, actions = env.observation_space, env.action_space
    env.close()
    if not (isinstance(observations, Box) and isinstance(actions, Box) and actions.is_bounded()):
        raise DatasetError(
            f'environment {env_id}: observations {observations} and actions {actions} are not '
            'supported online without a dataset; Box observations and bounded Box actions are.'
        )
    size = int(np.prod(observations.shape))
    return Problem(
        dataset_id=env_id,
        spec=Spec(size, int(np.prod(actions.shape)), discrete=False),
        env_spec=env_spec,
        observation_keys=(),
        action_low=actions.low.reshape(-1),
        action_high=actions.high.reshape(-1),
        action_start=None,
        scores=reference_scores(env_id, {}, env_id),
        reference_lines={},
        preprocessing=Preprocessing(
            jnp.zeros(size), jnp.ones(size), jnp.float32(1), jnp.float32(0)
        ),
    )


def save(problem: Problem, path: Path) -> None:
    """Writes a problem as JSON."""
    fields = problem._asdict() | {
        'spec': problem.spec._asdict(),
        'env_spec': json.loads(problem.env_spec.to_json()),
        'preprocessing': problem.preprocessing._asdict(),
    }
    path.write_text(json.dumps(fields, indent=2, default=lambda array: np.asarray(array).tolist()))


def load(path: Path) -> Problem:
    """Reads what `save` wrote."""
    fields = json.loads(path.read_text())
    bounds = {
        name: None if fields[name] is None else np.array(fields[name], np.float32)
        for name in ('action_low', 'action_high')
    }
    maps = {name: jnp.float32(value) for name, value in fields['preprocessing'].items()}
    return Problem(
        **fields
        | bounds
        | {
            'spec': Spec(**fields['spec']),
            'env_spec': EnvSpec.from_json(json.dumps(fields['env_spec'])),
            'observation_keys': tuple(fields['observation_keys']),
            'scores': tuple(fields['scores']),
            'preprocessing': Preprocessing(**maps),
        }
    )

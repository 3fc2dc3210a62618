"""Small datasets of known numbers, and damage done to them."""

import json
from typing import Any

import h5py
import minari
import numpy as np
from gymnasium.spaces import Box, Discrete
from minari.data_collector import EpisodeBuffer
from minari.storage.datasets_root_dir import get_dataset_path

from data import actions, recipes
from data.problem import Problem, identity
from data.types import Spec

ID = 'test/made-v0'
LINE = Box(-10.0, 10.0, (2,), np.float32)
UNIT = Box(-1.0, 1.0, (1,), np.float32)


def episode(
    length: int, observations=None, actions=None, terminated: bool = False
) -> EpisodeBuffer:
    """An episode of distinct numbers; its observations fit LINE and its actions UNIT."""
    last = np.arange(length) == length - 1
    if observations is None:
        observations = np.arange(2 * (length + 1), dtype=np.float32).reshape(-1, 2) / 10
    if actions is None:
        actions = np.linspace(-1, 1, length, dtype=np.float32)[:, None]
    return EpisodeBuffer(
        observations=observations,
        actions=actions,
        rewards=np.arange(length) + 0.5,
        terminations=last & terminated,
        truncations=last & (not terminated),
    )


def built(dataset_id: str, seed: int = 0) -> minari.MinariDataset:
    """A recipe's dataset, built if it is not there."""
    recipes.build(dataset_id, seed)
    return minari.load_dataset(dataset_id)


def contents(dataset_id: str) -> dict[str, Any]:
    """Every array and attribute of a stored dataset, by name."""
    items = {}

    def add(name, item):
        items.update({f'{name}@{key}': value for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            items[name] = item[()]

    with h5py.File(get_dataset_path(dataset_id) / 'data' / 'main_data.hdf5') as file:
        file.visititems(add)
    return items


def overwrite(dataset_id: str, index: int, field: str, values) -> None:
    """Replaces an array of a stored episode by one that Minari would not have written."""
    with h5py.File(get_dataset_path(dataset_id) / 'data' / 'main_data.hdf5', 'a') as file:
        group = file[f'episode_{index}']
        del group[field]
        group[field] = values


def overwrite_metadata(dataset_id: str, change) -> None:
    path = get_dataset_path(dataset_id) / 'data' / 'metadata.json'
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


def problem(spec: Spec, **changes) -> Problem:
    """One without an environment, called test/made-v0, whose actions need no mapping."""
    space = Discrete(spec.action_size) if spec.discrete else Box(-1, 1, (spec.action_size,))
    made = Problem(
        name=ID,
        spec=spec,
        observation_keys=(),
        action_map=actions.from_space(space, ID),
        env_spec=None,
        scores=None,
        reference_lines={},
        preprocessing=identity(spec.observation_size),
    )
    return made._replace(**changes)

"""Datasets built on this machine, from real environments and policies that ship with the code.

Their ids begin with local/. A number before the version asks for another size than the usual one:
local/pointmaze/umaze-50k-v0 has 50,000 steps, local/icu-sepsis/clinician-2k-v0 has 2,000 episodes.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import minari
import tqdm
from minari.data_collector import EpisodeBuffer
from minari.storage.datasets_root_dir import get_dataset_path

from data import disk, environments
from data.locking import exclusive
from data.recipes import (
    antmaze,
    crossroads,
    icu_sepsis,
    kitchen,
    locomotion,
    ogbench,
    ogbench_mazes,
    pointmaze,
    storage,
)  # fmt: skip
from data.recipes.recipe import Recipe, Relabelled
from data.types import DatasetError

RECIPES = {
    recipe.dataset_id: recipe
    for module in (
        icu_sepsis, pointmaze, crossroads, locomotion, antmaze, kitchen, ogbench, ogbench_mazes,
    )  # fmt: skip
    for recipe in module.RECIPES
}

_SIZED_ID = re.compile(r'(?P<name>.+)-(?P<number>[1-9]\d*)(?P<unit>[km]?)-(?P<version>v\d+)')
_MULTIPLES = {'': 1, 'k': 1_000, 'm': 1_000_000}


def resolve(dataset_id: str) -> Recipe:
    """The recipe behind an id, with the size that the id asks for.

    Raises:
        DatasetError: there is none; the message lists those there are.
    """
    if dataset_id in RECIPES:
        return RECIPES[dataset_id]
    sized = _SIZED_ID.fullmatch(dataset_id)
    base = sized and RECIPES.get(f'{sized["name"]}-{sized["version"]}')
    if not base:
        raise DatasetError(
            f'there is no recipe for {dataset_id}; the recipes are {", ".join(RECIPES)}, each also '
            f'in another size, as in local/pointmaze/umaze-50k-v0'
        )
    size = int(sized['number']) * _MULTIPLES[sized['unit']]
    episodes = base.episodes
    if isinstance(episodes, Relabelled):
        stem, _, version = episodes.dataset_id.rpartition('-')
        other = f'{stem}-{sized["number"]}{sized["unit"]}-{version}'
        episodes = episodes._replace(dataset_id=other)
    return base._replace(dataset_id=dataset_id, size=size, episodes=episodes)


def build(dataset_id: str, seed: int = 0) -> None:
    """Collects a recipe's dataset into Minari's directory; does nothing if it is there already.

    The dataset appears all at once when it is complete. If another process is building it, waits
    for that one. The same id and seed give identical arrays on one machine. One that is made from
    another has that built first.

    Raises:
        DatasetError: no such recipe, its environment is not installed, or what it is made from is
            there with another seed.
    """
    recipe = resolve(dataset_id)
    if storage.is_stored(dataset_id):
        return
    if isinstance(recipe.episodes, Relabelled):
        build(recipe.episodes.dataset_id, seed)
    path = get_dataset_path(dataset_id)
    disk.check_directory(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(f'.{path.name}.lock'), dataset_id):
        if not storage.is_stored(dataset_id):
            with storage.appearing(path) as data_path:
                _write(recipe, data_path, seed)


def _write(recipe: Recipe, data_path: Path, seed: int) -> None:
    with environments.make(recipe.env_spec) as env:
        storage.write(
            data_path,
            (env.observation_space, env.action_space),
            _with_progress(recipe, _episodes(recipe, env, seed)),
            {
                'dataset_id': recipe.dataset_id,
                'eval_env_spec': recipe.eval_env_spec.to_json(),
                'algorithm_name': recipe.algorithm_name,
                'description': recipe.description,
                'seed': seed,
                'requirements': list(recipe.requirements),
                'author': {'offline-rl-jax'},
                'code_permalink': (
                    f'python -m launch.collect --recipe={recipe.dataset_id} --seed={seed}'
                ),
                **recipe.references(),
            },
            recipe.env_spec,
        )


def _episodes(recipe: Recipe, env: gym.Env, seed: int) -> Iterator[EpisodeBuffer]:
    if not isinstance(recipe.episodes, Relabelled):
        return recipe.episodes(env, recipe.size, seed)
    there = minari.load_dataset(recipe.episodes.dataset_id)
    if (other := there.storage.metadata['seed']) != seed:
        raise DatasetError(
            f'{recipe.dataset_id} with seed {seed} is made from {there.id}, which is there already, '
            f'with seed {other}; ask for that seed or another size, or remove '
            f'{there.storage.data_path.parent}'
        )
    return recipe.episodes.relabel(there.iterate_episodes())


def _with_progress(recipe: Recipe, episodes: Iterator[EpisodeBuffer]) -> Iterator[EpisodeBuffer]:
    with tqdm.tqdm(
        desc=recipe.dataset_id,
        total=recipe.size,
        unit=f' {recipe.unit}',
        unit_scale=True,
        mininterval=0.5,
    ) as progress:
        for episode in episodes:
            yield episode
            progress.update(len(episode) if recipe.unit == 'steps' else 1)

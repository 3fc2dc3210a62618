"""One task's rewards for episodes that were collected without one, as OGBench gives them.

A task (of OGBench, Park et al. 2024, https://arxiv.org/abs/2410.20092; with rewards, Park, Li & Levine
2025, https://arxiv.org/abs/2502.02538) has parts, such as cubes or buttons. The step from an observation
earns the number of parts that are solved there, less the number of parts: 0 where all are, and there the
task ends. What is left of an episode goes on as the next one, so that no transition is lost; a stay at
the goal becomes episodes of one step each.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer

from data import environments
from data.recipes.recipe import Recipe, Relabelled, part

TASKS = range(1, 6)


def recipes(base: Recipe, spec_of: Callable[[str], EnvSpec], name: str) -> tuple[Recipe, ...]:
    """Recipes of the tasks 1 to 5 of an OGBench environment: base's episodes, with the task's rewards.

    Args:
        base: collects episodes without a task, with infos `qpos` and, where there are buttons,
            `button_states`.
        spec_of: the spec of an environment by its id.
        name: of the environment, such as cube-single.
    """
    return tuple(_recipe(base, spec_of(f'{name}-singletask-task{task}-v0'), task) for task in TASKS)


def _recipe(base: Recipe, spec: EnvSpec, task: int) -> Recipe:
    stem, _, version = base.dataset_id.rpartition('-')
    return base._replace(
        dataset_id=f'{stem}-task{task}-{version}',
        description=f'{base.dataset_id} with the rewards of task {task}, cut where it is solved',
        eval_env_spec=spec,
        episodes=Relabelled(base.dataset_id, functools.partial(_relabelled, spec)),
    )


def _relabelled(spec: EnvSpec, episodes: Iterable[EpisodeBuffer]) -> Iterator[EpisodeBuffer]:
    with environments.make(spec) as env:
        relabel = importlib.import_module('ogbench.relabel_utils').relabel_dataset
        for episode in episodes:
            # OGBench says what a task pays, and where it is solved; the last observation has no step.
            steps = {
                name: episode.infos[name][:-1]
                for name in ('qpos', 'button_states')
                if name in episode.infos
            }
            relabel(spec.id, env, steps)
            yield from cut_where_solved(episode, steps['rewards'], steps['masks'] == 0)


def cut_where_solved(
    episode: EpisodeBuffer, rewards: np.ndarray, solved: np.ndarray
) -> Iterator[EpisodeBuffer]:
    """An episode of T steps with the rewards of a task, cut after each step from where it is solved.

    Args:
        episode: its own rewards and ends are dropped.
        rewards: (T,), of its steps.
        solved: bool (T,), whether the task is solved at the observation that a step is taken from.

    Yields:
        Its pieces in order, T steps in all; each is terminated but the last, if its last step is from
        where the task is not solved: that one is truncated.
    """
    rewarded = dataclasses.replace(episode, rewards=np.asarray(rewards, np.float64))
    begin = 0
    for end in 1 + np.flatnonzero(solved):
        yield part(rewarded, begin, end, terminated=True)
        begin = end
    if begin < len(episode):
        yield part(rewarded, begin, len(episode), terminated=False)

"""Reference returns that give a score its meaning: 0 is random, 100 is expert.

The table beside this file holds D4RL's own values (Fu et al. 2020, https://arxiv.org/abs/2004.07219,
infos.py of the released code), by the full ids that these environments have in gymnasium and
gymnasium-robotics. They hold for an environment of that package, with arguments, a time limit and
wrappers that leave its rewards as they were. Mazes of points are missing on purpose:
gymnasium-robotics changed their goals and rewards, so D4RL's returns do not carry over.
"""

import csv
import functools
import importlib.resources
import inspect
import re
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator

from data import env_specs, environments
from data.types import DatasetError

# What an environment shows and how it is drawn, whatever it is.
_FREE = {
    'render_mode', 'width', 'height', 'camera_id', 'camera_name', 'default_camera_config', 'max_geom',
    'visual_options', 'exclude_current_positions_from_observation', 'reset_noise_scale',
}  # fmt: skip
# D4RL's kitchens have four tasks, whichever.
_KITCHEN_TASKS = 4


class _Row(NamedTuple):
    """D4RL's returns in environments.

    Attributes:
        ids: what their ids match.
        packages: that their entry points are of.
        steps: their time limit; None if returns do not depend on it.
        free: arguments that may have any value.
        scores: (random, expert) returns.
    """

    ids: re.Pattern
    packages: tuple[str, ...]
    steps: int | None
    free: set[str]
    scores: tuple[float, float]


@functools.cache
def _table() -> list[_Row]:
    text = importlib.resources.files('data').joinpath('reference_scores.csv').read_text()
    return [
        _Row(
            re.compile(row['ids']),
            tuple(f'{name}.' for name in row['packages'].split()),
            int(row['steps']) if row['steps'] else None,
            _FREE | set(row['free'].split()),
            (float(row['random']), float(row['expert'])),
        )
        for row in csv.DictReader(text.splitlines())
    ]


def table_scores(spec: EnvSpec) -> tuple[float, float] | None:
    """D4RL's (random, expert) returns for an environment such as gymnasium.spec('Hopper-v5').

    None if they are not tabled, or were not earned under such rewards.
    """
    for row in _table():
        if row.ids.fullmatch(spec.id):
            return row.scores if _as_tabled(spec, row) else None
    return None


def _as_tabled(spec: EnvSpec, row: _Row) -> bool:
    tasks = spec.kwargs.get('tasks_to_complete', ())
    return (
        f'{spec.entry_point}'.replace(':', '.').startswith(row.packages)
        and spec.max_episode_steps in (None, row.steps or spec.max_episode_steps)
        and env_specs.same_rewards(spec)
        and ('Kitchen' not in spec.id or len(set(tasks)) == _KITCHEN_TASKS)
        and all(
            name in row.free or _is_usual(spec, name, value) for name, value in spec.kwargs.items()
        )
    )


def _is_usual(spec: EnvSpec, name: str, value: Any) -> bool:
    """Whether an argument has the value that the installed environment has without it."""
    try:
        installed = environments.registered(spec.id)
        if name in installed.kwargs:
            return _plain(value) == _plain(installed.kwargs[name])
        made_by = load_env_creator(installed.entry_point)
    except (DatasetError, ImportError, gym.error.Error):
        return False
    parameter = inspect.signature(made_by).parameters.get(name)
    return parameter is not None and _plain(parameter.default) == _plain(value)


def _plain(value: Any) -> Any:
    """An argument as JSON would give it back."""
    return list(value) if isinstance(value, tuple) else value


def known(metadata: dict, spec: EnvSpec | None) -> tuple[float, float] | None:
    """(random, expert) returns of a dataset: from its own metadata, else from D4RL's table.

    None if neither has them, or if they are equal, so that there is no scale between them.
    """
    scores = metadata.get('ref_min_score'), metadata.get('ref_max_score')
    if None in scores:
        scores = table_scores(spec) if spec else None
    if scores is None or float(scores[0]) == float(scores[1]):
        return None
    return float(scores[0]), float(scores[1])


def normalized_score(returns, scores: tuple[float, float]) -> np.ndarray:
    """100 * (return - random) / (expert - random), elementwise."""
    random, expert = scores
    return 100.0 * (np.asarray(returns, np.float64) - random) / (expert - random)

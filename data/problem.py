"""What a policy faces: part of a dataset, kept with a run, so that its policies outlive the data."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box

from data import actions, columns, disk, env_specs, environments, frames, reference_scores
from data.actions import ActionMap
from data.columns import Columns
from data.types import Array, DatasetError, Sequence, Spec, Transition


class Preprocessing(NamedTuple):
    """The affine maps between what is recorded and what an algorithm sees.

    Attributes:
        observation_mean, observation_std: float32 (observation_size,).
        reward_scale, reward_shift: float32; the algorithm sees scale * reward + shift.
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

    def recorded_value(self, value: Array, discounted_steps: Array) -> Array:
        """A discounted sum of mapped rewards (...) as one of recorded rewards.

        Args:
            value: of mapped rewards.
            discounted_steps: the discounted number of steps that it is a sum of, (...).
        """
        return (value - self.reward_shift * discounted_steps) / self.reward_scale

    def transition(self, batch: Transition) -> Transition:
        """Maps the observations, of whatever kind it has, and the rewards of a batch."""
        observed = {
            name: self.observation(getattr(batch, name))
            for name in batch._fields
            if name.endswith('observation')
        }
        return batch._replace(**observed, reward=self.reward(batch.reward))

    def sequence(self, batch: Sequence) -> Sequence:
        """Maps the observations of a batch; returns-to-go stay what the environment gives."""
        return batch._replace(observation=self.observation(batch.observation))


def identity(observation_size: int) -> Preprocessing:
    """Leaves everything as it is recorded."""
    mean, std = np.zeros(observation_size, np.float32), np.ones(observation_size, np.float32)
    return Preprocessing(mean, std, np.float32(1), np.float32(0))


class Problem(NamedTuple):
    """Observations, actions and rewards of one task, and the environment that judges, if any.

    Attributes:
        name: the dataset's Minari id; the environment's id where there is no dataset.
        spec: the sizes that an algorithm sees.
        observation_keys: paths of the entries of a dict observation in the order in which they are
            concatenated; () if observations are plain arrays.
        action_map: between the environment's actions and an algorithm's.
        env_spec: the environment to evaluate in; None if none is named.
        scores: (random, expert) returns, 0 and 100 on the scale of scores; None if unknown.
        reference_lines: further returns to draw beside a learning curve, by name.
        preprocessing: of observations and rewards.
        delayed_rewards: whether an episode's reward is all paid at its end.
        columns: of the table that the log was ingested from; None if there was none.
        score_by_success: whether a score is the share of episodes that succeed, as the environment says
            of its steps (info['success']), in percent; `scores` say nothing then.
        goals: whether an observation is [state, goal], each half of its size.
    """

    name: str
    spec: Spec
    observation_keys: tuple[str, ...]
    action_map: ActionMap
    env_spec: EnvSpec | None
    scores: tuple[float, float] | None
    reference_lines: dict[str, float]
    preprocessing: Preprocessing
    delayed_rewards: bool = False
    columns: Columns | None = None
    score_by_success: bool = False
    goals: bool = False

    @property
    def lines(self) -> dict[str, float]:
        """Returns to hold others against: the reference lines, or else those that scores refer to."""
        return self.reference_lines or dict(zip(('random', 'expert'), self.scores or ()))

    def actions(self, actions: np.ndarray) -> np.ndarray:
        """An algorithm's actions (..., action_size), or (...) if discrete, in the log's own units.

        The labels of its table, (..., columns) if several made an action; else as the environment
        takes them, (..., *shape).
        """
        if self.columns and self.columns.labels:
            return np.array(self.columns.labels)[actions]
        return self.action_map.to_environment(actions)


def from_environment(env_id: str, max_episode_steps: int = 0) -> Problem:
    """An environment without a dataset, to learn in while acting.

    Args:
        env_id: gymnasium's.
        max_episode_steps: its time limit; 0 for that which it is registered with.

    Raises:
        DatasetError: it cannot be made here, its observations or actions are not plain vectors, or
            the actions are not bounded.
    """
    env_spec = environments.registered(env_id)
    if max_episode_steps:
        env_spec = dataclasses.replace(env_spec, max_episode_steps=max_episode_steps)
    observed, acted = environments.spaces(env_spec)
    frames.refuse(observed, f'environment {env_id}')
    if not (isinstance(observed, Box) and isinstance(acted, Box) and acted.is_bounded()):
        raise DatasetError(
            f'environment {env_id}: observations {observed} and actions {acted} are not '
            'supported online without a dataset; Box observations and bounded Box actions are.'
        )
    action_map = actions.from_space(acted, f'environment {env_id}')
    size = int(np.prod(observed.shape))
    return Problem(
        name=env_id,
        spec=Spec(size, action_map.size, action_map.discrete),
        observation_keys=(),
        action_map=action_map,
        env_spec=env_spec,
        scores=reference_scores.known({}, env_spec),
        reference_lines={},
        preprocessing=identity(size),
    )


def judged_in(problem: Problem, env_id: str = '', max_episode_steps: int = 0) -> Problem:
    """The same problem with another environment or time limit to evaluate in, and its tabled scores.

    Args:
        problem: of a dataset.
        env_id: of the environment; '' for the problem's own.
        max_episode_steps: its time limit; 0 for the one that it has.

    Raises:
        DatasetError: it is not registered.
    """
    env_spec = environments.registered(env_id) if env_id else problem.env_spec
    other = env_spec != problem.env_spec
    if env_spec is not None and max_episode_steps:
        other |= environments.time_limit(env_spec) not in (None, max_episode_steps)
        env_spec = dataclasses.replace(env_spec, max_episode_steps=max_episode_steps)
    problem = problem._replace(env_spec=env_spec)
    if not other:
        return problem
    return problem._replace(scores=reference_scores.known({}, env_spec), reference_lines={})


def towards_goals(problem: Problem) -> Problem:
    """The same problem for policies that are told where to go: their observations are [state, goal].

    In the environment that is the goal of one of its tasks (tasks.py), and the score is how many of
    them succeed.

    Raises:
        DatasetError: observations have several entries.
    """
    if problem.observation_keys:
        raise DatasetError(
            f'dataset {problem.name}: its observations have the entries '
            f'{", ".join(problem.observation_keys)}; goals are observations of one array.'
        )
    spec, maps, env_spec = problem.spec, problem.preprocessing, problem.env_spec
    wrappers = *env_spec.additional_wrappers, env_specs.GOALS
    return problem._replace(
        spec=spec._replace(observation_size=2 * spec.observation_size),
        env_spec=dataclasses.replace(env_spec, additional_wrappers=wrappers),
        scores=None,
        reference_lines={},
        preprocessing=maps._replace(
            observation_mean=np.tile(maps.observation_mean, 2),
            observation_std=np.tile(maps.observation_std, 2),
        ),
        score_by_success=True,
        goals=True,
    )


def save(problem: Problem, path: Path) -> None:
    """Writes a problem as JSON; the file appears whole or not at all."""
    fields = problem._asdict() | {
        'spec': problem.spec._asdict(),
        'action_map': problem.action_map.to_json(),
        'columns': problem.columns and problem.columns.to_json(),
        'env_spec': problem.env_spec and json.loads(problem.env_spec.to_json()),
        'preprocessing': {
            name: np.asarray(value).tolist()
            for name, value in problem.preprocessing._asdict().items()
        },
    }
    disk.write_text(path, json.dumps(fields, indent=2))


def load(path: Path) -> Problem:
    """Reads what `save` wrote.

    Raises:
        DatasetError: the file is missing, damaged or of another version.
    """
    if not path.exists():
        raise DatasetError(f'{path} is missing: without it nothing is known of what policies face.')
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{path} is damaged: it is no JSON ({error}).') from error
    if not isinstance(fields, dict):
        raise DatasetError(f'{path} is damaged: it holds no object.')
    # What it was written without was then as the defaults are.
    fields = Problem._field_defaults | fields
    if set(fields) != set(Problem._fields):
        raise DatasetError(
            f'{path} was written by another version of this code: it has '
            f'{", ".join(sorted(fields))} where {", ".join(sorted(Problem._fields))} are needed; train '
            'again in another directory.'
        )
    parsed = {}
    for name, value in fields.items():
        try:
            parsed[name] = _parsed(name, value, str(path))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise DatasetError(
                f'{path} is damaged: its {name} is not what was written ({error}).'
            ) from error
    task = Problem(**parsed)
    if {np.shape(each) for each in task.preprocessing[:2]} != {(task.spec.observation_size,)}:
        raise DatasetError(
            f'{path} is damaged: its preprocessing is not of the {task.spec.observation_size} features '
            'of its spec.'
        )
    return task


def _parsed(name: str, value: Any, owner: str) -> Any:
    """A field of a problem from JSON; raises what Python does if it is something else."""
    numbers = {'spec': int, 'scores': float, 'reference_lines': float}
    if name in numbers and value is not None:
        each = value if name == 'scores' else value.values()
        if not all(isinstance(number, int | numbers[name]) for number in each):
            raise ValueError(f'{value} are no numbers')
    match name:
        case 'name':
            return value + ''
        case 'spec':
            return Spec(**value)
        case 'action_map':
            return actions.from_json(value)
        case 'columns':
            return value and columns.from_json(value, owner)
        case 'env_spec':
            return value and env_specs.parse(value, f'{owner}, env_spec')
        case 'preprocessing':
            return Preprocessing(**{key: np.float32(each) for key, each in value.items()})
        case 'observation_keys':
            return tuple(value)
        case 'score_by_success' | 'goals':
            if not isinstance(value, bool):
                raise ValueError(f'{value} is neither true nor false')
        case 'scores':
            random, expert = value or (None, None)
            return value and (random, expert)
    return value

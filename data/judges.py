"""The environment that judges, held against the log that policies are learned from.

One comparison, for whoever trains (before anything is trained), evaluates or describes: spaces, actions,
time limit and wrappers. What would make an evaluation wrong or impossible is a fault; what may make it
mean something else than the log does is a doubt.
"""

import dataclasses
import json
from collections.abc import Iterator
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete
from minari.serialization import deserialize_space

from data import env_specs, environments
from data.actions import FAR, ActionMap
from data.loading import Dataset
from data.problem import Problem
from data.types import DatasetError

# Logged numbers may exceed bounds of another precision by rounding, and by no more.
_TOLERANCE = 1e-4
# Where more of the episodes than these are cut early, somebody else than the environment cut them.
_FEW_CUT = 0.1


class Findings(NamedTuple):
    """What a comparison found, a sentence without a full stop each.

    Attributes:
        faults: why the environment cannot judge.
        doubts: why what it says may not be what the log would lead to expect.
    """

    faults: list[str]
    doubts: list[str]


def check(problem: Problem, dataset: Dataset | None = None) -> list[str]:
    """The doubts about judging policies in a problem's environment.

    Args:
        problem: its name, spaces and environment.
        dataset: that policies are learned from, if it is at hand.

    Raises:
        DatasetError: the problem names no environment, or one that cannot judge.
    """
    if problem.env_spec is None:
        raise DatasetError(f'dataset {problem.name}: it names no environment to evaluate in.')
    faults, doubts = compare(problem, dataset)
    if faults:
        raise DatasetError(f'{faults[0]}.')
    return doubts


def compare(problem: Problem, dataset: Dataset | None = None) -> Findings:
    """Holds a problem's environment against its log, or against the problem alone."""
    spec = problem.env_spec
    try:
        json.dumps(dataclasses.asdict(spec))
        limit = environments.time_limit(spec)
        observed, acted = environments.spaces(spec)
    except DatasetError as error:
        return Findings([str(error)], [])
    except TypeError as error:
        return Findings([f'environment {spec.id}: its arguments cannot be kept as JSON ({error})'], [])
    faults = [
        f'dataset {problem.name}: its {what} are {ours}, those of environment {spec.id} are {theirs}; '
        f'{env_specs.WAYS_OUT}'
        for what, ours, theirs in (
            *_observation_faults(problem, observed, dataset),
            *_action_faults(problem.action_map, acted),
        )
    ]
    if dataset is not None:
        doubts = [_other_conditions(dataset), *_time_doubts(dataset, spec.id, limit)]
        if not faults:
            doubts += [
                _other_numbers(dataset, observed, spec.id),
                _out_of_bounds(dataset, observed, spec.id),
            ]
        return Findings(faults, [doubt for doubt in doubts if doubt])
    if limit is None:
        faults.append(
            f'environment {spec.id} has no time limit, and its episodes need not end; '
            'config.max_episode_steps gives it one'
        )
    return Findings(faults, [])


def limited(problem: Problem, dataset: Dataset) -> Problem:
    """A problem whose episodes end: after the log's longest, if nothing else limits them."""
    spec = problem.env_spec
    limit = environments.time_limit(spec) or int(dataset.episode_lengths.max())
    return problem._replace(env_spec=dataclasses.replace(spec, max_episode_steps=limit))


def comparable(dataset: Dataset) -> bool:
    """Whether returns of the log and of a policy in the environment that judges are on one scale."""
    return _other_conditions(dataset) is None


def _other_conditions(dataset: Dataset) -> str | None:
    if 'rewards' in dataset.metadata and dataset.problem.env_spec is not None:
        return (
            "its rewards were put in the place of the environment's: returns of the log and of a policy "
            'are not on one scale'
        )
    recorded, _ = env_specs.of_metadata(dataset.metadata, dataset.problem.name)
    judged = dataset.problem.env_spec
    if recorded is None:
        return None
    # Without a time limit, whoever recorded cut the episodes: _time_doubts looks at their lengths.
    same_time = judged is not None and recorded.max_episode_steps in (None, judged.max_episode_steps)
    if same_time and _conditions(recorded) == _conditions(judged):
        return None
    return (
        'recorded under other conditions than those of the evaluation (environment, its arguments, '
        'time limit or wrappers): returns of the log and of a policy are not on one scale'
    )


def _conditions(spec: EnvSpec) -> tuple:
    kwargs = {name: value for name, value in spec.kwargs.items() if name != 'render_mode'}
    return spec.id, kwargs, env_specs.effective(spec.additional_wrappers)


def _observation_faults(
    problem: Problem, observed: gym.Space, dataset: Dataset | None
) -> Iterator[tuple[str, str, str]]:
    theirs, size = _entries(observed), problem.spec.observation_size
    if not all(isinstance(space, Box) for space in theirs.values()):
        yield 'observations', f'{size} features', str(observed)
        return
    their_size = gym.spaces.flatdim(observed)
    if their_size != size:
        yield 'observations', f'{size} features', f'{their_size} features'
        return
    if set(theirs) != set(problem.observation_keys or ('',)):
        yield 'observations', _named(problem.observation_keys), _named(theirs)
        return
    for key, space in _declared(dataset).items():
        shapes = [tuple(size for size in each.shape if size != 1) for each in (space, theirs[key])]
        # A flat one has its numbers in the order of the other's rows.
        flat = min(map(len, shapes)) < 2 and np.prod(shapes[0]) == np.prod(shapes[1])
        if shapes[0] != shapes[1] and not flat:
            what = f'observations {key}'.strip()
            yield what, f'of shape {space.shape}', f'of shape {theirs[key].shape}'


def _declared(dataset: Dataset | None) -> dict[str, gym.Space]:
    """The entries of the observations that a dataset declares; none if there is no dataset."""
    text = dataset.metadata.get('observation_space') if dataset else None
    return _entries(deserialize_space(text)) if text else {}


def _entries(space: gym.Space, prefix: str = '') -> dict[str, gym.Space]:
    """The parts of an observation by their paths, in the order of flat.observation_keys."""
    if isinstance(space, gym.spaces.Dict):
        return {
            path: part
            for name in sorted(space.spaces)
            for path, part in _entries(space[name], f'{prefix}{name}/').items()
        }
    return {prefix.removesuffix('/'): space}


def _named(keys) -> str:
    return ', '.join(keys) if any(keys) else 'one array'


def _action_faults(ours: ActionMap, acted: gym.Space) -> Iterator[tuple[str, str, str]]:
    if isinstance(acted, Discrete):
        if (ours.start, ours.size) != (acted.start, acted.n):
            yield 'actions', str(ours), f'{acted.n} discrete ones from {acted.start}'
        return
    if ours.discrete or not isinstance(acted, Box) or acted.shape != ours.shape:
        yield 'actions', str(ours), str(acted)
        return
    measured = np.isin(np.arange(ours.size), ours.measured)
    # In float64, in which differences of whole numbers do not wrap around.
    for sign, mine, theirs in ((-1, ours.low, acted.low), (1, ours.high, acted.high)):
        mine, theirs = sign * np.float64(mine), sign * np.float64(theirs.reshape(-1))
        none = (theirs >= FAR * np.maximum(1, np.abs(mine))) | (measured & (theirs >= mine))
        if not np.all(none | np.isclose(mine, theirs, _TOLERANCE)):
            yield 'actions', str(ours), str(acted)
            return
    kinds = ours.dtype, acted.dtype
    if (kinds[0].kind == 'f') != (kinds[1].kind == 'f'):
        yield 'actions', *map(str, kinds)


def _time_doubts(dataset: Dataset, env_id: str, limit: int | None) -> Iterator[str]:
    lengths, last = dataset.episode_lengths, dataset.episode_offsets[1:] - 1
    terminated = np.asarray(dataset.transitions.discount[last]) == 0
    truncated = np.asarray(dataset.truncation[last])
    longest = int(lengths.max())
    if limit is None:
        yield (
            f'environment {env_id} has no time limit: episodes of evaluation end after {longest:,} '
            'steps, as the longest of the log (config.max_episode_steps sets another limit)'
        )
    elif longest > limit:
        yield (
            f'{np.sum(lengths > limit):,} of {len(lengths):,} episodes are longer than the time limit '
            f'of {env_id}, {limit:,} steps (up to {longest:,}): policies are judged in shorter ones'
        )
    cut = lengths[~terminated]
    if limit and len(cut) > _FEW_CUT * len(lengths) and cut.max() < limit:
        yield (
            f'{len(cut):,} of {len(lengths):,} episodes were cut, all of them before the time limit of '
            f'{env_id}, {limit:,} steps (after {cut.max():,} at most): policies are judged in '
            'longer ones'
        )
    # Episodes were cut by the time limit that they were recorded under, if another one is known.
    recorded, _ = env_specs.of_metadata(dataset.metadata, dataset.problem.name)
    limit = (recorded and recorded.max_episode_steps) or limit
    at_limit = lengths == (limit or longest)
    ended = at_limit & terminated
    many = ended.sum() > 1 and 2 * ended.sum() > (at_limit.sum() if limit else len(lengths))
    # A time limit says that it cut an episode, be it over or not; few are over at that very step.
    if many or (limit and np.any(ended & ~truncated)):
        yield (
            f'{ended.sum():,} of {len(lengths):,} episodes end in a termination after exactly '
            f'{limit or longest:,} steps, as many as the '
            f'{"time limit" if limit else "longest of the log"}: if that was the time limit, they are '
            'truncations, and their last steps have a value that a termination denies'
        )


def _other_numbers(dataset: Dataset, observed: gym.Space, env_id: str) -> str | None:
    theirs = _entries(observed)
    for key, space in _declared(dataset).items():
        if (space.dtype.kind == 'f') != (theirs[key].dtype.kind == 'f'):
            name = f'observations {key}'.strip()
            return f'{name} were recorded as {space.dtype}; those of {env_id} are {theirs[key].dtype}'
    return None


def _out_of_bounds(dataset: Dataset, observed: gym.Space, env_id: str) -> str | None:
    """Where logged observations are that the environment says it cannot make."""
    entries = _entries(observed).values()
    low, high = (
        np.concatenate([np.float64(getattr(each, side)).reshape(-1) for each in entries])
        for side in ('low', 'high')
    )
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        return None
    steps = dataset.transitions
    # The others are the next steps' observations.
    final = steps.next_observation[dataset.episode_offsets[1:] - 1]
    least = np.minimum(steps.observation.min(axis=0), final.min(axis=0))
    most = np.maximum(steps.observation.max(axis=0), final.max(axis=0))
    margins = (_TOLERANCE * np.maximum(1, np.abs(bound)) for bound in (low, high))
    outside = np.flatnonzero((least < low - next(margins)) | (most > high + next(margins)))
    if not len(outside):
        return None
    first = outside[0]
    return (
        f'logged observations leave the bounds of {env_id} in {len(outside)} of {len(low)} features: '
        f'feature {first} goes from {least[first]:g} to {most[first]:g}, there from {low[first]:g} to '
        f'{high[first]:g}'
    )

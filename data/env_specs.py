"""What a text says of a gymnasium environment: one parser, wherever the text comes from.

Datasets' metadata and runs' problem.json describe an environment as gymnasium's EnvSpec.to_json does.
The text may be a stranger's or an older gymnasium's. The wrappers that it names are made again from the
table here, never from the entry points that it names, and none is left out unsaid.
"""

import json
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from data.tasks import GoalObservation
from data.types import DatasetError

# What gymnasium 1 no longer has, and what follows from the id.
_DROPPED = {'autoreset', 'apply_api_compatibility', 'namespace', 'name', 'version'}

# Where Minari's metadata name the environment of the recording, and another one to judge in.
IN_METADATA = ('env_spec', 'eval_env_spec')
# For whoever cannot be judged where the log says.
WAYS_OUT = "config.env_id names another environment, config.evaluate_in='log' does without"


def _or_null(valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or valid(value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ''


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _object(value: Any) -> bool:
    return isinstance(value, dict)


_FIELDS = {
    'id': ('a text', _text),
    'entry_point': ('a text or null', _or_null(_text)),
    'reward_threshold': ('a number or null', _or_null(_number)),
    'nondeterministic': ('true or false', _flag),
    'max_episode_steps': ('a positive whole number or null', _or_null(_count)),
    'order_enforce': ('true or false', _flag),
    'disable_env_checker': ('true or false', _flag),
    'kwargs': ('an object', _object),
    'additional_wrappers': ('a list', lambda value: isinstance(value, list)),
    'vector_entry_point': ('a text or null', _or_null(_text)),
}
_WRAPPER_FIELDS = {
    'name': ('a text', _text),
    'entry_point': ('a text', _text),
    'kwargs': ('an object or null', _or_null(_object)),
}


def parse(text: str | dict[str, Any], owner: str) -> EnvSpec:
    """An EnvSpec of what EnvSpec.to_json wrote, in this or an older gymnasium.

    Args:
        text: JSON, or what it decodes to.
        owner: of the text, for the message.

    Raises:
        DatasetError: it is no JSON, lacks a field, or has unknown or ill-typed ones.
    """
    if isinstance(text, str):
        try:
            text = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f'{owner} is no JSON ({error}).') from error
    fields = _checked(text, _FIELDS, {'id'}, owner)
    wrappers = tuple(
        WrapperSpec(**_checked(each, _WRAPPER_FIELDS, set(_WRAPPER_FIELDS), f'{owner}, wrapper {i}'))
        for i, each in enumerate(fields.get('additional_wrappers', ()))
    )
    try:
        return EnvSpec(**fields | {'additional_wrappers': wrappers})
    except gym.error.Error as error:
        raise DatasetError(
            f'{owner}: id is {fields["id"]!r}; one such as namespace/Name-v0 is needed.'
        ) from error


def of_metadata(metadata: dict[str, Any], dataset_id: str) -> list[EnvSpec | None]:
    """The environments that a dataset was recorded in and is to be judged in, as far as it names them.

    Raises:
        DatasetError: as `parse`.
    """
    texts = [metadata.get(name) for name in IN_METADATA]
    return [
        None if text is None else parse(text, f'dataset {dataset_id}, {name}')
        for name, text in zip(IN_METADATA, texts)
    ]


def _checked(fields: Any, known: dict, needed: set[str], owner: str) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise DatasetError(f'{owner} is {reprlib.repr(fields)}; an object is needed.')
    fields = {name: value for name, value in fields.items() if name in known or name not in _DROPPED}
    if unknown := fields.keys() - known:
        raise DatasetError(
            f'{owner} has the unknown field {min(unknown)!r}; known ones: {", ".join(known)}.'
        )
    if missing := needed - fields.keys():
        raise DatasetError(f'{owner} lacks {" and ".join(sorted(missing))}.')
    for name, value in fields.items():
        meaning, valid = known[name]
        if not valid(value):
            raise DatasetError(f'{owner}: {name} is {reprlib.repr(value)}; {meaning} is needed.')
    return fields


# Ours, around an environment whose policies are told the goal.
GOALS = WrapperSpec(
    GoalObservation.__name__, f'{GoalObservation.__module__}:{GoalObservation.__name__}', {}
)

# Wrappers of gymnasium whose arguments are plain data, and which take one step for one step.
_REBUILT = {
    each.__name__: each
    for each in (
        gym.wrappers.ClipAction,
        gym.wrappers.ClipReward,
        gym.wrappers.DelayObservation,
        gym.wrappers.DiscretizeAction,
        gym.wrappers.DtypeObservation,
        gym.wrappers.FilterObservation,
        gym.wrappers.FlattenObservation,
        gym.wrappers.FrameStackObservation,
        gym.wrappers.RescaleAction,
        gym.wrappers.RescaleObservation,
        gym.wrappers.ReshapeObservation,
        gym.wrappers.StickyAction,
        gym.wrappers.TimeAwareObservation,
        gym.wrappers.TimeLimit,
    )
}
# Those that watch, draw, check or reset, and change nothing of what a policy faces; gymnasium's, and
# Minari's recorder.
_NEUTRAL = {
    'Autoreset', 'AutoResetWrapper', 'HumanRendering', 'OrderEnforcing', 'PassiveEnvChecker',
    'RecordEpisodeStatistics', 'RecordVideo', 'RenderCollection', 'DataCollector',
}  # fmt: skip
# Their numbers are made while they run, and no EnvSpec has them.
_RUNNING = ('NormalizeObservation', 'NormalizeReward')


def effective(wrappers: Iterable[WrapperSpec]) -> list[WrapperSpec]:
    """Those of an environment's wrappers that change what a policy faces, in their order."""
    return [
        each
        for each in wrappers
        if not (_class_of(each) in _NEUTRAL and _package_of(each) in ('gymnasium', 'minari'))
    ]


def same_rewards(spec: EnvSpec) -> bool:
    """Whether all wrappers of a spec are known to leave rewards as they are."""
    return all(
        _is_known(each) and _class_of(each) != 'ClipReward'
        for each in effective(spec.additional_wrappers)
    )


def wrap(env: gym.Env, wrappers: Iterable[WrapperSpec]) -> gym.Env:
    """An environment in those of the wrappers that a text names, the innermost first, that change it.

    Raises:
        DatasetError: one is not known, or refuses its arguments.
    """
    env_id = env.spec.id
    for each in effective(wrappers):
        if not _is_known(each):
            raise DatasetError(
                f'environment {env_id} is in the wrapper {each.entry_point}, which cannot be made '
                f'again{_why_not(each)}; {WAYS_OUT}'
            )
        arguments = {name: _plain(each, value) for name, value in (each.kwargs or {}).items()}
        try:
            made_by = GoalObservation if _is_ours(each) else _REBUILT[_class_of(each)]
            env = made_by(env, **arguments)
        except DatasetError:
            raise
        # The wrapper's own checks of its arguments, asserts among them.
        except Exception as error:
            raise DatasetError(
                f'environment {env_id}: its wrapper {_class_of(each)} does not accept '
                f'{reprlib.repr(each.kwargs)} ({type(error).__name__}: {error}); {WAYS_OUT}'
            ) from error
    return env


def _is_known(wrapper: WrapperSpec) -> bool:
    theirs = _package_of(wrapper) == 'gymnasium' and _class_of(wrapper) in _REBUILT
    return (_is_ours(wrapper) or theirs) and wrapper.kwargs is not None


def _is_ours(wrapper: WrapperSpec) -> bool:
    return wrapper.entry_point == GOALS.entry_point


def _package_of(wrapper: WrapperSpec) -> str:
    module = wrapper.entry_point.partition(':')[0]
    return 'gymnasium' if f'{module}.'.startswith('gymnasium.wrappers.') else module.partition('.')[0]


def _class_of(wrapper: WrapperSpec) -> str:
    return wrapper.entry_point.partition(':')[2]


def _why_not(wrapper: WrapperSpec) -> str:
    if _package_of(wrapper) == 'gymnasium' and _class_of(wrapper) in _RUNNING:
        return ' (the mean and variance that it had are not recorded)'
    return f' (of gymnasium, {", ".join(_REBUILT)} can)'


def _plain(wrapper: WrapperSpec, value: Any) -> Any:
    """An argument as it was before it was written as JSON, which has lists alone."""
    if not isinstance(value, list):
        return value
    if _class_of(wrapper).startswith('Rescale'):
        return np.asarray(value, np.float32)
    return tuple(value)

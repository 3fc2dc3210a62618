"""The environments that datasets come from: made by id, never from code that metadata names.

A dataset's metadata describes its environment as a gymnasium EnvSpec. That text may have been
downloaded, so only its id, keyword arguments, time limit and known wrappers (env_specs.py) are
believed: the entry point is the one that the installed package registered under the id, and the two
must agree.

This module also registers ICU-Sepsis as offline learning needs it (`SEPSIS_ID`), the grid of
recipes/crossroads.py, and the ant and mazes of recipes/ant_environments.py.
"""

import contextlib
import dataclasses
import functools
import importlib
import io
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec, WrapperSpec, get_env_id, parse_env_id

from data import env_specs
from data.types import DatasetError

SEPSIS_ID = 'OfflineRL/ICU-Sepsis-v0'
CROSSROADS_ID = 'OfflineRL/Crossroads-v0'
ANT_ID = 'OfflineRL/DirectionalAnt-v0'
ANT_MAZE_ID = 'OfflineRL/AntMaze-v0'

_INSTALL = "pip install -e '.[envs]'"

# OGBench makes its space of actions anew, and is told this, whenever it is asked for.
warnings.filterwarnings('ignore', "\\S+WARN: Box (low|high)'s precision lowered by casting", UserWarning)


def _import_quietly(module: str):
    """Imports a package without the notices on other packages that it prints to stderr."""
    with contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module(module)


def registered(env_id: str) -> EnvSpec:
    """What gymnasium knows of an id, ours or of our extra packages; a class is named as text would.

    Raises:
        DatasetError: it knows nothing.
    """
    for package in ('gymnasium_robotics', 'icu_sepsis', 'ogbench'):
        if env_id not in gym.registry:
            with contextlib.suppress(ImportError):
                gym.register_envs(_import_quietly(package))
    if env_id not in gym.registry:
        raise DatasetError(
            f'environment {env_id} is not registered with gymnasium'
            f'{_newest(env_id, "; its newest version is {}, which config.env_id takes")}; if a package '
            'of your own registers it, name that with --import=PACKAGE; if one of our extra packages '
            f'has it, install them with {_INSTALL}'
        )
    spec = gym.registry[env_id]
    made_by = spec.entry_point
    if callable(made_by):
        spec = dataclasses.replace(spec, entry_point=f'{made_by.__module__}:{made_by.__qualname__}')
    return spec


def time_limit(spec: EnvSpec) -> int | None:
    """The most steps of an episode: a spec's own, or else the registered one; None if there is none.

    Raises:
        DatasetError: the id is not registered.
    """
    return spec.max_episode_steps or registered(spec.id).max_episode_steps


def make(spec: EnvSpec, render_mode: str | None = None) -> gym.Env:
    """Makes the environment that a dataset's metadata describes, in its wrappers.

    Args:
        spec: id, entry point, keyword arguments, time limit and wrappers as the metadata records them;
            without a time limit the registered one holds.
        render_mode: as in gymnasium.make; replaces the one in the metadata.

    Raises:
        DatasetError: the id is not registered (its package is not installed), it is registered with
            another entry point, a wrapper is not known, or the environment cannot be made.
    """
    installed = registered(spec.id)
    if _is_gone(gym.registry[spec.id]):
        raise DatasetError(
            f'environment {spec.id} can no longer be made by the installed gymnasium; '
            f'{_newest(spec.id, "its newest version is {}; ")}{env_specs.WAYS_OUT}'
        )
    if installed.entry_point != spec.entry_point:
        raise DatasetError(
            f'environment {spec.id}: the metadata names the entry point {spec.entry_point}, but '
            f'the installed one is {installed.entry_point}; only the installed one may run, as '
            f'config.env_id={spec.id} does{_newest(spec.id, " (its newest version is {})")}'
        )
    kwargs = {name: value for name, value in spec.kwargs.items() if name != 'render_mode'}
    if render_mode is not None:
        kwargs['render_mode'] = render_mode
    try:
        _import_quietly(spec.entry_point.partition(':')[0])
        env = gym.make(
            spec.id, max_episode_steps=spec.max_episode_steps, disable_env_checker=True, **kwargs
        )
    except DatasetError:
        raise
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        newest = _newest(spec.id, '{}')
        way_out = f'install it with {_INSTALL}'
        # An older version that needs what nobody installs any more.
        if newest not in ('', spec.id):
            way_out = f'its newest version is {newest}; {env_specs.WAYS_OUT}'
        reason = ' '.join(map(str, error.args))
        raise DatasetError(
            f'environment {spec.id} needs a package that is missing ({reason}); {way_out}'
        ) from error
    except TypeError as error:
        raise DatasetError(f'environment {spec.id} does not accept {kwargs}: {error}') from error
    # A stranger's constructor.
    except Exception as error:
        reason = ' '.join(str(error).split())
        raise DatasetError(
            f'environment {spec.id} cannot be made with {kwargs} ({type(error).__name__}: {reason})'
        ) from error
    return env_specs.wrap(env, _further_wrappers(env, spec))


def spaces(spec: EnvSpec) -> tuple[gym.Space, gym.Space]:
    """Of observations and actions, in the environment that a spec describes.

    Raises:
        DatasetError: it cannot be made, has no spaces, or cannot be closed.
    """
    env = make(spec)
    try:
        found = env.observation_space, env.action_space
        env.close()
    # A stranger's code.
    except Exception as error:
        reason = ' '.join(str(error).split())
        raise DatasetError(f'environment {spec.id} fails ({type(error).__name__}: {reason})') from error
    return found


def _further_wrappers(env: gym.Env, spec: EnvSpec) -> tuple[WrapperSpec, ...]:
    """The wrappers of a spec that the installed package has not already put around its environment."""
    there = env.spec.additional_wrappers
    for theirs, ours in zip(spec.additional_wrappers, there):
        if theirs.entry_point != ours.entry_point:
            raise DatasetError(
                f'environment {spec.id}: the metadata names the wrapper {theirs.entry_point} where the '
                f'installed package has {ours.entry_point}'
            )
    return spec.additional_wrappers[len(there) :]


def _is_gone(installed: EnvSpec) -> bool:
    """Whether gymnasium keeps an id only to say that it is gone, by a function that raises."""
    made_by = installed.entry_point
    return (
        callable(made_by)
        and not isinstance(made_by, type)
        and made_by.__module__.partition('.')[0] == 'gymnasium'
    )


def _newest(env_id: str, style: str) -> str:
    """The newest version of an id that can be made, in a style; '' if there is none."""
    with contextlib.suppress(gym.error.Error):
        namespace, name, _ = parse_env_id(env_id)
        versions = [
            spec.version
            for spec in gym.registry.values()
            if (spec.namespace, spec.name) == (namespace, name) and spec.version and not _is_gone(spec)
        ]
        if versions:
            return style.format(get_env_id(namespace, name, max(versions)))
    return ''


@functools.cache
def sepsis_parameters():
    """The arrays of ICU-Sepsis's MDP (icu_sepsis.utils.io.MDPParameters), 200 MB, loaded once.

    Raises:
        DatasetError: icu-sepsis is not installed.
    """
    try:
        package = _import_quietly('icu_sepsis')
    except ImportError as error:
        raise DatasetError(
            f'environment {SEPSIS_ID} needs the package icu-sepsis; install it with {_INSTALL}'
        ) from error
    return package.utils.io.MDPParameters(Path(package.__file__).parent / 'envs' / 'assets')


class ICUSepsis(gym.Env):
    """ICU-Sepsis (Choudhary et al. 2024, https://arxiv.org/abs/2406.05646) for offline learning.

    The dynamics are the library's (Sepsis/ICU-Sepsis-v2). Three things differ from its defaults:

    - the observation is the 47 standardised features of the state (zeros in the terminal states)
      instead of the state's index, which stays in info['state'];
    - an action that the clinicians' records do not support ends the episode in death, instead of
      acting like an average of the supported ones, so that leaving the data has its real price;
    - all instances of a process share one copy of the dynamics.

    The reward is 1 when the patient survives, 0 elsewhere. Actions are 5 * fluids + vasopressors,
    each at one of 5 levels.
    """

    def __init__(self, render_mode: str | None = None):
        if render_mode is not None:
            raise DatasetError(f'environment {SEPSIS_ID} draws nothing: it has no render modes')
        parameters = sepsis_parameters()
        library = importlib.import_module('icu_sepsis')
        self._env = library.FlattenActionWrapper(
            library.ICUSepsisEnv(params=parameters, inadmissible_action_strategy='terminate')
        )
        self._features = parameters.state_cluster_centers.astype(np.float32)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, self._features.shape[1:])
        self.action_space = gym.spaces.Discrete(int(self._env.action_space.n))

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        state, _ = self._env.reset(seed=seed, options=options)
        return self._features[state], {'state': int(state)}

    def step(self, action):
        state, reward, terminated, truncated, _ = self._env.step(int(action))
        return self._features[state], float(reward), terminated, truncated, {'state': int(state)}


gym.register(SEPSIS_ID, entry_point='data.environments:ICUSepsis', max_episode_steps=500)
gym.register(CROSSROADS_ID, entry_point='data.recipes.crossroads:Crossroads', max_episode_steps=25)
gym.register(
    ANT_ID, entry_point='data.recipes.ant_environments:DirectionalAnt', max_episode_steps=1000
)
gym.register(
    ANT_MAZE_ID, entry_point='data.recipes.ant_environments:AntMaze', max_episode_steps=1000
)

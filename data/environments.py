"""The environments that datasets come from: made by id, never from code that metadata names.

A dataset's metadata describes its environment as a gymnasium EnvSpec. That text may have been
downloaded, so only its id, keyword arguments and time limit are believed: the entry point is the
one that the installed package registered under the id, and the two must agree.

This module also registers ICU-Sepsis as offline learning needs it (`SEPSIS_ID`), and the grid of
recipes/crossroads.py.
"""

import contextlib
import functools
import importlib
import io
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from data.types import DatasetError

SEPSIS_ID = 'OfflineRL/ICU-Sepsis-v0'
CROSSROADS_ID = 'OfflineRL/Crossroads-v0'

_INSTALL = "pip install -e '.[envs]'"


def _import_quietly(module: str):
    """Imports a package without the notices on other packages that it prints to stderr."""
    with contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module(module)


def registered(env_id: str) -> EnvSpec:
    """What gymnasium knows of an id, ours or of our extra packages.

    Raises:
        DatasetError: it knows nothing.
    """
    for package in ('gymnasium_robotics', 'icu_sepsis'):
        if env_id not in gym.registry:
            with contextlib.suppress(ImportError):
                gym.register_envs(_import_quietly(package))
    if env_id not in gym.registry:
        raise DatasetError(
            f'environment {env_id} is not registered with gymnasium; if a package of your own registers '
            f'it, name that with --import=PACKAGE; if one of our extra packages has it, install them '
            f'with {_INSTALL}'
        )
    return gym.registry[env_id]


def make(spec: EnvSpec, render_mode: str | None = None) -> gym.Env:
    """Makes the environment that a dataset's metadata describes.

    Args:
        spec: id, entry point, keyword arguments and time limit as the metadata records them.
            Wrappers listed in it are ignored; without a time limit the registered one holds.
        render_mode: as in gymnasium.make; replaces the one in the metadata.

    Raises:
        DatasetError: the id is not registered (its package is not installed), it is registered with
            another entry point, or the environment does not accept the keyword arguments.
    """
    installed = registered(spec.id)
    if installed.entry_point != spec.entry_point:
        raise DatasetError(
            f'environment {spec.id}: the metadata names the entry point {spec.entry_point}, but '
            f'the installed one is {installed.entry_point}; only the installed one may run'
        )
    kwargs = {name: value for name, value in spec.kwargs.items() if name != 'render_mode'}
    if render_mode is not None:
        kwargs['render_mode'] = render_mode
    try:
        return gym.make(
            spec.id, max_episode_steps=spec.max_episode_steps, disable_env_checker=True, **kwargs
        )
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise DatasetError(
            f'environment {spec.id} needs a package that is missing ({error}); install it with '
            f'{_INSTALL}'
        ) from error
    except TypeError as error:
        raise DatasetError(f'environment {spec.id} does not accept {kwargs}: {error}') from error


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

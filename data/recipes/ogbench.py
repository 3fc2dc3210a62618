"""OGBench's manipulation play data: a robot arm that does one thing after another, by scripted experts.

The protocol is OGBench's (Park et al. 2024, https://arxiv.org/abs/2410.20092), with the environments and
the experts of its package. In an episode of 1,000 steps the environment names one target after another
(a cube to move, a button to press, a drawer or a window to slide), at random; an expert plans a way to
it, and the plan, not the action, has noise that is correlated over time. Targets know nothing of the
tasks that policies are judged in. In cube-double, cubes are stacked with a probability that is drawn for
each episode, from 0 to 0.25; an episode of scene in which the cube leaves the table, where images would
not show it, is collected anew.

No task, no reward: all rewards are 0 and no episode terminates. It is for goal-conditioned learning, or
for the rewards of a task (single_tasks.py). The experts have no density, so there are no
log-probabilities: infos have `oracle_action` (T, 5), what the plan without noise would do there, beside
`qpos` and `qvel` (T + 1, ...) and, where there are buttons, `button_states` (T + 1, buttons).
"""

import functools
import importlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer

from data import environments, seeding
from data.recipes import parallel, single_tasks
from data.recipes.recipe import Recipe, Recording

EPISODE_STEPS = 1_000

# Of the plans: OGBench's for this kind of data.
_NOISE = {'noise': 0.1, 'noise_smoothing': 0.5}
# Processes take some seconds to start, in which one takes a thousand steps.
_STEPS_WORTH_PROCESSES = 5_000
# Where a cube may be in scene: y on the table, and z in the drawer left of it.
_RIGHT, _LEFT, _IN_DRAWER = 0.29, -0.3, (0.06, 0.08)
# Of the cube in qpos, after the arm's joints.
_CUBE = slice(14, 17)


class _World(NamedTuple):
    """An environment and who acts in it.

    Attributes:
        kind: of the environment's class, and the module that it is in.
        targets: that it names, each with an expert of its own.
        most_stacked: the largest probability of stacking a cube.
    """

    kind: str
    targets: tuple[str, ...]
    most_stacked: float = 0.0


_WORLDS = {
    'cube-single': _World('cube', ('cube',)),
    'cube-double': _World('cube', ('cube',), most_stacked=0.25),
    'scene': _World('scene', ('cube', 'button', 'drawer', 'window')),
    'puzzle-3x3': _World('puzzle', ('button',)),
}


class _Expert:
    """An expert of OGBench's, and beside it the same one without noise."""

    def __init__(self, env: gym.Env, target: str, **options: Any):
        module = importlib.import_module(f'ogbench.manipspace.oracles.plan.{target}_plan')
        plans = getattr(module, f'{target.capitalize()}PlanOracle')
        self._noisy = plans(env=env, **_NOISE, **options)
        self._quiet = plans(env=env, noise=0.0, **options)

    def plan(self, observation: np.ndarray, info: dict, seed: int) -> None:
        """Plans a way to the target: the same with noise and without, as noise is what is drawn last."""
        for plans in (self._noisy, self._quiet):
            # OGBench draws from NumPy's global generator.
            np.random.seed(seed)  # noqa: NPY002
            plans.reset(observation, info)

    def act(self, observation: np.ndarray, info: dict) -> tuple[np.ndarray, np.ndarray]:
        """The action, and what it would be without noise, each (5,)."""
        action, quiet = (
            plans.select_action(observation, info).astype(np.float32)
            for plans in (self._noisy, self._quiet)
        )
        return action, quiet

    @property
    def done(self) -> bool:
        """Whether the plan is at its end."""
        return self._noisy.done


@functools.cache
def _made(name: str) -> tuple[gym.Env, dict[str, _Expert]]:
    """An environment of a world, and its experts by target."""
    env, world = environments.make(_collected_in(name)), _WORLDS[name]
    closed = {'gripper_always_closed': True} if world.kind == 'puzzle' else {}
    return env, {target: _Expert(env, target, **closed) for target in world.targets}


def _episodes(env: gym.Env, size: int, seed: int, name: str) -> Iterator[EpisodeBuffer]:
    block = functools.partial(_block, name, seed, min(size, EPISODE_STEPS))
    with parallel.processes(size >= _STEPS_WORTH_PROCESSES) as pool:
        yield from parallel.first_steps(pool, block, size)


def _block(name: str, seed: int, steps: int, index: int) -> list[EpisodeBuffer]:
    """One episode, of so many steps, which seed and index determine."""
    attempts = (
        _episode(name, np.random.SeedSequence((seed, index, attempt)), steps)
        for attempt in itertools.count()
    )
    return [next(each for each in attempts if name != 'scene' or _in_sight(each.infos['qpos']))]


def _in_sight(qpos: np.ndarray) -> bool:
    """Whether the cube of scene, by qpos (T + 1, ...), is always on the table or in the drawer."""
    _, y, z = qpos[:, _CUBE].T
    low, high = _IN_DRAWER
    beside = (y <= _LEFT) & ((z < low) | (z > high))
    return not np.any((y >= _RIGHT) | beside)


def _episode(name: str, sequence: np.random.SeedSequence, steps: int) -> EpisodeBuffer:
    env, experts = _made(name)
    rng = np.random.default_rng(sequence.spawn(1)[0])
    stacked = rng.uniform(0.0, _WORLDS[name].most_stacked)
    with seeding.numpys_generator():
        observation, info = env.reset(seed=int(sequence.generate_state(1)[0]))
        recording = Recording(observation, _kept(info))
        expert = _planned(experts, observation, info, rng)
        while len(recording) < steps:
            action, quiet = expert.act(recording.observation, info)
            observation, _, terminated, truncated, info = env.step(action)
            outcome = observation, 0.0, terminated, truncated, info
            recording.add(action, {'oracle_action': quiet}, outcome, _kept(info))
            if expert.done:
                target = env.unwrapped.set_new_target(p_stack=stacked)
                expert = _planned(experts, *target, rng)
    return recording.episode()


def _planned(
    experts: dict[str, _Expert], observation: np.ndarray, info: dict, rng: np.random.Generator
) -> _Expert:
    """The expert for the target that the environment names, with a plan."""
    expert = experts[info['privileged/target_task']]
    expert.plan(observation, info, int(rng.integers(2**32)))
    return expert


def _kept(info: dict) -> dict[str, np.ndarray]:
    return {name: info[name] for name in ('qpos', 'qvel', 'button_states') if name in info}


def _spec(name: str, env_id: str, **more: Any) -> EnvSpec:
    kind = _WORLDS[name].kind
    entry_point = f'ogbench.manipspace.envs.{kind}_env:{kind.capitalize()}Env'
    return EnvSpec(env_id, entry_point=entry_point, **more)


def _collected_in(name: str) -> EnvSpec:
    return _spec(
        name,
        f'{name}-v0',
        max_episode_steps=EPISODE_STEPS,
        kwargs={'mode': 'data_collection', 'terminate_at_goal': False},
    )


def _recipe(name: str) -> Recipe:
    return Recipe(
        dataset_id=f'local/ogbench/{name}-play-v0',
        description=f"OGBench's {name}: an arm that does one thing after another, no rewards",
        size=1_000_000,
        unit='steps',
        env_spec=_collected_in(name),
        eval_env_spec=_spec(name, f'{name}-v0'),
        algorithm_name="OGBench's plans, with correlated noise",
        requirements=('ogbench>=1.2',),
        references=lambda: {'score_by_success': True},
        episodes=functools.partial(_episodes, name=name),
    )


def _with_tasks(name: str) -> tuple[Recipe, ...]:
    play = _recipe(name)
    return play, *single_tasks.recipes(play, lambda env_id: _spec(name, env_id), name)


RECIPES = tuple(recipe for name in _WORLDS for recipe in _with_tasks(name))

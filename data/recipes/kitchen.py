"""D4RL's kitchen: an arm that has four things to do there, and data of a script that does them and more.

The tasks are D4RL's (Fu et al. 2020, https://arxiv.org/abs/2004.07219; Gupta et al. 2019,
https://arxiv.org/abs/1910.11956), in gymnasium-robotics' kitchen: each of four sub-tasks is worth 1 when
it is done, and all of them end the episode. D4RL's demonstrations are by people; these are by a script
(chores.py), with noise on its actions, and like those do four sub-tasks each, of the kitchen's seven:

    complete   those that count, in their order
    partial    any four in random order, which now and then are those that count
    mixed      any four in random order, except those that count: nobody shows the whole task

(The hinge cabinet, whose open door is in the way of others, comes last wherever it comes.)

An episode is truncated when the arm is through with its four, or after 280 steps. The script has no
density, so there are no log-probabilities: infos have `intention` (T, 9), its actions before noise is
added and they are clipped to [-1, 1], beside `qpos` and `qvel` (T + 1, ...).
"""

import functools
import itertools
from collections.abc import Iterator

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer

from data import environments
from data.recipes import parallel
from data.recipes.chores import CHORES, Arm, intentions
from data.recipes.recipe import Recipe, Recording

# Standard deviation of what is added to actions.
_NOISE = 0.1
# Processes take some seconds to start, in which one takes some thousand steps.
_STEPS_WORTH_PROCESSES = 5_000
_TASKS = {
    'complete': ('microwave', 'kettle', 'light switch', 'slide cabinet'),
    'partial': ('microwave', 'kettle', 'light switch', 'slide cabinet'),
    'mixed': ('microwave', 'kettle', 'bottom burner', 'light switch'),
}
# About those of D4RL.
_SIZES = {'complete': 4_000, 'partial': 137_000, 'mixed': 137_000}
_DONE = {
    'complete': 'the four things that count',
    'partial': 'any four things, sometimes those that count',
    'mixed': 'any four things, but not those that count',
}


def _order(name: str, rng: np.random.Generator) -> list[str]:
    """What the arm does in an episode."""
    four = _TASKS[name]
    if name == 'complete':
        return list(four)
    draws = (rng.choice(list(CHORES), len(four), replace=False).tolist() for _ in itertools.count())
    order = next(each for each in draws if name != 'mixed' or set(each) != set(four))
    return sorted(order, key=lambda each: each == 'hinge cabinet')


@functools.cache
def _made(name: str) -> tuple[gym.Env, Arm]:
    env = environments.make(_spec(name))
    return env, Arm(env)


def _episodes(env: gym.Env, size: int, seed: int, name: str) -> Iterator[EpisodeBuffer]:
    block = functools.partial(_block, name, seed)
    with parallel.processes(size >= _STEPS_WORTH_PROCESSES) as pool:
        yield from parallel.first_steps(pool, block, size)


def _block(name: str, seed: int, index: int) -> list[EpisodeBuffer]:
    """One episode, which seed and index determine."""
    attempts = (
        _episode(name, np.random.SeedSequence((seed, index, attempt))) for attempt in itertools.count()
    )
    # What an arm did not set out to do may be done by chance.
    return [next(each for each in attempts if name != 'mixed' or not each.terminations.any())]


def _episode(name: str, sequence: np.random.SeedSequence) -> EpisodeBuffer:
    env, arm = _made(name)
    rng = np.random.default_rng(sequence.spawn(1)[0])
    observation, _ = env.reset(seed=int(sequence.generate_state(1)[0]))
    recording = Recording(observation, _kept(env))
    for intention in intentions(arm, _order(name, rng)):
        action = np.clip(intention + _NOISE * rng.standard_normal(intention.shape), -1.0, 1.0)
        outcome = env.step(action)
        recording.add(action, {'intention': intention}, outcome, _kept(env))
        if not recording.running:
            break
    return recording.episode()


def _kept(env: gym.Env) -> dict[str, np.ndarray]:
    data = env.unwrapped.data
    return {'qpos': data.qpos.copy(), 'qvel': data.qvel.copy()}


def _spec(name: str) -> EnvSpec:
    return EnvSpec(
        'FrankaKitchen-v1',
        entry_point='gymnasium_robotics.envs.franka_kitchen:KitchenEnv',
        max_episode_steps=280,
        kwargs={'tasks_to_complete': list(_TASKS[name])},
    )


def _references() -> dict[str, float]:
    return {'ref_min_score': 0.0, 'ref_max_score': 4.0}


def _recipe(name: str) -> Recipe:
    return Recipe(
        dataset_id=f'local/kitchen/{name}-v0',
        description=f'A scripted arm that does {_DONE[name]}, in a kitchen, with action noise',
        size=_SIZES[name],
        unit='steps',
        env_spec=_spec(name),
        eval_env_spec=_spec(name),
        algorithm_name='a script that moves the hand, with action noise',
        requirements=('gymnasium-robotics>=1.4', 'mujoco<3.9'),
        references=_references,
        episodes=functools.partial(_episodes, name=name),
    )


RECIPES = tuple(map(_recipe, _TASKS))

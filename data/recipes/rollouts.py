"""Episodes of stochastic policies in MuJoCo environments, many at a time.

Episodes are independent: episode e starts from a seed, and draws its actions with noise, that the
dataset's seed and e determine. They come in blocks (parallel.py), whose environments take their steps
together with one call of the policy. The time that an episode takes does not change what is collected.
"""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import jax
import numpy as np
from minari.data_collector import EpisodeBuffer

from data import environments
from data.recipes import parallel
from data.recipes.recipe import Recording
from networks.policies import TanhGaussianPolicy

# A constant, so that results are the same on every machine.
_LANES = 16
# Processes take seconds to start.
_STEPS_WORTH_PROCESSES = 20_000

# Flax parameters of a TanhGaussianPolicy; None: uniformly random actions.
Parameters = Mapping[str, Any] | None


def episodes(
    env_id: str, parts: Sequence[tuple[Parameters, int]], seed: int
) -> Iterator[EpisodeBuffer]:
    """Episodes of one policy after another, with what off-policy evaluation needs in their infos.

    infos: `log_prob` (T,), the log-density of each action in [-1, 1]; `qpos` and `qvel`
    (T + 1, ...), the simulator's state at each observation.

    Args:
        env_id: a MuJoCo environment whose actions lie in [-1, 1].
        parts: policies, each with its number of steps; its last episode is truncated there.
        seed: determines the episodes.
    """
    total = sum(num_steps for _, num_steps in parts)
    with parallel.processes(total >= _STEPS_WORTH_PROCESSES) as pool:
        for index, (parameters, num_steps) in enumerate(parts):
            block = functools.partial(_block, env_id, parameters, (seed, index))
            yield from parallel.first_steps(pool, block, num_steps)


def _block(
    env_id: str, parameters: Parameters, seed: tuple[int, ...], index: int
) -> list[EpisodeBuffer]:
    """One episode in each of the lanes."""
    envs = _environments(env_id, _LANES)
    sequences = np.random.SeedSequence((*seed, index)).spawn(len(envs))
    lanes = [_Lane(env, sequence) for env, sequence in zip(envs, sequences)]
    act = _uniform if parameters is None else functools.partial(_act, network(parameters), parameters)
    # Small products are fastest on the CPU, wherever jax would do them.
    with jax.default_device(jax.local_devices(backend='cpu')[0]):
        while any(lane.recording.running for lane in lanes):
            noise = np.stack([lane.noise(uniform=parameters is None) for lane in lanes])
            observations = np.stack([lane.recording.observation for lane in lanes])
            actions, log_probs = map(np.asarray, act(observations.astype(np.float32), noise))
            for lane, action, log_prob in zip(lanes, actions, log_probs):
                if lane.recording.running:
                    lane.step(action, log_prob)
    return [lane.recording.episode() for lane in lanes]


class _Lane:
    """An environment, and the episode that is recorded in it."""

    def __init__(self, env: gym.Env, sequence: np.random.SeedSequence):
        self._env = env
        self._rng = np.random.default_rng(sequence.spawn(1)[0])
        observation, _ = env.reset(seed=int(sequence.generate_state(1)[0]))
        self.recording = Recording(observation, self._state())

    def noise(self, uniform: bool) -> np.ndarray:
        shape = self._env.action_space.shape
        noise = self._rng.uniform(-1, 1, shape) if uniform else self._rng.standard_normal(shape)
        return noise.astype(np.float32)

    def step(self, action: np.ndarray, log_prob: np.ndarray) -> None:
        outcome = self._env.step(action)
        self.recording.add(action, {'log_prob': log_prob}, outcome, self._state())

    def _state(self) -> dict[str, np.ndarray]:
        data = self._env.unwrapped.data
        return {'qpos': data.qpos.copy(), 'qvel': data.qvel.copy()}


@functools.cache
def _environments(env_id: str, number: int) -> list[gym.Env]:
    spec = environments.registered(env_id)
    return [environments.make(spec) for _ in range(number)]


def network(parameters: Mapping[str, Any]) -> TanhGaussianPolicy:
    """The network that parameters belong to, whose sizes they tell."""
    layers = parameters['params']['MLP_0']
    sizes = [layers[f'Linear_{i}']['Dense_0']['bias'].size for i in range(len(layers))]
    return TanhGaussianPolicy(tuple(sizes[:-1]), sizes[-1] // 2)


@functools.partial(jax.jit, static_argnums=0)
def _act(module: TanhGaussianPolicy, parameters, observations, noise):
    return module.apply(parameters, observations).transform_and_log_prob(noise)


def _uniform(observations: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_prob = -math.log(2.0) * noise.shape[-1]
    return noise, np.full(len(noise), log_prob, np.float32)

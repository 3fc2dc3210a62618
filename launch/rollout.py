"""Evaluation: the policies of all members at once in real environments.

Each member has a few *lanes*, environments that run its episodes one after another. Episode e of a
member starts from a seed that the member's own seed and e determine, so what a member earns does not
depend on who else is in the run. All lanes take their step at the same time: one call of the compiled
policies for all members, then the environments, shared out over worker processes.
"""

import multiprocessing
import os
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data import environments
from data.flat import flatten_observation
from launch.learners import Learners
from launch.problem import Problem

# A constant, not a share of the cores, so that results are the same on every machine.
_LANES_PER_MEMBER = 20
# A process takes seconds to start.
_LANES_WORTH_A_PROCESS = 8


class Episodes(NamedTuple):
    """Finished episodes.

    Attributes:
        returns: undiscounted, float64 (members, episodes); NaN for members not evaluated.
        discounted: the returns that the critics estimate: discounted, of preprocessed rewards,
            float64 (members, episodes); NaN for members not evaluated.
        lengths: steps, int64 (members, episodes).
        initial_observations: float32 (members, episodes, observation_size).
    """

    returns: np.ndarray
    discounted: np.ndarray
    lengths: np.ndarray
    initial_observations: np.ndarray


class _LaneGroup:
    """Environments stepped one after another in one process."""

    def __init__(self, problem: Problem, num_lanes: int):
        self._problem = problem
        self._envs = [environments.make(problem.env_spec) for _ in range(num_lanes)]

    def advance(self, actions: np.ndarray, seeds: list[int | None], active: np.ndarray):
        """Each lane resets if it has a seed, else steps if it is active, else does nothing.

        Returns:
            observations (lanes, observation_size), rewards (lanes,), done (lanes,).
        """
        size = self._problem.spec.observation_size
        observations = np.zeros((len(self._envs), size), np.float32)
        rewards = np.zeros(len(self._envs))
        done = np.zeros(len(self._envs), bool)
        for lane, env in enumerate(self._envs):
            if seeds[lane] is not None:
                observation, _ = env.reset(seed=seeds[lane])
            elif active[lane]:
                action = to_environment(actions[lane], self._problem, env.action_space.shape)
                observation, rewards[lane], terminated, truncated, _ = env.step(action)
                done[lane] = terminated or truncated
            else:
                continue
            observations[lane] = flatten_observation(
                observation, self._problem.observation_keys, 1
            )
        return observations, rewards, done


def to_environment(action: np.ndarray, problem: Problem, shape: tuple[int, ...]):
    """Maps an algorithm's action to the environment's own bounds or indices."""
    if problem.spec.discrete:
        return int(action) + problem.action_start
    low, high = problem.action_low, problem.action_high
    return (low + (np.clip(action, -1, 1) + 1) / 2 * (high - low)).reshape(shape)


def _work(connection: Connection, problem: Problem, num_lanes: int) -> None:
    group = _LaneGroup(problem, num_lanes)
    try:
        while (request := connection.recv()) is not None:
            connection.send(group.advance(*request))
    except EOFError:
        # The parent is gone.
        return


class Environments:
    """The lanes of a run; close() or a `with` block ends their processes."""

    def __init__(self, problem: Problem, num_members: int, num_episodes: int):
        """Args: the problem, the members to evaluate, and the most episodes asked for at once."""
        self.lanes_per_member = min(num_episodes, _LANES_PER_MEMBER)
        num_lanes = num_members * self.lanes_per_member
        num_workers = min(os.cpu_count() or 1, -(-num_lanes // _LANES_WORTH_A_PROCESS))
        self._shares = np.array_split(np.arange(num_lanes), num_workers)
        self._workers, self._connections = [], []
        if num_workers == 1:
            self._group = _LaneGroup(problem, num_lanes)
            return
        context = multiprocessing.get_context('spawn')
        for share in self._shares:
            connection, remote = context.Pipe()
            # numpy keeps the workers free of the parent's jax arrays and devices.
            worker = context.Process(
                target=_work,
                args=(remote, problem._replace(preprocessing=None), len(share)),
                daemon=True,
            )
            worker.start()
            remote.close()
            self._workers.append(worker)
            self._connections.append(connection)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Ends the worker processes."""
        for connection in self._connections:
            try:
                connection.send(None)
            except BrokenPipeError:
                continue
        for worker in self._workers:
            worker.join()

    def advance(self, actions: np.ndarray, seeds: list[int | None], active: np.ndarray):
        """_LaneGroup.advance over all lanes."""
        if not self._workers:
            return self._group.advance(actions, seeds, active)
        for connection, share in zip(self._connections, self._shares):
            begin, end = share[0], share[-1] + 1
            connection.send((actions[begin:end], seeds[begin:end], active[begin:end]))
        results = [connection.recv() for connection in self._connections]
        return tuple(np.concatenate(parts) for parts in zip(*results))


def evaluate(
    learners: Learners,
    states: Any,
    envs: Environments,
    problem: Problem,
    seeds: np.ndarray,
    evaluated: np.ndarray,
    num_episodes: int,
    stream: int = 0,
) -> Episodes:
    """Runs every member's policy for `num_episodes` episodes.

    Args:
        learners, states: the run.
        envs: lanes for len(seeds) members.
        problem: of the run.
        seeds: members' seeds, (members,).
        evaluated: bool (members,); the others are left out.
        num_episodes: per member.
        stream: numbers the evaluations whose episodes shall differ.
    """
    members, lanes = len(seeds), envs.lanes_per_member
    padding = len(learners.seeds) - members
    episode_seeds = np.stack(
        [np.random.SeedSequence((int(s), stream)).generate_state(num_episodes) for s in seeds]
    )
    returns = np.full((members, num_episodes), np.nan)
    discounted = np.full((members, num_episodes), np.nan)
    lengths = np.zeros((members, num_episodes), np.int64)
    initial = np.zeros((members, num_episodes, problem.spec.observation_size), np.float32)
    discounts = learners.discounts[:members]
    preprocessing = jax.tree.map(np.asarray, problem.preprocessing)
    # Lane l of a member runs its episodes l, l + lanes, l + 2 lanes, ...
    episode = np.tile(np.arange(lanes), (members, 1))
    active = evaluated[:, None] & (episode < num_episodes)
    starting = active.copy()
    returns[evaluated] = discounted[evaluated] = 0.0

    fresh_memory = memory = learners.init_memory(states, lanes)
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), stream))(learners.seeds)
    spec_shape = (members * lanes,)
    actions, rewards = np.zeros(spec_shape), np.zeros((members, lanes))
    step = 0
    while active.any():
        lane_seeds = [
            int(episode_seeds[m, episode[m, l]]) if starting[m, l] else None
            for m in range(members)
            for l in range(lanes)
        ]
        observations, rewards, done = envs.advance(actions, lane_seeds, active.reshape(-1))
        observations = observations.reshape(members, lanes, -1)
        rewards, done = rewards.reshape(members, lanes), done.reshape(members, lanes)

        m, l = np.nonzero(active & ~starting)
        returns[m, episode[m, l]] += rewards[m, l]
        if problem.delayed_rewards:
            rewards = np.zeros((members, lanes))
            rewards[m, l] = np.where(done[m, l], returns[m, episode[m, l]], 0.0)
        seen = preprocessing.reward(rewards)
        discounted[m, episode[m, l]] += discounts[m] ** lengths[m, episode[m, l]] * seen[m, l]
        lengths[m, episode[m, l]] += 1
        if starting.any():
            m, l = np.nonzero(starting)
            initial[m, episode[m, l]] = observations[m, l]
            memory = _where_lanes(pad(starting, padding), fresh_memory, memory)
        episode = np.where(done, episode + lanes, episode)
        starting = done & (episode < num_episodes)
        active &= episode < num_episodes

        step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
        actions, memory = learners.act(
            states,
            memory,
            jnp.asarray(pad(observations, padding)),
            jnp.asarray(pad(rewards, padding), jnp.float32),
            step_keys,
        )
        actions = np.asarray(actions)[:members]
        actions = actions.reshape(members * lanes, *actions.shape[2:])
        step += 1
    return Episodes(returns, discounted, lengths, initial)


def claimed_values(
    learners: Learners, states: Any, episodes: Episodes, evaluated: np.ndarray
) -> np.ndarray | None:
    """What each member's critic claims its policy will earn from the initial observations.

    Returns:
        The means over episodes, to be held against the means of `episodes.discounted`, float64
        (members,), NaN for members not evaluated; None if the algorithm has no critic.
    """
    if learners.claimed_value is None:
        return None
    padding = len(learners.seeds) - len(evaluated)
    observations = jnp.asarray(pad(episodes.initial_observations, padding))
    keys = jax.vmap(jax.random.key)(learners.seeds)
    claimed = np.asarray(learners.claimed_value(states, observations, keys), np.float64)
    return np.where(evaluated, claimed[: len(evaluated)].mean(axis=1), np.nan)


def pad(array: np.ndarray, padding: int) -> np.ndarray:
    """The array with its last row repeated for the members that fill the mesh."""
    return np.pad(array, [(0, padding)] + [(0, 0)] * (array.ndim - 1), 'edge')


@jax.jit
def _where_lanes(mask: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(
        lambda a, b: jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 2)), a, b), new, old
    )

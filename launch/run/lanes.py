"""Environments as algorithms see them, many of them stepped at a time, over several processes."""

import multiprocessing
import os
from multiprocessing.connection import Connection

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from data import environments, workers
from data.flat import flatten_observation
from data.problem import Problem

# A constant, not a share of the cores, so that results are the same on every machine.
LANES_PER_MEMBER = 20
# A process takes seconds to start.
_LANES_WORTH_A_PROCESS = 8


class Film:
    """The images of lanes' steps, in the order in which these are taken."""

    def __init__(self):
        self.frames: list[np.ndarray] = []
        self.frames_per_second = 30.0


class Lane:
    """One environment with flat observations, and actions in [-1, 1]^n or indices from 0."""

    def __init__(self, problem: Problem, film: Film | None = None):
        """Args: the problem, and what takes an image after every reset and step."""
        self._problem, self._film = problem, film
        self._env = environments.make(problem.env_spec, 'rgb_array' if film else None)
        if film:
            film.frames_per_second = self._env.metadata.get('render_fps', 30.0)

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Begins an episode; its first observation, float32 (observation_size,)."""
        return self._seen(self._env.reset(seed=seed)[0])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """Takes an action of an algorithm; observation, reward, terminated, truncated."""
        observation, reward, terminated, truncated, _ = self._env.step(
            self._problem.action_map.to_environment(action)
        )
        return self._seen(observation), reward, terminated, truncated

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()

    def _seen(self, observation) -> np.ndarray:
        if self._film:
            self._film.frames.append(self._env.render())
        # A copy: some environments write each observation into the same array.
        return flatten_observation(observation, self._problem.observation_keys, 1)[0].copy()


class _Group:
    """Lanes stepped one after another in one process, each made when it first begins an episode."""

    def __init__(self, problem: Problem, num_lanes: int, film: Film | None = None):
        self._problem, self._film = problem, film
        self._lanes: list[Lane | None] = [None] * num_lanes

    def advance(self, actions: np.ndarray, seeds: list[int | None], active: np.ndarray):
        """Each lane resets if it has a seed, else steps if it is active, else does nothing.

        Returns:
            observations (lanes, observation_size), rewards (lanes,), done (lanes,).
        """
        size = self._problem.spec.observation_size
        observations = np.zeros((len(self._lanes), size), np.float32)
        rewards = np.zeros(len(self._lanes))
        done = np.zeros(len(self._lanes), bool)
        for index, lane in enumerate(self._lanes):
            if seeds[index] is not None:
                lane = self._lanes[index] = lane or Lane(self._problem, self._film)
                observations[index] = lane.reset(seeds[index])
            elif active[index]:
                observations[index], rewards[index], *ends = lane.step(actions[index])
                done[index] = any(ends)
        return observations, rewards, done

    def close(self) -> None:
        """Closes the lanes."""
        for lane in filter(None, self._lanes):
            lane.close()


def _work(
    connection: Connection, problem: Problem, num_lanes: int, registered: EnvSpec
) -> None:
    # What a package of the user's own registered in the parent, this process has not imported.
    gym.registry.setdefault(registered.id, registered)
    group = _Group(problem, num_lanes)
    try:
        while (request := connection.recv()) is not None:
            connection.send(group.advance(*request))
    except (EOFError, ConnectionError):
        # The parent is gone, or no longer listens.
        return
    group.close()


class Lanes:
    """The lanes of a run's members, over worker processes, which close() or a `with` block ends."""

    def __init__(
        self, problem: Problem, num_members: int, num_episodes: int, film: Film | None = None
    ):
        """Args: the problem, the members to evaluate, and the most episodes asked for at once.

        With a film, all lanes are in this process.
        """
        self.problem = problem
        self.per_member = min(num_episodes, LANES_PER_MEMBER)
        num_lanes = num_members * self.per_member
        enough = -(-num_lanes // _LANES_WORTH_A_PROCESS)
        num_workers = 1 if film else min(os.cpu_count() or 1, enough)
        self._shares = np.array_split(np.arange(num_lanes), num_workers)
        self._workers, self._connections = [], []
        if num_workers == 1:
            self._group = _Group(problem, num_lanes, film)
            return
        registered = environments.registered(problem.env_spec.id)
        context = multiprocessing.get_context('spawn')
        for share in self._shares:
            connection, remote = context.Pipe()
            worker = context.Process(
                target=_work, args=(remote, problem, len(share), registered), daemon=True
            )
            with workers.undisturbed():
                worker.start()
            remote.close()
            self._workers.append(worker)
            self._connections.append(connection)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Closes the lanes and ends the worker processes."""
        if not self._workers:
            self._group.close()
        for connection in self._connections:
            try:
                connection.send(None)
            except BrokenPipeError:
                continue
        for worker in self._workers:
            worker.join()

    def advance(self, actions: np.ndarray, seeds: list[int | None], active: np.ndarray):
        """_Group.advance over all lanes."""
        if not self._workers:
            return self._group.advance(actions, seeds, active)
        for connection, share in zip(self._connections, self._shares):
            begin, end = share[0], share[-1] + 1
            connection.send((actions[begin:end], seeds[begin:end], active[begin:end]))
        results = [connection.recv() for connection in self._connections]
        return tuple(np.concatenate(parts) for parts in zip(*results))

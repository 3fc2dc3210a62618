"""Many environments stepped at a time, over several processes."""

import contextlib
import importlib
import multiprocessing
import pickle
import signal
from multiprocessing.connection import Connection, wait
from typing import NoReturn

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from data import environments, workers
from data.problem import Problem
from data.types import DatasetError
from launch.cli import UserError
from launch.run.lane import Film, Lane

# A constant, not a share of the cores, so that results are the same on every machine.
LANES_PER_MEMBER = 20
# A process takes seconds to start.
_LANES_WORTH_A_PROCESS = 8
# A worker that does not end by then is in a step that does not.
_SECONDS_TO_END = 5
# The seed and the number of the episode that begins in a lane; None where none does.
Begin = tuple[int, int] | None


class _Group:
    """Lanes stepped one after another in one process, each made when it first begins an episode."""

    def __init__(self, problem: Problem, num_lanes: int, film: Film | None = None):
        self._problem, self._film = problem, film
        self._lanes: list[Lane | None] = [None] * num_lanes

    def advance(self, actions: np.ndarray, begins: list[Begin], active: np.ndarray):
        """Each lane resets if an episode begins, else steps if it is active, else does nothing.

        Returns:
            observations (lanes, observation_size), rewards (lanes,), successes (lanes,) as a lane has
            them, done (lanes,).
        """
        size = self._problem.spec.observation_size
        observations = np.zeros((len(self._lanes), size), np.float32)
        rewards = np.zeros(len(self._lanes))
        successes = np.full(len(self._lanes), np.nan)
        done = np.zeros(len(self._lanes), bool)
        for index, lane in enumerate(self._lanes):
            if begins[index] is not None:
                lane = self._lanes[index] = lane or Lane(self._problem, self._film)
                observations[index] = lane.reset(*begins[index])
            elif active[index]:
                observations[index], rewards[index], *ends = lane.step(actions[index])
                successes[index], done[index] = lane.success, any(ends)
        return observations, rewards, successes, done

    def close(self) -> None:
        """Closes the lanes."""
        for lane in filter(None, self._lanes):
            lane.close()


def _work(
    connection: Connection, problem: Problem, num_lanes: int, registered: EnvSpec
) -> None:
    # Without a parent, a step that does not end would go on for ever.
    workers.end_with_parent()
    # What a package of the user's own registered in the parent, this process has not imported. The
    # module of the environment may register it as well; if it cannot be imported, its making says so.
    if registered.id not in gym.registry:
        with contextlib.suppress(ImportError):
            importlib.import_module(registered.entry_point.partition(':')[0])
    gym.registry.setdefault(registered.id, registered)
    group = _Group(problem, num_lanes)
    try:
        while (request := connection.recv()) is not None:
            try:
                connection.send(group.advance(*request))
            except (UserError, DatasetError) as error:
                connection.send(str(error))
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

        Raises:
            UserError: a worker process cannot be started.
        """
        self.problem = problem
        self.per_member = min(num_episodes, LANES_PER_MEMBER)
        num_lanes = num_members * self.per_member
        enough = -(-num_lanes // _LANES_WORTH_A_PROCESS)
        num_workers = 1 if film else min(workers.num_cores(), enough)
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
            self._connections.append(connection)
            try:
                with workers.undisturbed():
                    worker.start()
            # Pickle says that it cannot take an object by any of three errors.
            except (OSError, pickle.PicklingError, AttributeError, TypeError) as error:
                self.close()
                raise UserError(
                    f'environment {registered.id}: a worker process cannot be started for it '
                    f'({type(error).__name__}: {error}).'
                ) from error
            remote.close()
            self._workers.append(worker)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Closes the lanes and ends the worker processes, those too that no longer answer."""
        if not self._connections:
            self._group.close()
        for connection in self._connections:
            with contextlib.suppress(ConnectionError):
                connection.send(None)
            # Whoever still sends an answer is not kept waiting.
            connection.close()
        for worker in self._workers:
            worker.join(_SECONDS_TO_END)
            if worker.is_alive():
                worker.kill()
                worker.join()

    def send(self, actions: np.ndarray, begins: list[Begin], active: np.ndarray) -> None:
        """Has all lanes begin with what _Group.advance does; `receive` gives the results.

        Raises:
            UserError: a worker has died.
        """
        if not self._workers:
            self._request = actions, begins, active
            return
        try:
            for connection, share in zip(self._connections, self._shares):
                first, end = share[0], share[-1] + 1
                connection.send((actions[first:end], begins[first:end], active[first:end]))
        except ConnectionError:
            self._say_who_died()

    def ready(self) -> bool:
        """Whether `receive` has not to wait for a worker."""
        return all(connection.poll() for connection in self._connections)

    def receive(self):
        """The results of _Group.advance over all lanes.

        Raises:
            UserError: an environment fails, or returns what it should not, or a worker has died.
            DatasetError: an environment cannot be made.
        """
        if not self._workers:
            return self._group.advance(*self._request)
        try:
            results = [connection.recv() for connection in self._connections]
        except (EOFError, ConnectionError):
            self._say_who_died()
        for result in results:
            if isinstance(result, str):
                raise UserError(result)
        return tuple(np.concatenate(parts) for parts in zip(*results))

    def _say_who_died(self) -> NoReturn:
        ended = wait([worker.sentinel for worker in self._workers], _SECONDS_TO_END)
        codes = []
        for worker in self._workers:
            if worker.sentinel in ended:
                worker.join()
                codes.append(worker.exitcode)
        how = 'broke off'
        if codes:
            how = f'ended with exit code {codes[0]}'
        if codes and codes[0] < 0:
            how = f'was ended by signal {-codes[0]}, {signal.strsignal(-codes[0])}'
        if codes == [-signal.SIGKILL]:
            how += ' (as happens where memory runs out)'
        raise UserError(f'environment {self.problem.env_spec.id}: a process that steps it {how}.')

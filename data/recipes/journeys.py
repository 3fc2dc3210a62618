"""Journeys through mazes, by somebody who knows the way, from one destination to the next.

The protocol is that of D4RL's AntMaze and OGBench's `navigate` sets: the traveller makes for the next
cell on a shortest way, or for the destination once it is in the same cell; arrived, it draws another.
Noise is added to its actions. Journeys are independent, and come in blocks (parallel.py).
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer

from data import environments
from data.recipes import ants, parallel
from data.recipes.recipe import Recording
from data.recipes.waypoints import Cell, shortest_path

# A constant, so that results are the same on every machine.
_LANES = 16
# Processes take seconds to start.
_STEPS_WORTH_PROCESSES = 20_000


class Plan:
    """Which way to go in a maze.

    Attributes:
        cells: those that are free, in the order of rows.
        centres: of these, (cells, 2).
    """

    def __init__(self, maze_map: Sequence[Sequence], centre: Callable[[Cell], Sequence[float]]):
        """Args: rows of cells, 1 for walls, surrounded by walls; and where a cell's centre is."""
        self._maze_map = maze_map
        self.cells = [
            (row, column)
            for row, cells in enumerate(maze_map)
            for column, cell in enumerate(cells)
            if cell != 1
        ]
        self.centres = np.array([centre(cell) for cell in self.cells], np.float64)
        self._next: dict[tuple[int, int], int] = {}

    def cell(self, place: np.ndarray) -> int:
        """The index of the free cell that a place (2,) is in, or is nearest to."""
        return int(np.square(self.centres - place).sum(axis=1).argmin())

    def direction(self, place: np.ndarray, destination: np.ndarray) -> np.ndarray:
        """Where to go from a place, on the way to a destination: a unit vector (2,)."""
        here, there = self.cell(place), self.cell(destination)
        target = destination if here == there else self.centres[self._after(here, there)]
        way = target - place
        return way / max(math.hypot(*way), 1e-6)

    def _after(self, here: int, there: int) -> int:
        if (here, there) not in self._next:
            path = shortest_path(self._maze_map, self.cells[here], self.cells[there])
            self._next[here, there] = self.cells.index(path[0])
        return self._next[here, there]


class World(NamedTuple):
    """An environment to travel in.

    Attributes:
        env: whose simulator's first two positions are the traveller's place.
        plan: of its maze.
        begin: seed -> the first observation.
        destination: (rng, place) -> a destination (2,), for a traveller who is there.
        arrival: metres from the destination at which it is reached.
        noise: standard deviation of what is added to actions.
    """

    env: gym.Env
    plan: Plan
    begin: Callable[[int], Any]
    destination: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    arrival: float
    noise: float


def episodes(
    spec: EnvSpec,
    world: Callable[[gym.Env], World],
    parameters: Mapping[str, Any] | None,
    size: int,
    seed: int,
) -> Iterator[EpisodeBuffer]:
    """The first `size` steps of the journeys that a seed determines; the rest as for `block`."""
    collect = functools.partial(block, spec, world, parameters, seed)
    with parallel.processes(size >= _STEPS_WORTH_PROCESSES) as pool:
        yield from parallel.first_steps(pool, collect, size)


def block(
    spec: EnvSpec,
    world: Callable[[gym.Env], World],
    parameters: Mapping[str, Any] | None,
    seed: int,
    index: int,
) -> list[EpisodeBuffer]:
    """Episodes that the seed and the block's index determine, one in each of several environments.

    infos: `intention` (T, ...), the actions before noise is added and they are clipped to [-1, 1];
    `destination`, `qpos` and `qvel` (T + 1, ...), the simulator's state at each observation.

    Args:
        spec: the environment.
        world: what makes a world of it.
        parameters: of the ant's policy; None for a traveller whose action is its velocity.
        seed: of the dataset.
        index: of the block.
    """
    sequences = np.random.SeedSequence((seed, index)).spawn(_LANES)
    lanes = list(map(_Lane, _worlds(spec.to_json(), world), sequences))
    while any(lane.recording.running for lane in lanes):
        running = [lane for lane in lanes if lane.recording.running]
        if parameters is None:
            intentions = np.stack([lane.direction for lane in lanes])
        else:
            intentions = ants.intended(parameters, np.stack([lane.seen() for lane in lanes]))
        for lane, intention in zip(lanes, intentions):
            if lane in running:
                lane.step(intention)
    return [lane.recording.episode() for lane in lanes]


class _Lane:
    """A world, and the episode that is recorded in it."""

    def __init__(self, world: World, sequence: np.random.SeedSequence):
        self._world, self._data = world, world.env.unwrapped.data
        self._rng = np.random.default_rng(sequence.spawn(1)[0])
        observation = world.begin(int(sequence.generate_state(1)[0]))
        self._destination = world.destination(self._rng, self._place)
        self.recording = Recording(observation, self._kept())

    @property
    def _place(self) -> np.ndarray:
        return self._data.qpos[:2]

    @property
    def direction(self) -> np.ndarray:
        """In which it has to go."""
        return self._world.plan.direction(self._place, self._destination)

    def seen(self) -> np.ndarray:
        """What the ant's policy sees of it."""
        return ants.in_heading_frame(self._data.qpos, self._data.qvel, self.direction)

    def step(self, intention: np.ndarray) -> None:
        noise = self._world.noise * self._rng.standard_normal(intention.shape)
        action = np.clip(intention + noise, -1, 1).astype(np.float32)
        outcome = self._world.env.step(action)
        if math.dist(self._place, self._destination) <= self._world.arrival:
            self._destination = self._world.destination(self._rng, self._place)
        self.recording.add(action, {'intention': intention}, outcome, self._kept())

    def _kept(self) -> dict[str, np.ndarray]:
        return {
            'destination': self._destination,
            'qpos': self._data.qpos.copy(),
            'qvel': self._data.qvel.copy(),
        }


@functools.cache
def _worlds(spec: str, world: Callable[[gym.Env], World]) -> list[World]:
    found = EnvSpec.from_json(spec)
    return [world(environments.make(found)) for _ in range(_LANES)]

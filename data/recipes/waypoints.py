"""The controller that D4RL and Minari collected their point mazes with, in our own terms.

It plans a shortest path over the cells of the maze; a proportional-derivative law drives the ball
from the centre of one cell to the next. Gains and tolerance are theirs.
"""

import math
from collections import deque

import numpy as np

GAIN = 10.0
DAMPING = 1.0
TOLERANCE = 0.1
JITTER = 0.1
PLACE_NOISE = 0.25

Cell = tuple[int, int]


def shortest_path(maze_map: list[list], start: Cell, goal: Cell) -> list[Cell]:
    """The cells after `start` on a shortest path to `goal`, empty if they are the same."""
    came_from = {goal: goal}
    frontier = deque([goal])
    while start not in came_from:
        row, column = frontier.popleft()
        for cell in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if cell not in came_from and maze_map[cell[0]][cell[1]] != 1:
                came_from[cell] = (row, column)
                frontier.append(cell)
    path = []
    while start != goal:
        start = came_from[start]
        path.append(start)
    return path


class WaypointController:
    """Drives the ball of a PointMaze, in mazes with cells of size 1.

    Args:
        maze_map: rows of cells, 1 for walls, surrounded by walls.
        rng: if given, moves every waypoint but the last by up to JITTER in each direction.
    """

    def __init__(self, maze_map: list[list], rng: np.random.Generator | None = None):
        self._maze_map = maze_map
        self._rng = rng
        self._destination = None
        self._waypoints = deque()

    def random_place(self) -> np.ndarray:
        """A point (2,) up to PLACE_NOISE from the centre of a random cell, in each direction."""
        cells = [
            (row, column)
            for row, cells in enumerate(self._maze_map)
            for column, cell in enumerate(cells)
            if cell != 1
        ]
        centre = self._centre(cells[self._rng.integers(len(cells))])
        return centre + self._rng.uniform(-PLACE_NOISE, PLACE_NOISE, 2)

    def is_at(self, observation: dict[str, np.ndarray], place: np.ndarray) -> bool:
        """Whether the ball is within TOLERANCE of a place."""
        x, y = observation['achieved_goal'].tolist()
        return math.hypot(place[0] - x, place[1] - y) <= TOLERANCE

    def act(self, observation: dict[str, np.ndarray], destination: np.ndarray) -> np.ndarray:
        """The force (2,) that drives the ball on to a destination, not yet limited to [-1, 1]."""
        x, y, velocity_x, velocity_y = observation['observation'].tolist()
        destination = tuple(destination.tolist())
        if destination != self._destination or self._is_astray(x, y):
            self._destination = destination
            self._waypoints = self._plan((x, y), destination)
        target_x, target_y = self._waypoints[0]
        if len(self._waypoints) > 1 and math.hypot(target_x - x, target_y - y) <= TOLERANCE:
            self._waypoints.popleft()
            target_x, target_y = self._waypoints[0]
        return np.array(
            [
                GAIN * (target_x - x) - DAMPING * velocity_x,
                GAIN * (target_y - y) - DAMPING * velocity_y,
            ]
        )

    def _is_astray(self, x: float, y: float) -> bool:
        """Whether the next waypoint is not in the ball's cell or one beside it, as after a reset."""
        row, column = self._cell((x, y))
        next_row, next_column = self._cell(self._waypoints[0])
        return abs(row - next_row) + abs(column - next_column) > 1

    def _plan(self, start: tuple[float, float], end: tuple[float, float]) -> deque:
        path = shortest_path(self._maze_map, self._cell(start), self._cell(end))
        return deque([*(self._waypoint(cell) for cell in path[:-1]), end])

    def _cell(self, position: tuple[float, float]) -> Cell:
        x, y = position
        rows, columns = len(self._maze_map), len(self._maze_map[0])
        return math.floor(rows / 2 - y), math.floor(x + columns / 2)

    def _centre(self, cell: Cell) -> np.ndarray:
        row, column = cell
        rows, columns = len(self._maze_map), len(self._maze_map[0])
        return np.array([column + 0.5 - columns / 2, rows / 2 - row - 0.5])

    def _waypoint(self, cell: Cell) -> tuple[float, float]:
        jitter = 0.0 if self._rng is None else self._rng.uniform(-JITTER, JITTER, 2)
        return tuple(self._centre(cell) + jitter)

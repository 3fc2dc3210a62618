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
    """Drives the ball of a PointMaze to the goal it observes, in mazes with cells of size 1.

    Args:
        maze_map: rows of cells, 1 for walls, surrounded by walls.
        rng: if given, moves every waypoint but the goal by up to JITTER in each direction.
    """

    def __init__(self, maze_map: list[list], rng: np.random.Generator | None = None):
        self._maze_map = maze_map
        self._rng = rng
        self._goal = None
        self._waypoints = deque()

    def __call__(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """The force to apply, (2,), not yet limited to [-1, 1]."""
        x, y, velocity_x, velocity_y = observation['observation'].tolist()
        goal = tuple(observation['desired_goal'].tolist())
        if goal != self._goal:
            self._goal = goal
            self._waypoints = self._plan((x, y), goal)
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

    def _plan(self, position: tuple[float, float], goal: tuple[float, float]) -> deque:
        path = shortest_path(self._maze_map, self._cell(position), self._cell(goal))
        return deque([*(self._waypoint(cell) for cell in path[:-1]), goal])

    def _cell(self, position: tuple[float, float]) -> Cell:
        x, y = position
        rows, columns = len(self._maze_map), len(self._maze_map[0])
        return math.floor(rows / 2 - y), math.floor(x + columns / 2)

    def _waypoint(self, cell: Cell) -> tuple[float, float]:
        row, column = cell
        rows, columns = len(self._maze_map), len(self._maze_map[0])
        jitter_x, jitter_y = (0, 0) if self._rng is None else self._rng.uniform(-JITTER, JITTER, 2)
        return column + 0.5 - columns / 2 + jitter_x, rows / 2 - row - 0.5 + jitter_y

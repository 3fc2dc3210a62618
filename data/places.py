"""Where a maze's log has been."""

import re
from typing import NamedTuple

import numpy as np

from data import blocks
from data.loading import Dataset

# Environments of gymnasium-robotics, OGBench and ours whose observations begin with a place (x, y).
_MAZES = re.compile(r'(OfflineRL/AntMaze|PointMaze_|AntMaze_|pointmaze-|antmaze-|humanoidmaze-)')
_BINS = 100


class Places(NamedTuple):
    """Of a dataset of E episodes.

    Attributes:
        steps: from each square, (columns of x, rows of y).
        edges: of the squares, along x and along y.
        starts: places that episodes begin in, (E, 2).
        goals: places from which steps terminate, (terminated episodes, 2).
    """

    steps: np.ndarray
    edges: tuple[np.ndarray, np.ndarray]
    starts: np.ndarray
    goals: np.ndarray


def of(dataset: Dataset) -> Places | None:
    """Of a dataset that is judged in a maze; None of another."""
    spec = dataset.problem.env_spec
    if spec is None or not _MAZES.match(spec.id) or dataset.problem.spec.observation_size < 2:
        return None
    places, offsets = dataset.transitions.observation[:, :2], dataset.episode_offsets
    low, high = places.min(axis=0), places.max(axis=0)
    side = max(float((high - low).max()) / _BINS, 1e-6)
    counts = np.maximum(np.ceil((high - low) / side), 1).astype(int)
    edges = tuple(begin + side * np.arange(count + 1) for begin, count in zip(low, counts))
    steps = sum(
        np.histogram2d(*places[part].T, bins=edges)[0] for part in blocks.of_steps(len(places))
    )
    ends = offsets[1:] - 1
    terminated = dataset.transitions.discount[ends] == 0
    return Places(steps, edges, np.array(places[offsets[:-1]]), np.array(places[ends[terminated]]))

"""What is measured and copied of a log is the same in blocks of any size, and takes no more memory."""

import os
import tracemalloc

import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from data import blocks, disk, inspection, sequences, transforms
from data.loading import Dataset
from data.types import Spec, Transition
from tests.data.helpers import problem

MAZE = EnvSpec('Maze-v0', entry_point='gymnasium_robotics.envs.maze.x:Maze')


def log(lengths, size: int = 3) -> Dataset:
    """Episodes of these lengths of noise."""
    rng, steps = np.random.default_rng(0), sum(lengths)
    observations = rng.standard_normal((steps, size), np.float32)
    ends = np.cumsum(lengths) - 1
    return Dataset(
        problem=problem(Spec(size, 2, discrete=False), env_spec=MAZE),
        transitions=Transition(
            observation=observations,
            action=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
            reward=rng.standard_normal(steps, np.float32),
            discount=np.float32(rng.random(steps) < 0.9),
            next_observation=observations[::-1],
        ),
        truncation=np.isin(np.arange(steps), ends),
        episode_offsets=np.cumsum([0, *lengths]),
        metadata={},
        duration=rng.uniform(0.5, 2, steps),
    )


def test_blocks_hold_every_step_once_and_whole_episodes(monkeypatch):
    monkeypatch.setattr(blocks, '_STEPS', 5)
    assert list(blocks.of_steps(11)) == [slice(0, 5), slice(5, 10), slice(10, 11)]
    # One that is longer than a block is a block, and so are those that fill one.
    offsets = np.cumsum([0, 2, 3, 9, 1, 1, 4])
    parts = list(blocks.of_episodes(offsets))
    assert [(each.start, each.stop) for each, _ in parts] == [(0, 2), (2, 3), (3, 5), (5, 6)]
    assert [(each.start, each.stop) for _, each in parts] == [(0, 5), (5, 14), (14, 16), (16, 20)]


def made(data: Dataset) -> list[np.ndarray]:
    """All that is measured and copied of a log on its way to a run."""
    learned, held = transforms.hold_out(data, 0.3, seed=1)
    return [
        data.episode_returns,
        *transforms.delay_rewards(data).transitions,
        *transforms.discount_durations(data, 0.9).transitions,
        *transforms.cut_at_goal(data).transitions,
        *transforms.top_episodes(data, 0.4).transitions,
        *learned.transitions,
        held.duration,
        held.truncation,
        *sequences.steps(data),
        *transforms.preprocess(data, True, normalize_rewards=True).problem.preprocessing,
    ]


def test_blocks_change_nothing(monkeypatch, tmp_path):
    data = log([7, 1, 30, 4, 4, 2, 11, 5])
    whole, described = made(data), inspection.statistics(data)
    monkeypatch.setattr(blocks, '_STEPS', 8)
    monkeypatch.setattr(disk, '_SMALL', 16)
    monkeypatch.setattr(disk, 'own', lambda: tmp_path / 'own')
    for found, expected in zip(made(data), whole, strict=True):
        assert found.dtype == expected.dtype
        # Means alone are sums of other parts.
        np.testing.assert_allclose(found, expected, rtol=1e-6 if found.shape == (3,) else 0)
    np.testing.assert_array_equal(inspection.statistics(data).at_bounds, described.at_bounds)
    # No file is left, nor was there ever one with a name.
    assert list((tmp_path / 'own').iterdir()) == []


def test_what_blocks_measure_is_what_whole_arrays_say():
    data = log([3, 9, 2])
    reward, offsets = data.transitions.reward.astype(np.float64), data.episode_offsets
    returns = [reward[begin:end].sum() for begin, end in zip(offsets, offsets[1:])]
    np.testing.assert_allclose(data.episode_returns, returns, rtol=1e-12)
    steps = sequences.steps(data)
    to_go = [reward[step:end].sum() for end, length in zip(offsets[1:], np.diff(offsets))
             for step in range(end - length, end)]  # fmt: skip
    np.testing.assert_allclose(steps.return_to_go, to_go, rtol=1e-5, atol=1e-6)


def test_a_log_takes_memory_for_blocks_and_not_for_its_steps(monkeypatch, tmp_path):
    monkeypatch.setattr(blocks, '_STEPS', 1 << 10)
    monkeypatch.setattr(disk, '_SMALL', 1 << 10)
    monkeypatch.setattr(disk, 'own', lambda: tmp_path)
    data = log([500] * 400)
    tracemalloc.start()
    made(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A number of each step as float32 would be 800,000 bytes.
    assert peak < 400_000


def test_scratch_is_refused_where_the_disk_is_full(monkeypatch, tmp_path):
    def full(descriptor, begin, length):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'posix_fallocate', full)
    monkeypatch.setattr(disk, '_SMALL', 0)
    monkeypatch.setattr(disk, 'own', lambda: tmp_path)
    with pytest.raises(OSError, match='No space left on device') as raised:
        disk.scratch(np.float32, (10, 2))
    assert raised.value.filename == str(tmp_path)


def test_scratch_can_be_written_and_read(monkeypatch, tmp_path):
    monkeypatch.setattr(disk, '_SMALL', 8)
    monkeypatch.setattr(disk, 'own', lambda: tmp_path)
    array = disk.scratch(np.int32, (3, 2))
    array[:] = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(array[1:], [[2, 3], [4, 5]])
    assert not isinstance(disk.scratch(np.int32, (2,)), np.memmap)

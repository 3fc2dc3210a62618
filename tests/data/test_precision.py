"""What is said of columns that become float32, and of which nothing is said."""

import re

import numpy as np
import pytest

from data import precision
from data.precision import Rounding

RNG = np.random.default_rng(0)
SECONDS = 1.7e9 + np.arange(60.0)


def said(values, names=('c',), part=500) -> list[str]:
    """Of columns, which come in parts as episodes do."""
    values = np.asarray(values).reshape(len(values), -1)
    rounding = Rounding(values.shape[1])
    for begin in range(0, len(values), part):
        rounding.add(precision.exact(values[begin : begin + part]))
    return rounding.sentences(names, 'observation')


@pytest.mark.parametrize(
    ('values', 'sentence'),
    [
        # From 2^24 on, float32 has every other whole number: 500 are rounded, the last one upwards.
        (2.0**24 + np.arange(1000), 'numbers up to 16,778,215 .* 500 values .* of 1,000 .* 499 are'),
        (np.array([123456789, 223456789]), 'whole .* 2 values are changed, and of 2 .* ones 0 are'),
        (np.array([1, 2**40 + 1], np.int64), 'whole numbers up to 1,099,511,627,777'),
        # 128 s from one number to the next: of 59.75 s, one is left.
        (SECONDS + 0.25, 'of 60 distinct values looked at, 59 are equal to others .* 1.3e.02 from one'),
        (np.where(np.arange(60) % 3, SECONDS + 0.25, 0), 'of 41 distinct .*, 39 are equal'),
        (19675 + np.arange(3600) / 86400, 'of 3,600 distinct values looked at, 3,57[0-9] are equal'),
        (1 + np.arange(60) / 1e9, 'of 60 distinct values looked at, 59 are equal'),
        (-1e6 + RNG.normal(size=10_000), 'of 10,000 distinct values looked at, 9,8[0-9]{2} are equal'),
        (RNG.uniform(1e-50, 2e-50, 100), 'numbers up to 2e-50 are all 0 as float32'),
        (np.array([0.0, 1e-40]), 'numbers up to 1e-40 are all 0 as float32'),
    ],
)
def test_a_loss_is_said_of_its_column(values, sentence):
    (found,) = said(values)
    assert re.search(f'^observation c: .*{sentence}', found), found


@pytest.mark.parametrize(
    'values',
    [
        RNG.normal(size=100_000).cumsum(),
        1e4 * RNG.uniform(size=20_000),
        RNG.uniform(size=20_000).astype(np.float32) * np.float32(1e9),
        RNG.integers(-(2**24), 2**24, 1000),
        # Larger, and yet numbers of float32.
        2.0**30 * np.arange(100),
        # What lies still, and moves later; what float64 arithmetic leaves of a constant.
        np.append(0.75 + 1e-10 * RNG.normal(size=5000), 0.2),
        1 + 1e-12 * RNG.normal(size=5000),
        # As small as nothing beside the others.
        np.append(RNG.uniform(0, 1e-50, 1000), 1.0),
        300 + 0.1 * RNG.normal(size=20_000),
        np.full(100, 0.1),
    ],
)
def test_of_ordinary_numbers_nothing_is_said(values):
    assert said(values) == []


@pytest.mark.parametrize('part', [1, 7, 100_000])
def test_episodes_of_any_length_are_looked_at_together(part):
    """A single step each, as of a bandit, has no two values to compare."""
    columns = np.stack([RNG.normal(size=60), SECONDS], axis=1)
    (found,) = said(columns, ('still', 'when'), part)
    assert found.startswith('observation when: whole numbers up to 1,700,000,059')


def test_numbers_that_fit_are_not_made_wider():
    for kind in (np.float32, np.float16, np.int16, np.uint8, np.bool_):
        assert precision.exact(np.zeros(3, kind)).dtype == np.float32
    for kind in (np.float64, np.int32, np.uint32, np.int64):
        assert precision.exact(np.zeros(3, kind)).dtype == np.float64
    assert precision.lost_in(SECONDS, np.dtype(np.float64), 'x') == []
    (found,) = precision.lost_in(SECONDS, np.dtype(np.float32), 'observations')
    assert found.startswith('WARNING: observations 0: whole numbers up to')

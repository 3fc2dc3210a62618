"""Formulas over the entries of an observation."""

import numpy as np
import pytest

from data import expressions
from data.types import DatasetError

NAMES = ['age', 'ward=surgery', 'goal[0]', 'goal[1]']
ROWS = np.array([[40.0, 1.0, 3.0, 4.0], [70.0, 0.0, -3.0, 0.0]], np.float32)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('-abs(age - 60) / 10', [-2, -1]),
        ('2 ** 3', [8, 8]),
        ('sqrt(goal[0] ** 2 + goal[1] ** 2)', [5, 3]),
        ('1 - `ward=surgery`', [0, 1]),
        ('`age` if `goal[0]` >= 0 else -1', [40, -1]),
        ('max(min(age, 50), 45) + exp(0) - log(1) + sin(0) + cos(0) + tanh(0)', [47, 52]),
        ('(age > 50) * 3', [0, 3]),
        ('1 / (age - 40)', [np.inf, 1 / 30]),
    ],
)
def test_a_formula_is_what_it_says(text, expected):
    np.testing.assert_allclose(expressions.parse(text, NAMES)(ROWS), expected)


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('', 'cannot be read'),
        ('age +', 'cannot be read'),
        ('age\0', 'cannot be read'),
        ('weight', "no entry 'weight'; there are age, ward=surgery"),
        ('goal[2]', r"no entry 'goal\[2\]'"),
        ('goal', "no entry 'goal'"),
        ("'age'", 'no number'),
        ('True', 'no number'),
        ('age.real', 'age.real is none of'),
        ('__import__("os").system("ls")', 'is none of'),
        ('(lambda: age)()', 'is none of'),
        ('[age][0]', 'is none of'),
        ('1 < age < 50', 'is none of'),
        ('age and 1', 'is none of'),
        ('abs(age, age)', 'abs takes 1'),
        ('min(age)', 'min takes 2'),
        ('abs(*age)', 'is none of'),
        ('-' * 900 + 'age', 'too deep|cannot be read'),
        ('9' * 400, 'too large'),
        ('1 + ' * 400 + '1', 'too long'),
    ],
)
def test_nothing_else_is_read(text, reason):
    with pytest.raises(DatasetError, match=reason):
        expressions.parse(text, NAMES)

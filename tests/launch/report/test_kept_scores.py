"""Tests of launch/report/kept_scores.py."""

import re

import numpy as np
import pytest

from launch.cli import UserError
from launch.report import kept_scores

CELLS = {
    ('local/b-v0', 'IQL'): kept_scores.Curve(
        (3, 4), np.array([10, 20]), np.array([[1.5, 2], [3, -4]])
    ),
    ('local/a-v0', '10 % BC'): kept_scores.Curve((0,), np.array([7]), np.array([[np.nan]])),
}
HEADER = 'dataset,algorithm,seed,updates,score\n'


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / 'scores.csv'
    assert kept_scores.read(file) == {}
    kept_scores.write(CELLS, file)
    found = kept_scores.read(file)
    assert list(found) == list(CELLS)
    for ours, theirs in zip(CELLS.values(), found.values()):
        assert ours.seeds == theirs.seeds
        np.testing.assert_array_equal(ours.steps, theirs.steps)
        np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_late_is_a_third_rounded_up():
    scores = np.arange(8.0).reshape(4, 2)
    curve = kept_scores.Curve((0, 1), np.arange(4), scores)
    np.testing.assert_array_equal(curve.late, [5, 6])


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('', 'its first line is not dataset,algorithm'),
        ('dataset,algorithm,seed\n', 'its first line is not'),
        (HEADER + 'd,BC,0,10\n', 'are not 5 values'),
        (HEADER + 'd,BC,0,10,much\n', "could not convert string to float: 'much'"),
        (HEADER + 'd,BC,0,10,1\nd,BC,1,20,1\n', 'not every seed of BC on d has one score'),
        (HEADER + 'd,BC,0,10,1\nd,IQL,0,10,1\nd,BC,0,10,1\n', 'not every seed of BC on d'),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, said):
    file = tmp_path / 'scores.csv'
    file.write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        kept_scores.read(file)

"""Where the two returns behind a score come from."""

import numpy as np
import pytest

from data.reference_scores import known, normalized_score, table_scores

HOPPER = (-20.272305, 3234.3)


@pytest.mark.parametrize(
    ('env_id', 'scores'),
    [
        ('Hopper-v5', HOPPER),
        ('Hopper-v2', HOPPER),
        ('Ant-v5', (-325.6, 3879.7)),
        ('AntMaze_UMaze-v4', (0.0, 1.0)),
        ('AntMaze_Large_Diverse_GR-v4', (0.0, 1.0)),
        ('AdroitHandPen-v1', (96.262799, 3076.8331017826877)),
        ('FrankaKitchen-v1', (0.0, 4.0)),
    ],
)
def test_table_knows_todays_names(env_id, scores):
    assert table_scores(env_id) == scores


@pytest.mark.parametrize('env_id', ['PointMaze_UMaze-v3', 'HopperHurdles-v0', 'Pendulum-v1'])
def test_table_does_not_guess(env_id):
    assert table_scores(env_id) is None


def test_own_metadata_comes_before_the_table():
    own = {'ref_min_score': 0, 'ref_max_score': 10}
    assert known(own, 'Hopper-v5') == (0.0, 10.0)


@pytest.mark.parametrize(
    'metadata', [{}, {'ref_min_score': 1.0}, {'ref_min_score': None, 'ref_max_score': None}]
)
def test_table_fills_what_metadata_lacks(metadata):
    assert known(metadata, 'Hopper-v5') == HOPPER


@pytest.mark.parametrize('env_id', ['PointMaze_UMaze-v3', None])
def test_missing_scores_are_none(env_id):
    assert known({}, env_id) is None


def test_equal_scores_are_no_scale():
    assert known({'ref_min_score': 3, 'ref_max_score': 3}, 'Hopper-v5') is None


def test_score_is_0_for_random_and_100_for_expert():
    scores = normalized_score([-20.0, 80.0, 30.0, 130.0, -70.0], (-20.0, 80.0))
    np.testing.assert_allclose(scores, [0, 100, 50, 150, -50])

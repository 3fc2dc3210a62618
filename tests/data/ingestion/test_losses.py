"""What tables and recordings lose as float32: said by who reads or who loads them, in one way."""

import numpy as np
import pytest

from data.ingestion import d4rl
from data.loading import load
from data.types import DatasetError
from tests.data.ingestion.helpers import ingested, table
from tests.data.ingestion.test_d4rl import ID, ROWS, arrays, converted, write

SECONDS = 1.7e9 + np.arange(ROWS) + 0.25


def test_of_a_table_observations_actions_and_rewards_are_looked_at(storage, tmp_path):
    columns = table(
        age=[1.7e9 + each / 4 for each in range(5)], drug=[2**24 + each for each in range(5)],
        alive=[1e6 + each / 100 for each in range(5)],
    )  # fmt: skip
    _, said = ingested(tmp_path, columns, actions_are='continuous')
    for sentence in (
        'WARNING: age: of 5 distinct values looked at, 4 are equal to others',
        'WARNING: action drug: whole numbers up to 16,777,220 are stored as float32',
        'WARNING: reward alive: of 5 distinct values looked at, 3 are equal to others',
    ):
        assert sentence in said


def test_of_a_table_an_action_beyond_float32_is_refused(storage, tmp_path):
    with pytest.raises(DatasetError, match=r"the action 'drug' is beyond float32, up to 1e\+39"):
        ingested(tmp_path, table(drug=[0.5, 1, 2, 1e39, 1]))


def test_a_recording_without_an_environment_keeps_its_own_type(storage, tmp_path):
    observed = np.stack([SECONDS, np.arange(ROWS)], axis=1)
    taken = 1e6 + np.arange(ROWS)[:, None] / 100
    data = converted(tmp_path, arrays(observations=observed, actions=taken), '')
    # 12 seconds are one number; 12 hundredths are 3, but the map to [-1, 1] keeps them apart.
    (said,) = data.losses
    assert said.startswith('observation 0: of 12 distinct values looked at, 11 are equal to others')
    np.testing.assert_allclose(data.problem.action_map.high, taken.max(), rtol=1e-15)
    assert len(np.unique(data.transitions.action)) == len(data.transitions.action)


def test_what_an_environments_own_type_loses_is_said(storage, tmp_path):
    observed = np.stack([SECONDS, np.zeros(ROWS), np.ones(ROWS)], axis=1)
    file = write(tmp_path / 'file.hdf5', arrays(observations=observed, actions=np.zeros((ROWS, 1))))
    _, notes = d4rl.convert(file, ID, 'Pendulum-v1')
    (said,) = [each for each in notes if 'WARNING' in each]
    assert said.startswith('WARNING: observations 0: of 12 distinct values looked at, 11 are equal')
    assert load(ID).losses == ()


def test_a_recording_of_images_is_refused(storage, tmp_path):
    file = write(tmp_path / 'file.hdf5', arrays(observations=np.zeros((ROWS, 4, 84, 84), np.uint8)))
    with pytest.raises(DatasetError, match=r'file.hdf5: observations are images of shape \(4, 84, 84\)'):
        d4rl.convert(file, ID)


@pytest.mark.parametrize(
    ('value', 'fault'), [(1e39, 'beyond float32'), (np.inf, 'NaN or infinite'), (np.nan, 'NaN or')]
)
def test_what_is_finite_is_not_called_infinite(storage, tmp_path, value, fault):
    rewards = np.where(np.arange(ROWS) == 2, value, 0)
    file = write(tmp_path / 'file.hdf5', arrays(rewards=rewards))
    with pytest.raises(DatasetError, match=f'rewards is {fault}.* in row 2'):
        d4rl.convert(file, ID)

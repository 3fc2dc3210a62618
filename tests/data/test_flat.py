"""Every dataset that the loader must refuse."""

import gymnasium as gym
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from minari.storage.datasets_root_dir import get_dataset_path

from data import loading
from data.types import DatasetError
from tests.conftest import collect, store
from tests.data.helpers import ID, LINE, UNIT, episode, overwrite, overwrite_metadata


@pytest.mark.parametrize(
    ('field', 'values', 'problem'),
    [
        ('rewards', [0.0, np.nan, 0.0], 'NaN or infinite'),
        ('rewards', [0.0, 1e300, 0.0], '1e[+]300 in step 1 is beyond float32'),
        ('observations', [[0.0, 0], [0, -1e39], [0, 0], [0, 0]], 'in entry 1, step 1 is beyond'),
        ('observations', [[0.0, 0], [0, np.inf], [0, 0], [0, 0]], 'NaN or infinite'),
        # Seen by nobody but the last next_observation.
        ('observations', [[0.0, 0], [0, 0], [0, 0], [np.nan, 0]], 'NaN or infinite'),
        ('observations', np.zeros((3, 2)), 'not 4 observations'),
        ('observations', np.zeros((4, 3)), '3 features, not 2'),
        ('actions', [[0.0], [np.nan], [0.0]], 'NaN or infinite'),
        ('actions', [[0.0], [1.5], [0.0]], 'outside the bounds'),
        ('actions', [[0.0], [-1.01], [0.0]], 'outside the bounds'),
        ('actions', np.zeros((2, 1)), '2 entries for 3 rewards'),
        ('actions', np.zeros((3, 2)), '2 entries a step'),
        ('terminations', [False, False], '2 entries for 3 rewards'),
        ('truncations', [False] * 4, '4 entries for 3 rewards'),
        ('terminations', [0.0, 0.0, 0.5], '0.5 is neither 0 nor 1'),
        ('terminations', [0.0, np.nan, 1.0], 'nan is neither 0 nor 1'),
        ('truncations', [0, 0, -1], '-1 is neither 0 nor 1'),
        ('rewards', np.zeros(0), 'empty'),
    ],
)
@pytest.mark.filterwarnings('error')
def test_bad_episode_is_named(storage, field, values, problem):
    path = store(ID, [episode(3), episode(3), episode(3)], spaces=(LINE, UNIT))
    overwrite(ID, 1, field, np.array(values))
    with pytest.raises(DatasetError, match=problem) as raised:
        loading.load(ID)
    assert f'dataset {ID}, episode 1, {field}:' in str(raised.value)
    assert not (path / 'flat').exists()


@pytest.mark.parametrize(
    ('action', 'problem'),
    [
        (-1, 'step 1 is outside the bounds'),
        (2, 'step 1 is outside the bounds'),
        (1.0 + 2**40, 'step 1 is outside the bounds'),
        (0.5, r'0.5 in step 1 is no index of Discrete\(2\)'),
        (-0.5, r'-0.5 in step 1 is no index of Discrete\(2\)'),
    ],
)
def test_discrete_action_out_of_range_is_named(storage, action, problem):
    store(ID, [episode(2, actions=np.array([0, action]))], spaces=(LINE, Discrete(2)))
    with pytest.raises(DatasetError, match=f'{ID}, episode 0, actions: {problem}'):
        loading.load(ID)


def test_one_action_for_many_dimensions_is_not_broadcast(storage):
    wide = Box(-1.0, 1.0, (3,), np.float32)
    store(ID, [episode(2, actions=np.zeros((2, 1), np.float32))], spaces=(LINE, wide))
    with pytest.raises(DatasetError, match=f'{ID}, episode 0, actions: 1 entries a step'):
        loading.load(ID)


@pytest.mark.parametrize(
    ('spaces', 'problem'),
    [
        ((Discrete(2), UNIT), r'observation space Discrete\(2\) is not supported'),
        ((Dict({'a': LINE, 'b': Discrete(2)}), UNIT), r'observation space Discrete\(2\)'),
        ((LINE, MultiDiscrete([2, 2])), 'action space MultiDiscrete.* is not supported'),
        ((LINE, Box(0.0, 0.0, (1,))), 'action space .* low < high'),
    ],
)
def test_unsupported_space_is_named(storage, spaces, problem):
    store(ID, [episode(2)], spaces=(LINE, UNIT))
    observation_space, action_space = (minari.serialization.serialize_space(s) for s in spaces)
    overwrite_metadata(
        ID,
        lambda metadata: metadata.update(
            observation_space=observation_space, action_space=action_space
        ),
    )
    with pytest.raises(DatasetError, match=f'dataset {ID}: {problem}'):
        loading.load(ID)


def test_dataset_without_episodes_is_refused(storage):
    store(ID, [], spaces=(LINE, UNIT))
    with pytest.raises(DatasetError, match=f'dataset {ID}: it has no episodes'):
        loading.load(ID)


@pytest.mark.parametrize('total_steps', [4, 6])
def test_metadata_that_miscounts_is_refused(storage, total_steps):
    store(ID, [episode(2), episode(3)], spaces=(LINE, UNIT))
    overwrite_metadata(ID, lambda metadata: metadata.update(total_steps=total_steps))
    with pytest.raises(DatasetError, match=f'{ID}.*its metadata counts {total_steps} steps'):
        loading.load(ID)


def test_metadata_without_spaces_runs_no_environment(storage, monkeypatch):
    """Minari itself would make the environment, from whatever entry point the metadata names."""
    store(ID, collect('CartPole-v1', 1, 5), 'CartPole-v1')
    overwrite_metadata(ID, lambda metadata: metadata.pop('action_space'))
    monkeypatch.setattr(gym, 'make', lambda *args, **kwargs: pytest.fail('an environment was made'))
    with pytest.raises(DatasetError, match=f'dataset {ID}: its metadata lacks action_space'):
        loading.load(ID)


def test_damaged_file_is_named(pendulum):
    file = get_dataset_path(pendulum) / 'data' / 'main_data.hdf5'
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DatasetError, match=f'dataset {pendulum}: .* damaged'):
        loading.load(pendulum)

"""Files in D4RL's layout, broken ones included, against what the loader makes of the result."""

import h5py
import minari
import numpy as np
import pytest
from minari.storage.datasets_root_dir import get_dataset_path

from data import d4rl, loading
from data.types import DatasetError
from tests.launch.helpers import program

ID = 'd4rl/hopper/made-v2'
ROWS = 12
# Episodes: rows 0-3 terminated, 4-8 timed out, 9-11 cut by the end of the file.
TERMINAL, TIMEOUT = 3, 8


def arrays(**others) -> dict[str, np.ndarray]:
    """ROWS distinguishable steps of Hopper's shapes."""
    rng = np.random.default_rng(0)
    rows = np.arange(ROWS)
    made = {
        'observations': rng.standard_normal((ROWS, 11)).astype(np.float32),
        'actions': rng.uniform(-1, 1, (ROWS, 3)).astype(np.float32),
        'rewards': rng.standard_normal(ROWS).astype(np.float32),
        'terminals': rows == TERMINAL,
        'timeouts': rows == TIMEOUT,
        'infos/qpos': rng.standard_normal((ROWS, 6)),
        'infos/action_log_probs': rng.standard_normal(ROWS),
        'metadata/algorithm': np.array(b'SAC'),
        'metadata/policy/weight': np.zeros((5, 2)),
    } | others
    return {name: array for name, array in made.items() if array is not None}


def write(path, made):
    with h5py.File(path, 'w') as file:
        for name, array in made.items():
            file[name] = array
    return path


def converted(path, made, env_id='Hopper-v5'):
    d4rl.convert(write(path / 'file.hdf5', made), ID, env_id)
    return loading.load(ID)


def test_episodes_with_next_observations_keep_every_step(storage, tmp_path):
    made = arrays(next_observations=np.arange(ROWS * 11, dtype=np.float32).reshape(ROWS, 11))
    # Inside an episode D4RL's next observation is the next row's observation.
    for row in set(range(ROWS - 1)) - {TERMINAL, TIMEOUT}:
        made['next_observations'][row] = made['observations'][row + 1]
    data = converted(tmp_path, made)
    np.testing.assert_array_equal(data.episode_offsets, [0, 4, 9, 12])
    for ours, theirs in (('observation', 'observations'), ('action', 'actions'),
                         ('reward', 'rewards'), ('next_observation', 'next_observations')):  # fmt: skip
        np.testing.assert_allclose(getattr(data.transitions, ours), made[theirs], atol=1e-6)
    np.testing.assert_array_equal(data.transitions.discount, np.arange(ROWS) != TERMINAL)
    np.testing.assert_array_equal(np.flatnonzero(data.truncation), [TIMEOUT, ROWS - 1])


def test_without_next_observations_a_cut_step_is_left_out(storage, tmp_path):
    made = arrays()
    data = converted(tmp_path, made)
    kept = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10]
    np.testing.assert_array_equal(data.episode_lengths, [4, 4, 2])
    np.testing.assert_array_equal(data.transitions.reward, made['rewards'][kept])
    followers = [1, 2, 3, 3, 5, 6, 7, 8, 10, 11]
    np.testing.assert_array_equal(
        data.transitions.next_observation, made['observations'][followers]
    )
    np.testing.assert_array_equal(np.flatnonzero(data.transitions.discount == 0), [TERMINAL])


def test_without_timeouts_the_given_limit_cuts(storage, tmp_path):
    file = write(tmp_path / 'file.hdf5', arrays(timeouts=None))
    with pytest.raises(DatasetError, match='file.hdf5: .*say with --max_episode_steps'):
        d4rl.convert(file, ID, 'Hopper-v5')
    d4rl.convert(file, ID, 'Hopper-v5', max_episode_steps=5)
    np.testing.assert_array_equal(loading.load(ID).episode_lengths, [4, 4, 2])


@pytest.mark.parametrize('recorded, lengths', [(True, [4, 1, 4, 3]), (False, [4, 3, 2])])
def test_a_timeout_right_after_a_termination_leaves_at_most_one_step(
    storage, tmp_path, recorded, lengths
):
    """Without next observations the one step between them has no end and is left out."""
    rows = np.arange(ROWS)
    observations = arrays()['observations']
    following = np.concatenate([observations[1:], observations[:1]]) if recorded else None
    made = arrays(
        timeouts=(rows == TERMINAL + 1) | (rows == TIMEOUT), next_observations=following
    )
    np.testing.assert_array_equal(converted(tmp_path, made).episode_lengths, lengths)


def test_a_terminated_episode_of_one_step_is_kept(storage, tmp_path):
    rows = np.arange(ROWS)
    data = converted(tmp_path, arrays(terminals=(rows == 0) | (rows == TERMINAL)))
    np.testing.assert_array_equal(data.episode_lengths, [1, 3, 4, 2])
    np.testing.assert_array_equal(data.transitions.discount[:4], [0, 1, 1, 0])


def test_a_termination_at_the_time_limit_is_a_termination(storage, tmp_path):
    rows = np.arange(ROWS)
    data = converted(tmp_path, arrays(timeouts=(rows == TERMINAL) | (rows == TIMEOUT)))
    np.testing.assert_array_equal(np.flatnonzero(data.transitions.discount == 0), [TERMINAL])


def test_infos_references_and_environment_come_along(storage, tmp_path):
    made = arrays()
    data = converted(tmp_path, made)
    assert data.problem.env_spec.id == 'Hopper-v5'
    dataset = minari.load_dataset(ID)
    assert dataset.storage.metadata['ref_max_score'] == pytest.approx(3234.3)
    episode = dataset[1]
    np.testing.assert_array_equal(episode.infos['qpos'], made['infos/qpos'][4:8])
    assert 'policy' not in episode.infos


@pytest.mark.parametrize(
    ('others', 'problem'),
    [
        ({'terminals': None}, 'it lacks terminals; there are .*actions'),
        ({'rewards': np.zeros(7)}, 'differ in length: .*rewards 7'),
        ({'actions': np.zeros((ROWS, 2))}, r'its actions have the shape \(2,\), those of Hopper-v5'),
        ({'rewards': np.where(np.arange(ROWS) == 5, np.nan, 0)}, 'rewards is NaN or infinite in row 5'),
        ({'actions': np.full((ROWS, 3), 2.0)}, 'its actions are out of bounds in row 0'),
        ({'terminals': np.array([b'no'] * ROWS)}, 'terminals holds .*, no numbers'),
        ({'next_observations': np.zeros((ROWS, 11))}, 'row 0: its next_observations are not'),
        ({'next_observations': np.zeros((ROWS, 9))}, r'its next_observations have the shape \(9,\)'),
        ({name: array[:0] for name, array in arrays().items() if array.shape}, 'have no rows'),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_and_leaves_nothing(storage, tmp_path, others, problem):
    others = {name: array for name, array in others.items() if not name.startswith('metadata/')}
    with pytest.raises(DatasetError, match=f'file.hdf5: .*{problem}'):
        converted(tmp_path, arrays(**others))
    assert not get_dataset_path(ID).exists()


def test_what_is_no_hdf5_file_is_named(storage, tmp_path):
    file = tmp_path / 'file.hdf5'
    file.write_bytes(b'<html>404</html>' * 100)
    with pytest.raises(DatasetError, match='no HDF5 file'):
        d4rl.convert(file, ID, 'Hopper-v5')
    # A file whose single step leads nowhere.
    lone = {name: array[:1] for name, array in arrays().items() if array.shape}
    with pytest.raises(DatasetError, match='it holds no whole step'):
        converted(tmp_path, lone)
    with pytest.raises(DatasetError, match='there is no such file'):
        d4rl.convert(tmp_path / 'none.hdf5', ID, 'Hopper-v5')


def test_ids_that_cannot_be_given_are_refused(storage, tmp_path):
    file = write(tmp_path / 'file.hdf5', arrays())
    with pytest.raises(DatasetError, match='are recipes'):
        d4rl.convert(file, 'local/hopper/mine-v0', 'Hopper-v5')
    with pytest.raises(DatasetError, match='not a Minari id'):
        d4rl.convert(file, 'mine', 'Hopper-v5')
    d4rl.convert(file, ID, 'Hopper-v5')
    with pytest.raises(DatasetError, match='exists already'):
        d4rl.convert(file, ID, 'Hopper-v5')
    result = program('launch.convert_d4rl', f'--file={file}')
    assert result.returncode == 1 and '--dataset and --env_id are all needed' in result.stderr

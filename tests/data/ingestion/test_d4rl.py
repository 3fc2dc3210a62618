"""Files in D4RL's layout, broken ones included, against what the loader makes of the result."""

import h5py
import minari
import numpy as np
import pytest
from minari.storage.datasets_root_dir import get_dataset_path

from data import loading
from data.ingestion import d4rl
from data.types import DatasetError

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


def test_without_timeouts_a_break_is_a_cut(storage, tmp_path):
    """What d4rl.qlearning_dataset returns: the rows at which episodes were cut are not there."""
    made = arrays(timeouts=None)
    # What follows was float32 for a while.
    made['observations'] = made['observations'].astype(np.float64) + 1e-9
    made['next_observations'] = np.roll(made['observations'], -1, axis=0).astype(np.float32)
    made['next_observations'][[TERMINAL, TIMEOUT, ROWS - 1]] = 7.0
    file = write(tmp_path / 'file.hdf5', made)
    _, notes = d4rl.convert(file, ID, 'Hopper-v5')
    assert notes[1].startswith('there are no timeouts: 1 episodes are cut where the next_observations')
    data = loading.load(ID)
    np.testing.assert_array_equal(data.episode_lengths, [4, 5, 3])
    np.testing.assert_array_equal(data.transitions.reward, made['rewards'])
    np.testing.assert_array_equal(np.flatnonzero(data.truncation), [TIMEOUT, ROWS - 1])
    np.testing.assert_array_equal(np.flatnonzero(data.transitions.discount == 0), [TERMINAL])
    np.testing.assert_array_equal(data.transitions.next_observation[TIMEOUT], np.full(11, 7.0))
    np.testing.assert_allclose(
        data.transitions.next_observation, made['next_observations'], rtol=1e-6
    )
    # A limit cuts as well, and not where a break has cut before.
    d4rl.convert(file, 'd4rl/limited-v2', 'Hopper-v5', max_episode_steps=4)
    np.testing.assert_array_equal(loading.load('d4rl/limited-v2').episode_lengths, [4, 4, 1, 3])
    made['next_observations'] += 1
    _, notes = d4rl.convert(write(file, made), 'd4rl/shuffled-v2', 'Hopper-v5')
    assert notes[1].startswith('WARNING: there are no timeouts: 10 episodes are cut')
    made['next_observations'][5] = np.nan
    with pytest.raises(DatasetError, match='next_observations is NaN or infinite in row 5'):
        d4rl.convert(write(file, made), 'd4rl/other-v2', 'Hopper-v5')


def test_whole_numbers_next_to_each_other_are_a_break(storage, tmp_path):
    observations = np.array([[0], [1], [255], [1], [2]], np.uint8)
    led_to = np.array([[1], [255], [0], [2], [3]], np.uint8)
    rows = np.arange(5)
    made = {
        'observations': observations, 'next_observations': led_to, 'terminals': np.zeros(5, bool),
        'actions': rows % 2, 'rewards': rows / 2,
    }  # fmt: skip
    np.testing.assert_array_equal(converted(tmp_path, made, '').episode_lengths, [3, 2])


def test_what_cannot_be_loaded_does_not_appear(storage, tmp_path, monkeypatch):
    """Durations are of no use to D4RL, which does not check them; the loader does."""
    made = arrays(**{'infos/duration': np.arange(ROWS) - 3.0})
    with pytest.raises(DatasetError, match="episode 0, infos 'duration': a positive number"):
        converted(tmp_path, made)
    assert not any(storage.iterdir())


@pytest.mark.parametrize('recorded, lengths', [(True, [4, 1, 4, 3]), (False, [4, 3, 2])])
def test_a_timeout_right_after_a_termination_leaves_at_most_one_step(
    storage, tmp_path, recorded, lengths
):
    """Without next observations the one step between them has no end and is left out."""
    rows = np.arange(ROWS)
    observations = arrays()['observations']
    following = np.concatenate([observations[1:], observations[:1]]) if recorded else None
    made = arrays(timeouts=(rows == TERMINAL + 1) | (rows == TIMEOUT), next_observations=following)
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
        ({'rewards': np.full(ROWS, 1e39)}, 'rewards is beyond float32 in row 0'),
        ({'rewards': np.zeros((ROWS, 2))}, r'rewards has the shape \(12, 2\)'),
        ({'actions': np.zeros((ROWS, 0))}, r'actions has the shape \(12, 0\)'),
        ({'terminals': np.array([b'no'] * ROWS)}, 'terminals holds .*, no numbers'),
        ({'terminals': np.full(ROWS, 0.5)}, 'terminals has the value 0.5, which is neither 0 nor 1'),
        ({'timeouts': np.full(ROWS, -1)}, 'timeouts has the value -1, which is neither'),
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


def test_an_environment_without_reference_scores_is_accepted(storage, tmp_path):
    made = arrays(
        observations=np.ones((ROWS, 3), np.float32), actions=np.ones((ROWS, 1), np.float32)
    )
    data = converted(tmp_path, made, 'Pendulum-v1')
    assert data.problem.env_spec.id == 'Pendulum-v1' and data.problem.scores is None


def test_without_an_environment_the_spaces_are_of_the_data(storage, tmp_path):
    made = arrays()
    data = converted(tmp_path, made, '')
    assert data.problem.env_spec is None
    np.testing.assert_array_equal(data.problem.action_map.low, made['actions'].min(axis=0))
    np.testing.assert_array_equal(data.problem.action_map.high, made['actions'].max(axis=0))
    file, bounds = tmp_path / 'file.hdf5', d4rl.Bounds((-2.0,), (2.0, 3.0, 4.0))
    d4rl.convert(file, 'd4rl/bounded-v2', bounds=bounds)
    mapped = loading.load('d4rl/bounded-v2').problem.action_map
    np.testing.assert_array_equal(mapped.low, [-2, -2, -2])
    np.testing.assert_array_equal(mapped.high, [2, 3, 4])


def test_whole_numbers_are_discrete_actions(storage, tmp_path):
    taken = np.arange(ROWS)[:, None] % 3 + 1
    data = converted(tmp_path, arrays(actions=taken), '')
    assert data.problem.spec.discrete and data.problem.spec.action_size == 3
    np.testing.assert_array_equal(data.transitions.action[:4], [0, 1, 2, 0])
    d4rl.convert(tmp_path / 'file.hdf5', 'd4rl/amounts-v2', bounds=d4rl.Bounds((0,), (4,)))
    assert not loading.load('d4rl/amounts-v2').problem.spec.discrete


@pytest.mark.parametrize(
    ('changes', 'bounds', 'problem'),
    [
        ({'actions': np.ones((ROWS, 3))}, d4rl.MEASURED, 'an action never changes'),
        ({'actions': np.ones(ROWS, int)}, d4rl.MEASURED, 'its actions are whole numbers from 1 to 1'),
        ({'actions': 999 * np.arange(ROWS)}, d4rl.MEASURED, '.*from 0 to 10989; 2 to 1,000 of them'),
        ({}, d4rl.Bounds((-0.1,), (0.1,)), 'its actions are out of bounds in row'),
        (
            {},
            d4rl.Bounds((0.0, 1.0), (2.0,)),
            r'--low and --high do not fit actions of shape \(3,\)',
        ),
    ],
)
def test_actions_that_fit_no_bounds_are_refused(storage, tmp_path, changes, bounds, problem):
    file = write(tmp_path / 'file.hdf5', arrays(**changes))
    with pytest.raises(DatasetError, match=f'file.hdf5: {problem}'):
        d4rl.convert(file, ID, bounds=bounds)
    assert not any(storage.iterdir())


def test_files_of_a_directory_are_one_recording(storage, tmp_path):
    made, parts = arrays(), tmp_path / 'parts'
    parts.mkdir()
    for name, part in (('b', slice(6, ROWS)), ('a', slice(0, 6))):
        write(parts / f'{name}.hdf5', {key: each[part] for key, each in made.items() if each.shape})
    d4rl.convert(parts, ID, 'Hopper-v5')
    np.testing.assert_array_equal(loading.load(ID).episode_lengths, [4, 4, 2])
    write(parts / 'c.hdf5', {key: each[:, :1] for key, each in made.items() if each.ndim == 2})
    with pytest.raises(DatasetError, match='c.hdf5: it lacks rewards'):
        d4rl.convert(parts, 'd4rl/other-v2', 'Hopper-v5')

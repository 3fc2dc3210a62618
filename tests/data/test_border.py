"""Damages of what strangers wrote, each one sentence before anything is made of it."""

import json

import h5py
import numpy as np
import pytest
from gymnasium.spaces import Dict
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path

from data import border, loading
from data.ingestion import d4rl, files
from data.types import DatasetError
from tests.conftest import store
from tests.data.helpers import ID, LINE, UNIT, episode, overwrite_metadata


@pytest.fixture(scope='module')
def stored(tmp_path_factory):
    """The directory of a dataset whose metadata one test after another damages and mends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MINARI_DATASETS_PATH', str(tmp_path_factory.mktemp('minari')))
        yield store(ID, [episode(3), episode(2)], spaces=(LINE, UNIT))


def box(**changes) -> str:
    plain = {'type': 'Box', 'dtype': 'float32', 'shape': [2], 'low': [-9.0, -9], 'high': [9.0, 9]}
    return json.dumps(plain | changes)


TABLE = [
    ('total_steps', '5', "total_steps of its metadata is '5'; it must be a whole number from 0"),
    ('total_steps', -5, 'total_steps of its metadata is -5; it must be a whole number'),
    ('total_steps', 5.0, 'total_steps of its metadata is 5.0; it must be a whole number'),
    ('total_steps', True, 'total_steps of its metadata is True; it must be a whole number'),
    ('total_steps', 10**18, 'total_steps of its metadata is 10{18}; it must be a whole number'),
    ('total_steps', 10**12, r'total_steps .* 1,000,0.*; its files have [\d,]+ bytes, which cannot hold'),
    ('total_steps', None, 'its metadata lacks total_steps'),
    ('total_episodes', 10**12, r'total_episodes .* 1,000,0.*; its files have [\d,]+ bytes'),
    ('total_episodes', [2], r'total_episodes of its metadata is \[2\]; it must be a whole number'),
    ('total_episodes', 3, 'episode 2 is not there'),
    ('data_format', 'csv', "data_format of its metadata is 'csv'; it must be one of arrow, hdf5"),
    ('data_format', None, 'its metadata lacks data_format'),
    ('dataset_id', 7, 'dataset_id of its metadata is 7; it must be a Minari id'),
    ('dataset_id', 'a\nb', r"dataset_id of its metadata is 'a\\nb'; it must be a Minari id"),
    ('minari_version', None, 'its metadata lacks minari_version'),
    ('env_spec', {'id': 'Hopper-v5'}, "env_spec of its metadata is {'id': 'Hopper-v5'}; .* a text"),
    ('eval_env_spec', 3, 'eval_env_spec of its metadata is 3; it must be a text'),
    ('ref_min_score', 'low', "ref_min_score of its metadata is 'low'; it must be a finite number"),
    ('ref_max_score', float('nan'), 'ref_max_score of its metadata is nan; it must be a finite number'),
    ('ref_max_score', 10**400, 'ref_max_score of its metadata is 10+.*0; it must be a finite number'),
    ('ref_max_score', json.loads('[' * 500 + ']' * 500), 'ref_max_score of its metadata is .*finite'),
    ('ref_max_score', None, 'its metadata has ref_min_score and no ref_max_score'),
    ('ref_min_score', None, 'its metadata has ref_max_score and no ref_min_score'),
    ('reference_lines', [1.0], r'reference_lines of its metadata is \[1.0\]; .* finite numbers by name'),
    ('score_by_success', 1, 'score_by_success of its metadata is 1; it must be true or false'),
    ('reference_lines', {'a': 'b'}, 'reference_lines .*; it must be finite numbers by name'),
    ('columns', 'age', "columns of its metadata is 'age'; it must be an object"),
    ('columns', {'features': 3}, "its 'columns' are none of launch.ingest"),
    ('description', {}, 'description of its metadata is {}; it must be a text'),
    ('description', '\ud800', 'description of its metadata is .*; it must be a text'),
    ('author', None, 'author of its metadata is None; it must be a list of texts'),
    ('observation_space', None, 'its metadata lacks observation_space'),
    ('observation_space', {}, 'observation_space of its metadata is {}; it must be a text'),
    ('observation_space', 'x', 'observation_space of its metadata is no JSON'),
    ('observation_space', '[' * 9999, 'observation_space of its metadata is no JSON'),
    ('observation_space', '[]', 'observation_space of its metadata is no object of JSON'),
    ('observation_space', '{}', r"observation_space of its metadata is no space \(KeyError: 'type'\)"),
    ('observation_space', box(type='Sphere'), 'is no space'),
    ('observation_space', box(shape=[10**9], low=0, high=1), 'has 1,000,000,000 entries, more than'),
    ('observation_space', box(shape=[-2]), r'is a Box of the shape \[-2\]'),
    ('observation_space', box(shape=[0], low=[], high=[]), 'observation_space .* has no entries'),
    ('observation_space', '{"type": "Dict", "subspaces": {}}', 'observation_space .* has no entries'),
    ('action_space', box(shape=[0], low=[], high=[]), 'action_space .* has no entries'),
    ('observation_space', box(shape='x'), 'is a Box of the shape x'),
    ('observation_space', box(dtype='object'), 'is a Box of object, no numbers'),
    ('observation_space', box(low=[0.0]), 'is no space'),
    ('observation_space', box(high=[float('nan'), 0]), 'is no space .*nan'),
    ('observation_space', box(low=[10.0, 0]), 'is no space .*less than or equal'),
    ('action_space', '{"type": "Discrete", "n": 1e12, "start": 0}', 'has 1.*0.0 elements; valid: from'),
    ('action_space', '{"type": "Discrete", "n": -3, "start": 0}', 'has -3 elements; valid: from 1'),
    ('action_space', '{"type": "Discrete", "n": 3, "start": "a"}', 'is no space'),
]  # fmt: skip


@pytest.mark.parametrize(('field', 'value', 'problem'), TABLE)
def test_metadata_of_another_kind_is_named(stored, field, value, problem):
    file = stored / 'data' / 'metadata.json'
    whole = file.read_text()
    try:
        overwrite_metadata(ID, lambda metadata: metadata.update({field: value}))
        with pytest.raises(DatasetError, match=f'^dataset {ID}.*{problem}') as raised:
            loading.load(ID)
    finally:
        file.write_text(whole)
    assert '\n' not in str(raised.value) and len(str(raised.value)) < 500
    assert {entry.name for entry in stored.iterdir()} <= {'data', 'flat'}


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        (b'', 'metadata.json is no JSON'),
        (b'{"total_steps": 5', 'metadata.json is no JSON'),
        (b'{"a": ' * 9999, 'metadata.json is no JSON'),
        (b'\xff\xfe\xff', 'metadata.json is no JSON'),
        (b'[1, 2]', 'metadata.json is no object of JSON'),
        (None, 'there is no file .*metadata.json'),
    ],
)
def test_metadata_that_is_none_is_named(storage, content, problem):
    file = store(ID, [episode(3)], spaces=(LINE, UNIT)) / 'data' / 'metadata.json'
    file.unlink()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(DatasetError, match=f'dataset {ID}: .*{problem}'):
        loading.load(ID)


def test_what_may_be_missing_may_be_null(storage):
    store(ID, [episode(3)], spaces=(LINE, UNIT), scores=None)
    nulls = dict.fromkeys(
        ('env_spec', 'eval_env_spec', 'ref_min_score', 'ref_max_score', 'reference_lines', 'columns',
         'description', 'requirements')
    )  # fmt: skip
    overwrite_metadata(ID, lambda metadata: metadata.update(nulls))
    task = loading.load(ID).problem
    assert (task.env_spec, task.scores, task.reference_lines, task.columns) == (None, None, {}, None)


def external(group, name):
    shape, file = (3,), group.file.filename + '.raw'
    group.create_dataset(name, shape, np.float64, external=[(file, 0, h5py.h5f.UNLIMITED)])


def virtual(group, name):
    layout = h5py.VirtualLayout((3,), np.float64)
    layout[:] = h5py.VirtualSource(group.file.filename + '.other', 'x', (3,))
    group.create_virtual_dataset(name, layout)


def assigned(value):
    return lambda group, name: group.__setitem__(name, value)


def declared(*shape, **options):
    return lambda group, name: group.create_dataset(name, shape, np.float32, **options)


ARRAYS = [
    (assigned(h5py.SoftLink('/elsewhere')), 'is a link; the file itself must hold it'),
    (assigned(h5py.ExternalLink('other.hdf5', '/x')), 'is a link; the file itself must hold it'),
    (external, 'is kept in other files; the file itself must hold it'),
    (virtual, 'is kept in other files; the file itself must hold it'),
    (declared(10**12, chunks=True), r'has the shape \(10{12},\), 4,0+,.* of which the file holds 0'),
    (declared(10**9), r'has the shape \(10{9},\), 4,0+,.* of which the file holds 0'),
    (assigned(np.array([b'a', b'b', b'c'])), r'holds \|S1, no numbers'),
    (assigned(np.array(['a', 'b', 'c'], object)), 'holds object, no numbers'),
    (assigned(np.zeros(3, np.complex64)), 'holds complex64, no numbers'),
    (assigned(np.zeros(3, [('x', float), ('y', int)])), 'holds .*x.*, no numbers'),
    (assigned(np.array([h5py.Reference()] * 3, h5py.ref_dtype)), 'holds object, no numbers'),
    (assigned(1.0), 'holds a single value, no rows'),
]


@pytest.mark.parametrize(('damage', 'problem'), ARRAYS)
def test_arrays_that_are_none_of_the_file_are_named(storage, tmp_path, damage, problem):
    """Of a dataset of Minari's, of a recording of D4RL, and of a table."""
    path = store(ID, [episode(3), episode(3)], spaces=(LINE, UNIT))
    with h5py.File(path / 'data' / 'main_data.hdf5', 'a') as file:
        del file['episode_1']['rewards']
        damage(file['episode_1'], 'rewards')
    with pytest.raises(DatasetError, match=f'^dataset {ID}, episode 1, rewards {problem}'):
        loading.load(ID)
    assert {entry.name for entry in path.iterdir()} == {'data'}
    recording = tmp_path / 'recording.hdf5'
    with h5py.File(recording, 'w') as file:
        for name, width in (('observations', 2), ('actions', 1), ('terminals', 1)):
            file[name] = np.zeros((3, width))
        damage(file, 'rewards')
    if 'single' not in problem:
        with pytest.raises(DatasetError, match=f'{recording}: rewards {problem}'):
            d4rl.convert(recording, 'd4rl/made-v0')
    assert not get_dataset_path('d4rl/made-v0').exists()
    # A table may hold text, and single values beside its columns.
    if 'single' not in problem and 'S1' not in problem:
        with pytest.raises(DatasetError, match=f'{recording}: '):
            for block in files.open_table(recording).blocks(['rewards']):
                assert 'object' in problem and block.columns['rewards'][0].as_py() == 'a'
                raise DatasetError(f'{recording}: text')


def test_what_compresses_well_is_no_lie(tmp_path):
    with h5py.File(tmp_path / 'file.hdf5', 'w') as file:
        file.create_dataset('x', data=np.zeros(1 << 25, np.float32), compression='gzip')
        file.create_dataset('y', (1 << 20,), np.float32, chunks=True)
        assert set(border.arrays(file, tmp_path)) == {'x', 'y'}


def test_a_group_that_holds_itself_ends(storage):
    space = Dict({'a': LINE, 'b': LINE})
    observations = {name: np.zeros((3, 2), np.float32) for name in 'ab'}
    path = store(ID, [episode(2, observations=observations)], spaces=(space, UNIT))
    with h5py.File(path / 'data' / 'main_data.hdf5', 'a') as file:
        group = file['episode_0']['observations']
        group['again'] = group
    with pytest.raises(DatasetError, match='is damaged .*recursion'):
        loading.load(ID)


def arrow(change=lambda episode: None):
    path = get_dataset_path(ID)
    (path / 'data').mkdir(parents=True)
    storage = MinariStorage.new(
        path / 'data', observation_space=LINE, action_space=UNIT, data_format='arrow'
    )
    made = [episode(3), episode(2)]
    storage.update_episodes([EpisodeBuffer(**vars(each) | (change(each) or {})) for each in made])
    storage.update_metadata({'dataset_id': ID, 'minari_version': '0.5.4'})
    return path


def test_arrow_is_read_and_looked_at_alike(storage):
    path = arrow()
    np.testing.assert_array_equal(loading.load(ID).episode_lengths, [3, 2])
    overwrite_metadata(ID, lambda metadata: metadata.update({'total_steps': 10**12}))
    with pytest.raises(DatasetError, match='total_steps .* which cannot hold as many'):
        loading.load(ID)
    overwrite_metadata(ID, lambda metadata: metadata.update({'total_steps': 5}))
    (file,) = (path / 'data' / '1').glob('*.arrow')
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DatasetError, match=f'dataset {ID}: its file in .* is damaged'):
        loading.load(ID)


def test_arrow_of_text_is_named(storage):
    arrow(lambda each: {'rewards': ['much'] * len(each.rewards)})
    with pytest.raises(DatasetError, match=f'dataset {ID}, episode 0, rewards holds .*, no rows of num'):
        loading.load(ID)

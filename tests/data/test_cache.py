"""The cache is what was written for this dataset, or is written again; and it has a place."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from data import disk, flat, loading
from data.types import DatasetError
from tests.conftest import store
from tests.data.helpers import ID, LINE, UNIT, episode


def flip(file):
    """Another number, and the file as old as before, as a disk does that loses a bit."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x40
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit(**changes):
    def change(cache):
        index = json.loads((cache / 'index.json').read_text())
        (cache / 'index.json').write_text(json.dumps(index | changes))

    return change


def link(file):
    other = file.with_name('elsewhere')
    file.rename(other)
    file.symlink_to(other)


def replace_by_directory(file):
    file.unlink()
    file.mkdir()


DAMAGES = {
    'a number': lambda cache: flip(cache / 'reward.npy'),
    'a cut array': lambda cache: os.truncate(cache / 'observation.npy', 100),
    'an empty array': lambda cache: os.truncate(cache / 'observation.npy', 0),
    'another type': lambda cache: np.save(cache / 'reward.npy', np.ones(5)),
    'another shape': lambda cache: np.save(cache / 'reward.npy', np.ones(7, np.float32)),
    'no array': lambda cache: (cache / 'action.npy').unlink(),
    'a directory': lambda cache: replace_by_directory(cache / 'discount.npy'),
    'a link': lambda cache: link(cache / 'discount.npy'),
    'a cut index': lambda cache: os.truncate(cache / 'index.json', 40),
    'no JSON': lambda cache: (cache / 'index.json').write_bytes(b'\xff{'),
    'nested JSON': lambda cache: (cache / 'index.json').write_text('[' * 9999),
    'JSON of another kind': lambda cache: (cache / 'index.json').write_text('[1]'),
    'an index without files': edit(files={}),
    'an index of names': edit(files=['observation']),
    'another digest': edit(contents='0' * 64),
    'other notes': edit(notes={'action_range': [0, 1]}),
    'a directory as index': lambda cache: replace_by_directory(cache / 'index.json'),
    'a link to nowhere': lambda cache: (shutil.rmtree(cache), cache.symlink_to('nowhere')),
    'a file': lambda cache: (shutil.rmtree(cache), cache.write_text('mine')),
}  # fmt: skip


@pytest.mark.parametrize('damage', DAMAGES)
def test_what_is_damaged_is_made_again(storage, damage):
    cache = store(ID, [episode(3), episode(2)], spaces=(LINE, UNIT)) / 'flat'
    first = loading.load(ID)
    rewards, fingerprint = np.array(first.transitions.reward), first.fingerprint
    np.testing.assert_array_equal(rewards, [0.5, 1.5, 2.5, 0.5, 1.5])
    DAMAGES[damage](cache)
    second = loading.load(ID)
    np.testing.assert_array_equal(second.transitions.reward, rewards)
    np.testing.assert_array_equal(second.episode_offsets, [0, 3, 5])
    assert second.transitions.reward.dtype == np.float32
    assert second.fingerprint == fingerprint
    assert cache.is_dir() and not cache.is_symlink()


def test_the_cache_of_another_dataset_is_made_again(storage):
    places = [
        store(f'test/{name}-v0', [episode(length)], spaces=(LINE, UNIT))
        for name, length in (('a', 3), ('b', 4))
    ]
    loading.load('test/a-v0')
    loading.load('test/b-v0')
    shutil.rmtree(places[0] / 'flat')
    shutil.copytree(places[1] / 'flat', places[0] / 'flat')
    assert len(loading.load('test/a-v0').transitions.reward) == 3


def test_only_what_changed_on_disk_is_read_to_be_compared(storage, monkeypatch):
    place = store(ID, [episode(3)], spaces=(LINE, UNIT)) / 'flat'
    loading.load(ID)
    looked_at = []
    checksum = disk.checksum
    monkeypatch.setattr(disk, 'checksum', lambda file: looked_at.append(file.name) or checksum(file))
    monkeypatch.setattr(flat, 'episodes', lambda source: pytest.fail('read again'))
    loading.load(ID)
    assert looked_at == []
    os.utime(place / 'reward.npy')
    loading.load(ID)
    assert looked_at == ['reward.npy']
    # As after a copy, in which all files are new: once, and not at each load.
    loading.load(ID)
    assert looked_at == ['reward.npy']


def test_a_cache_that_cannot_be_written_is_compared_each_time(storage, monkeypatch):
    place = store(ID, [episode(3)], spaces=(LINE, UNIT)) / 'flat'
    loading.load(ID)
    os.utime(place / 'reward.npy')

    def refuse(file, text):
        raise OSError(errno.EROFS, 'Read-only file system', str(file))

    monkeypatch.setattr(disk, 'write_text', refuse)
    monkeypatch.setattr(flat, 'episodes', lambda source: pytest.fail('read again'))
    for _ in range(2):
        np.testing.assert_array_equal(loading.load(ID).transitions.reward, [0.5, 1.5, 2.5])


def refuse(where):
    """check_directory of a machine on which one directory is read-only."""
    try_it = disk.check_directory

    def check(path):
        if path.is_relative_to(where):
            raise OSError(30, 'Read-only file system', str(path))
        try_it(path)

    return check


def test_beside_data_that_are_only_read_it_is_the_users(storage, tmp_path, monkeypatch):
    path = store(ID, [episode(3)], spaces=(LINE, UNIT))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'mine'))
    monkeypatch.setattr(disk, 'check_directory', refuse(storage))
    first = loading.load(ID)
    assert {entry.name for entry in path.iterdir()} == {'data'}
    (kept,) = (tmp_path / 'mine' / 'offline-rl-jax').iterdir()
    assert {entry.name for entry in kept.iterdir()} == {'flat'}
    monkeypatch.setattr(flat, 'episodes', lambda source: pytest.fail('read again'))
    assert loading.load(ID).fingerprint == first.fingerprint
    monkeypatch.undo()


def test_without_any_place_it_is_one_sentence(storage, tmp_path, monkeypatch):
    path = store(ID, [episode(3)], spaces=(LINE, UNIT))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'mine'))
    monkeypatch.setattr(disk, 'check_directory', refuse(tmp_path))
    with pytest.raises(DatasetError, match=f'{ID} can be written neither into {path} .Read'):
        loading.load(ID)


def test_a_full_disk_is_an_error_and_leaves_nothing(storage, monkeypatch):
    path = store(ID, [episode(3)], spaces=(LINE, UNIT))

    def full(descriptor, begin, length):
        if length != disk._TRIAL:
            raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'posix_fallocate', full)
        with pytest.raises(OSError, match='No space left on device.*observation.npy'):
            loading.load(ID)
    assert {entry.name for entry in path.iterdir()} == {'data'}
    np.testing.assert_array_equal(loading.load(ID).episode_lengths, [3])

"""What is tried is what then fails or does not, and nothing is left of the trial."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest

from data import disk

LONG = 'a' * 300


@pytest.mark.parametrize(
    ('name', 'number', 'named'),
    [
        ('folder', errno.EISDIR, 'folder'),
        ('file/figure.png', errno.ENOTDIR, 'file'),
        ('file/deeper/figure.png', errno.ENOTDIR, 'file'),
        (LONG, errno.ENAMETOOLONG, LONG),
        (f'new/{LONG}/figure.png', errno.ENAMETOOLONG, f'new/{LONG}'),
        ('/proc/new/figure.png', errno.ENOENT, '/proc/new/figure.png'),
        ('loop/figure.png', errno.ELOOP, 'loop/figure.png'),
        ('astray/figure.png', errno.ENOTDIR, 'astray'),
    ],
)
def test_what_cannot_be_written_is_said_before(tmp_path, name, number, named):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').touch()
    (tmp_path / 'loop').symlink_to('loop')
    (tmp_path / 'astray').symlink_to('nowhere')
    with pytest.raises(OSError) as raised:
        disk.check_file(tmp_path / name)
    assert raised.value.errno == number
    assert raised.value.filename.startswith(str(tmp_path / named)[:200])
    assert {entry.name for entry in tmp_path.iterdir()} == {'folder', 'file', 'loop', 'astray'}


@pytest.mark.parametrize(
    'name', ['figure.png', 'new/deeper/figure.png', 'there.txt', 'folder/x', 'link']
)
def test_what_can_be_written_is_left_as_it_is(tmp_path, name):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'there.txt').write_text('mine')
    (tmp_path / 'link').symlink_to('folder/new.txt')
    before = sorted(tmp_path.rglob('*'))
    disk.check_file(tmp_path / name)
    assert sorted(tmp_path.rglob('*')) == before
    assert (tmp_path / 'there.txt').read_text() == 'mine'


def test_a_full_disk_shows_in_the_trial(tmp_path, monkeypatch):
    def full(descriptor, begin, length):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'posix_fallocate', full)
    with pytest.raises(OSError, match='No space left on device') as raised:
        disk.check_directory(tmp_path / 'new')
    assert raised.value.filename == str(tmp_path / 'new')


def test_an_array_has_its_space_before_it_is_mapped(tmp_path, monkeypatch):
    file = tmp_path / 'array.npy'
    array = disk.new_array(file, np.float64, (1_000, 100))
    assert file.stat().st_blocks * 512 >= array.nbytes
    array[:] = 7
    array.flush()
    np.testing.assert_array_equal(np.load(file), np.full((1_000, 100), 7.0))


def test_where_space_cannot_be_taken_zeros_are_written(tmp_path, monkeypatch):
    def lacking(descriptor, begin, length):
        raise OSError(errno.EOPNOTSUPP, 'Operation not supported')

    monkeypatch.setattr(os, 'posix_fallocate', lacking)
    monkeypatch.setattr(disk, '_ZEROS', bytes(1_000))
    file = tmp_path / 'array.npy'
    array = disk.new_array(file, np.float32, (777,))
    assert file.stat().st_blocks * 512 >= array.nbytes
    np.testing.assert_array_equal(np.load(file), np.zeros(777, np.float32))


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (OSError(errno.ENOSPC, 'x'), '[Errno 28] No space left on device: {path!r}'),
        (RuntimeError('write failed: errno = 28, x'), '[Errno 28] No space left on device: {path!r}'),
        (ValueError("[os_error_code='28']"), '[Errno 28] No space left on device: {path!r}'),
        (ValueError('another 28'), 'another 28'),
        (OSError(errno.ENOSPC, 'x', 'own'), "[Errno 28] x: 'own'"),
        (ConnectionResetError(errno.ECONNRESET, 'x'), '[Errno 104] x'),
        (OSError('2 requested and 1 written'), '2 requested and 1 written'),
        (RuntimeError('another'), 'another'),
    ],
)
def test_only_errors_of_a_disk_get_the_path(tmp_path, error, said):
    with pytest.raises((OSError, type(error))) as raised, disk.writing(tmp_path):
        raise error
    assert str(raised.value) == said.format(path=str(tmp_path))


def test_a_text_that_finds_the_disk_full_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / 'problem.json'
    disk.write_text(file, 'before')

    def full(path, target):
        raise OSError(errno.ENOSPC, 'x')

    monkeypatch.setattr(Path, 'replace', full)
    with pytest.raises(OSError, match='No space left on device') as raised:
        disk.write_text(file, 'after')
    assert raised.value.filename == str(file)
    assert file.read_text() == 'before'


@pytest.mark.parametrize('memory', [799, 801])
def test_maps_that_are_too_large_for_memory_are_read_row_by_row(memory, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, '_memory', lambda: memory)
    array = disk.new_array(tmp_path / 'rows.npy', np.float32, (100,))
    disk.expect_random_reads([array, np.zeros(1000)])
    (flags,) = re.findall(r'rows\.npy\n(?:.+\n)*?VmFlags: (.*)', Path('/proc/self/smaps').read_text())
    # As Linux calls the advice.
    assert ('rr' in flags.split()) == (memory < 2 * array.nbytes)


def test_memory_is_at_most_the_machines():
    pages = int(re.search(r'MemTotal: +(\d+) kB', Path('/proc/meminfo').read_text())[1])
    assert 0 < disk._memory() <= 1024 * pages

"""Building one at a time, whoever fails."""

import os
import threading

import pytest

from data.locking import exclusive


def test_one_at_a_time_though_others_fail(tmp_path, capsys):
    """Each builder removes the lock file, under others who wait for it."""
    lock, inside, most = tmp_path / '.lock', [], []

    def build(index: int) -> None:
        try:
            with exclusive(lock, 'a thing'):
                inside.append(index)
                most.append(len(inside))
                threading.Event().wait(0.01)
                inside.remove(index)
                if index % 2:
                    raise KeyError(index)
        except KeyError:
            pass

    threads = [threading.Thread(target=build, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
        # Some come while others wait, some when the file is new.
        threading.Event().wait(0.004)
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert not lock.exists()
    assert 'a thing is being built by another process: waiting' in capsys.readouterr().err


def test_what_lies_in_its_place_stays_as_it_is(tmp_path):
    lock, other = tmp_path / '.lock', tmp_path / 'precious'
    other.write_text('mine')
    lock.symlink_to(other)
    with pytest.raises(OSError, match='.lock'), exclusive(lock, 'a thing'):
        pytest.fail('a link was followed')
    assert lock.is_symlink() and other.read_text() == 'mine'
    lock.unlink()
    os.link(other, lock)
    with exclusive(lock, 'a thing'):
        assert other.read_text() == 'mine'
    assert lock.read_text() == 'mine'


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo])
def test_a_lock_is_a_file(tmp_path, make):
    make(tmp_path / '.lock')
    with pytest.raises(OSError, match='.lock'), exclusive(tmp_path / '.lock', 'a thing'):
        pytest.fail('it is none')
    assert (tmp_path / '.lock').exists()

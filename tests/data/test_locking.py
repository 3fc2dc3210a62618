"""Building one at a time, whoever fails."""

import threading

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

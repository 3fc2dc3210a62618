"""Workers end with the process that they work for."""

import os
import subprocess
import sys
from pathlib import Path

PARENT = """
import multiprocessing, os, time
from data import workers


def work(writer):
    workers.end_with_parent()
    writer.send('working')
    for _ in range(6_000):
        time.sleep(0.01)


if __name__ == '__main__':
    reader, writer = multiprocessing.Pipe(duplex=False)
    multiprocessing.get_context('spawn').Process(target=work, args=(writer,), daemon=True).start()
    print(reader.recv(), flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_busy_worker_ends_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / 'parent.py'
    script.write_text(PARENT)
    # The worker has its output, which ends with the last of them.
    ended = subprocess.run(
        [sys.executable, script], env=os.environ | {'PYTHONPATH': str(Path.cwd())}, capture_output=True,
        text=True, timeout=30,
    )  # fmt: skip
    assert (ended.stdout, ended.returncode) == ('working\n', -9)

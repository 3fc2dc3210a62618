"""Processes that work for this one, and end with it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process, resource_tracker


def num_cores() -> int:
    """Those that this process may use, fewer than the machine has if it is bound to some."""
    # macOS binds no process to cores.
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Processes that start in this block never see Ctrl-C, which a terminal sends to all of them.

    They are ended by the one that started them, and not by a traceback each.
    """
    # The first process to start would start this one too, and then let the signal through.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Has this process, a worker, end when its parent was killed, whatever it waits for or works at."""

    def wait() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()

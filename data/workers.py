"""Processes that work for this one, and end with it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


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

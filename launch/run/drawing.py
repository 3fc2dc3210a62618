"""Drawing environments on a machine without a display."""

import importlib.util
import os
import subprocess
import sys

# MuJoCo's ways to draw off the screen, the faster one first.
_BACKENDS = ('egl', 'osmesa')
_TRIAL = 'import mujoco; context = mujoco.GLContext(8, 8); context.make_current()'
_SECONDS = 60


def choose_backend() -> str:
    """Sets MUJOCO_GL to a way that works, if there is no display and the user has not chosen.

    Has its full effect only before MuJoCo is imported, which reads it then.

    Returns:
        What to install if none works, a sentence; else ''.
    """
    chosen = any(os.environ.get(name) for name in ('MUJOCO_GL', 'DISPLAY', 'WAYLAND_DISPLAY'))
    if chosen or sys.platform != 'linux' or importlib.util.find_spec('mujoco') is None:
        return ''
    for backend in _BACKENDS:
        if _works(backend):
            os.environ['MUJOCO_GL'] = backend
            return ''
    return (
        'There is no display, and neither of MuJoCo\'s ways to draw without one works, EGL nor OSMesa: '
        'install one, as by apt-get install libosmesa6 (or libegl1, with a GPU).'
    )


def _works(backend: str) -> bool:
    """Whether a process of its own can draw so: what it takes cannot be asked without trying."""
    try:
        tried = subprocess.run(
            [sys.executable, '-c', _TRIAL],
            env=os.environ | {'MUJOCO_GL': backend},
            capture_output=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0

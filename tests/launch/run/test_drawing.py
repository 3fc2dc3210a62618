"""Which way to draw is chosen, and when none is."""

import subprocess

import pytest

from launch.run import drawing


@pytest.fixture
def headless(monkeypatch):
    """A Linux without a display, on which the ways given work; those that were tried."""
    for name in ('MUJOCO_GL', 'DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr('sys.platform', 'linux')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name)

    def made(*working):
        tried = []

        def run(command, env, **kwargs):
            tried.append(env['MUJOCO_GL'])
            if env['MUJOCO_GL'] == 'slow':
                raise subprocess.TimeoutExpired(command, 1)
            return subprocess.CompletedProcess(command, int(env['MUJOCO_GL'] not in working))

        monkeypatch.setattr(subprocess, 'run', run)
        return tried

    return made


@pytest.mark.parametrize(
    ('working', 'chosen', 'tried'),
    [(('egl', 'osmesa'), 'egl', ['egl']), (('osmesa',), 'osmesa', ['egl', 'osmesa'])],
)
def test_the_first_way_that_works_is_chosen(headless, monkeypatch, working, chosen, tried):
    monkeypatch.setenv('MUJOCO_GL', '')
    were_tried = headless(*working)
    assert drawing.choose_backend() == ''
    assert drawing.os.environ['MUJOCO_GL'] == chosen and were_tried == tried


def test_what_to_install_is_said_where_none_works(headless, monkeypatch):
    headless()
    said = drawing.choose_backend()
    assert 'libosmesa6' in said and 'libegl1' in said and '\n' not in said
    assert 'MUJOCO_GL' not in drawing.os.environ
    monkeypatch.setattr(drawing, '_BACKENDS', ('slow',))
    assert drawing.choose_backend() == said


@pytest.mark.parametrize('name', ['MUJOCO_GL', 'DISPLAY', 'WAYLAND_DISPLAY'])
def test_whoever_has_chosen_or_a_display_keeps_it(headless, monkeypatch, name):
    tried = headless('egl')
    monkeypatch.setenv(name, 'mine')
    assert drawing.choose_backend() == '' and not tried

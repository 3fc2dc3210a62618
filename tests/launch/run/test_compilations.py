"""What is compiled is kept for later programs, and nothing about that ends one."""

import os
import warnings

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from launch.run import compilations
from tests.launch.helpers import Result, program

PROGRAM = """
import jax
from launch import cli

def main(argv):
    {first}
    print(jax.jit(lambda x: 3 * x + 1)(2.0), jax.jit(lambda x: 3 - x)(2.0))

if __name__ == '__main__':
    cli.start(main)
"""
SETTINGS = (
    'jax_compilation_cache_dir', 'jax_persistent_cache_min_compile_time_secs',
    'jax_enable_compilation_cache',
)  # fmt: skip


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where entries go that JAX was told nothing of."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'caches'))
    monkeypatch.setattr(compilations, '_LEAST', 0.0)
    monkeypatch.setattr(warnings, 'showwarning', warnings.showwarning)
    monkeypatch.syspath_prepend(tmp_path)
    jax.config.update('jax_compilation_cache_dir', None)
    compilation_cache.reset_cache()
    yield tmp_path / 'caches/offline-rl-jax/compiled'
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def ran(tmp_path, *flags: str, first: str = 'pass') -> Result:
    (tmp_path / 'small_program.py').write_text(PROGRAM.format(first=first))
    return program('small_program', *flags)


def again(tmp_path, *flags: str, first: str = 'pass') -> Result:
    """As another process would: JAX is told nothing, and has opened no cache."""
    jax.config.update('jax_compilation_cache_dir', None)
    compilation_cache.reset_cache()
    return ran(tmp_path, *flags, first=first)


def entries(path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()} if path.exists() else {}


def test_what_is_compiled_is_kept_where_the_user_alone_can_write(tmp_path, kept):
    assert ran(tmp_path) == Result(0, '7.0 1.0\n', '')
    made = entries(kept)
    assert len([name for name in made if name.startswith('jit__lambda-')]) == 2
    assert kept.stat().st_mode & 0o077 == 0
    assert again(tmp_path) == Result(0, '7.0 1.0\n', '')
    assert entries(kept) == made


def test_a_flag_goes_without_and_what_jax_was_told_wins(tmp_path, kept):
    assert ran(tmp_path, '--nocompilation_cache').stdout == '7.0 1.0\n'
    assert entries(kept) == {}
    jax.config.update('jax_enable_compilation_cache', True)
    # As JAX_COMPILATION_CACHE_DIR and its like do.
    jax.config.update('jax_compilation_cache_dir', str(tmp_path / 'own'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    compilation_cache.reset_cache()
    assert ran(tmp_path).stdout == '7.0 1.0\n'
    assert entries(tmp_path / 'own') and entries(kept) == {}


def test_a_damaged_entry_is_said_once_and_made_again(tmp_path, kept):
    ran(tmp_path)
    for name, content in entries(kept).items():
        (kept / name).write_bytes(content[: len(content) // 2])
    damaged = again(tmp_path)
    assert (damaged.returncode, damaged.stdout, damaged.stderr.count('\n')) == (0, '7.0 1.0\n', 1)
    assert f'compiled again: reading an entry of {kept} failed' in damaged.stderr
    assert again(tmp_path) == Result(0, '7.0 1.0\n', '')


def test_a_cache_that_cannot_be_written_is_said_once(tmp_path, kept, monkeypatch):
    lost = f'p = pathlib.Path("{kept}"); p.rename(p.with_name("old")); p.touch()'
    filled = ran(tmp_path, first=f'import pathlib; jax.jit(lambda x: 5 * x)(2.0); {lost}')
    assert (filled.returncode, filled.stdout, filled.stderr.count('\n')) == (0, '7.0 1.0\n', 1)
    assert f'writing an entry of {kept}' in filled.stderr
    monkeypatch.setenv('XDG_CACHE_HOME', str(kept))
    refused = again(tmp_path)
    assert (refused.returncode, refused.stdout, refused.stderr.count('\n')) == (0, '7.0 1.0\n', 1)
    assert f'it cannot be kept in {kept}' in refused.stderr


def test_what_was_not_used_for_longest_goes(tmp_path, kept, monkeypatch):
    (kept / 'below').mkdir(parents=True)
    for age, name in enumerate(('new', 'used', 'below/old')):
        (kept / name).write_bytes(bytes(100))
        os.utime(kept / name, (1e9 - age, 1e9 - age))
    os.utime(kept / 'used', (2e9, 1e9))
    monkeypatch.setattr(compilations, '_MOST', 250)
    compilations.keep()
    assert {file.name for file in kept.rglob('*') if file.is_file()} == {'new', 'used'}

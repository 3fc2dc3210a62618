"""Configs as programs read and print them."""

import importlib
import json

import jax
import pytest
from absl import flags
from ml_collections import ConfigDict, FieldReference

from launch import cli
from launch.configs import as_python, online
from tests.launch.helpers import program, small_config

FILES = sorted(file.stem for file in cli._CONFIGS.glob('[!_]*.py') if file.stem != 'base')
EVERY = [
    (name, domain)
    for name in FILES
    for module in [importlib.import_module(f'launch.configs.{name}')]
    for domain in (online._ALGORITHMS if name == 'online' else module.DOMAINS)
]


def run_text(text: str) -> ConfigDict:
    space = {}
    exec(text, space)
    return space['get_config']()


def references(config: ConfigDict, path: str = '') -> dict[int, list[str]]:
    """The paths of the leaves that are one reference, by the reference."""
    found = {}
    for key, value in config.items(preserve_field_references=True):
        if isinstance(value, ConfigDict):
            for shared, paths in references(value, f'{path}{key}.').items():
                found.setdefault(shared, []).extend(paths)
        elif isinstance(value, FieldReference):
            found.setdefault(id(value), []).append(path + key)
    return found


def shared(config: ConfigDict) -> list[list[str]]:
    return sorted(sorted(paths) for paths in references(config).values() if len(paths) > 1)


@pytest.mark.parametrize(('name', 'domain'), EVERY, ids='-'.join)
def test_what_is_printed_is_the_config(name, domain):
    config = importlib.import_module(f'launch.configs.{name}').get_config(domain)
    again = run_text(as_python(config))
    assert again.to_dict() == config.to_dict()
    assert repr(again.to_dict()) == repr(config.to_dict())
    assert shared(again) == shared(config)


def test_references_and_infinities_survive():
    config = ConfigDict({'a': 1, 'b': {'c': 2.0, 'd': (float('inf'), 1.0)}, 'e': float('-inf')})
    config.h = 'runs/inf/nan is inf'
    config.b.f = config.get_ref('a')
    config.b.g = config.b.get_ref('c')
    again = run_text(as_python(config))
    assert again.to_dict() == config.to_dict()
    again.a, again.b.c = 5, 7.0
    assert (again.b.f, again.b.g) == (5, 7.0)


def test_a_printed_config_is_launched_from_anywhere(cartpole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = small_config(cartpole, 'bc', run_dir=str(tmp_path / 'run'))
    (tmp_path / 'mine.py').write_text(as_python(small))
    printed = program('launch.train', '--config=mine.py', '--config.seed=3', '--print_config')
    assert printed.returncode == 0 and not (tmp_path / 'run').exists()
    # Two keys that are one reference.
    seeded = small.to_dict() | {'seed': 3, 'ope': small.ope.to_dict() | {'seed': 3}}
    assert run_text(printed.stdout).to_dict() == seeded
    (tmp_path / 'mine.py').write_text(printed.stdout)
    trained = program('launch.train', '--config=mine.py')
    assert trained.returncode == 0, trained.stderr
    assert 'BC on test/cartpole-v0' in trained.stdout and (tmp_path / 'run/summary.json').exists()
    assert 'mine' not in flags.FLAGS


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['launch.train'], "'algorithm': 'iql'"),
        (['launch.train_online', '--from_run=somewhere'], "'from_run': 'somewhere'"),
        (['launch.ope', 'run'], "'behaviour': 'auto'"),
        (['launch.compare', 'launch/configs/bc.py:sepsis', '--num_seeds=2'], "'num_seeds': 2"),
    ],
)
def test_every_program_with_a_config_prints_it(arguments, words, monkeypatch):
    monkeypatch.chdir(cli._CONFIGS.parents[1])
    result = program(*arguments, '--print_config')
    assert result.returncode == 0, result.stderr
    assert words in result.stdout


SHOP = """
import gymnasium as gym, numpy as np

class Shop(gym.Env):
    observation_space = gym.spaces.Box(-50, 50, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return np.zeros(4, np.float32), {}
    def step(self, action):
        return np.ones(4, np.float32), -1.0, False, False, {}

gym.register('shop/Shop-v0', entry_point='shop_of_ones_own:Shop', max_episode_steps=7)
"""


def test_a_package_of_ones_own_brings_the_environment(cartpole, tmp_path, monkeypatch):
    (tmp_path / 'shop_of_ones_own.py').write_text(SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    # For the processes that act.
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr('data.workers.num_cores', lambda: 2)
    small = small_config(cartpole, 'bc', run_dir=str(tmp_path / 'run'), final_eval_episodes=17)
    (tmp_path / 'mine.py').write_text(as_python(small))
    there = (f'--config={tmp_path / "mine.py"}', '--config.env_id=shop/Shop-v0')
    unknown = program('launch.train', *there)
    assert unknown.returncode == 1 and '--import=PACKAGE' in unknown.stderr
    missing = program('launch.train', *there, '--import=no_such_package')
    assert missing.returncode == 1 and '--import=no_such_package: it cannot be' in missing.stderr
    (tmp_path / 'one_that_ends.py').write_text('raise SystemExit(0)')
    ended = program('launch.train', *there, '--import=one_that_ends')
    assert ended.returncode == 1 and 'one_that_ends: it cannot be imported (SystemExit' in ended.stderr
    trained = program('launch.train', *there, '--import=shop_of_ones_own')
    assert trained.returncode == 0, trained.stderr
    summary = json.loads((tmp_path / 'run' / 'summary.json').read_text())
    assert summary['settings'][0]['return']['mean'] == -7


def test_memory_that_runs_out_is_one_sentence_and_other_faults_are_not():
    def ended(error):
        with cli._sentences():
            raise error

    for error in (MemoryError(), jax.errors.JaxRuntimeError('INTERNAL: Out of memory, 8 bytes\n more')):
        with pytest.raises(SystemExit, match='error: there is not enough memory for as many .*$'):
            ended(error)
    with pytest.raises(jax.errors.JaxRuntimeError, match='other'):
        ended(jax.errors.JaxRuntimeError('INTERNAL: other'))

"""Tests of launch/run/directory.py."""

import json

import pytest

from algorithms import ALGORITHMS
from launch.cli import UserError
from launch.configs import base
from launch.run import directory
from tests.launch.helpers import small_config


def test_keys_that_came_after_a_run_had_their_default_values(tmp_path):
    config = small_config('a/b-v0')
    directory.create(tmp_path, config)
    plain = json.loads((tmp_path / 'config.json').read_text())
    del plain['keep_checkpoints'], plain['ope']['num_updates']
    (tmp_path / 'config.json').write_text(json.dumps(plain))
    assert directory.holds(tmp_path, config, resume=True)
    config.keep_checkpoints = 2
    with pytest.raises(UserError, match='differs in keep_checkpoints;'):
        directory.holds(tmp_path, config, resume=True)


def test_a_path_is_of_what_is_not_usual(monkeypatch):
    config = small_config('a/b-v0')
    before = directory.default_path(config, 'a/b-v0')
    other = small_config('a/b-v0', **{'hparams.expectile': 0.8})
    nested = small_config('a/b-v0', **{'ope.num_refits': 7})
    assert len({before, *(directory.default_path(each, 'a/b-v0') for each in (other, nested))}) == 3
    made = base.get_config

    def later(*arguments, **values):
        defaults = made(*arguments, **values)
        defaults.came_later = 0
        return defaults

    monkeypatch.setattr(base, 'get_config', later)
    assert directory.default_path(small_config('a/b-v0'), 'a/b-v0') == before


def test_a_run_of_an_algorithm_of_ones_own_is_read(tmp_path, monkeypatch):
    config = small_config('a/b-v0', 'bc')
    directory.create(tmp_path, config)
    file = tmp_path / 'config.json'
    file.write_text(file.read_text().replace('"bc"', '"mine"'))
    with pytest.raises(UserError, match='names none of the algorithms awac, bc'):
        directory.load_config(tmp_path)
    monkeypatch.setitem(ALGORITHMS, 'mine', ALGORITHMS['bc'])
    found = directory.load_config(tmp_path)
    assert (found.algorithm, found.network.dropout_rate) == ('mine', 0.0)
    file.write_text(file.read_text().replace('"dropout_rate": 0.0', '"dropout_rate": 2.0'))
    with pytest.raises(UserError, match=r'network.dropout_rate is 2.0; valid: a number in \[0, 1\)'):
        directory.load_config(tmp_path)


def test_a_run_is_called_by_its_name_and_by_what_it_learns_from():
    config = small_config('a/b-v0', 'iql')
    assert directory.title(config) == 'IQL'
    config.top_fraction, config.n_step, config.chunk = 0.1, 5, 2
    assert directory.title(config) == '10 % IQL, n_step 5, chunk 2'
    del config.n_step, config.chunk
    config.name = 'Mine'
    assert directory.title(config) == '10 % Mine'

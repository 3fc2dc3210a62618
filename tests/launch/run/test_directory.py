"""Tests of launch/run/directory.py."""

import json

import pytest

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

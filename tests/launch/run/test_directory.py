"""Tests of launch/run/directory.py."""

import json

import pytest

from launch.cli import UserError
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

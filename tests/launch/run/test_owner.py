"""Tests of launch/run/owner.py."""

import os
import platform

import pytest

from launch import train
from launch.cli import UserError
from launch.run import owner
from tests.launch.helpers import small_config


def test_a_run_that_is_being_trained_is_left_alone(pendulum, tmp_path):
    path = tmp_path / 'deep' / 'run'
    said = f'{path} is being trained by process {os.getpid()} on {platform.node()}: '
    with owner.alone(path):
        with pytest.raises(UserError, match=said):
            train.train(small_config(pendulum, 'bc', run_dir=str(path)))
        assert [each.name for each in path.iterdir()] == [owner.LOCK]
        assert owner.holder(path) in said
    # Nothing came into it.
    assert not path.parent.exists() and not owner.holder(path)


def test_the_lock_of_a_killed_process_is_none(tmp_path):
    (tmp_path / owner.LOCK).write_text('process 1 on elsewhere')
    with owner.alone(tmp_path):
        assert str(os.getpid()) in (tmp_path / owner.LOCK).read_text()
    assert tmp_path.exists() and not (tmp_path / owner.LOCK).exists()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    other = tmp_path / 'other'
    other.write_text('mine')
    (tmp_path / owner.LOCK).symlink_to(other)
    with pytest.raises(UserError, match='is a link'), owner.alone(tmp_path):
        pass
    assert other.read_text() == 'mine'

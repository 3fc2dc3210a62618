"""Tests of launch/experiments/antmaze.py."""

import numpy as np

from launch import train
from launch.configs import bc, iql, rebrac
from launch.experiments import antmaze
from launch.report import summary
from launch.run import directory
from tests.launch.helpers import members_of


def test_methods_differ_in_nothing_but_themselves():
    for task, (dataset, *_) in antmaze.TASKS.items():
        for config in antmaze.configs(task):
            train.validate(config)
            assert config.dataset == dataset and len(members_of(config)) == 3
            assert config.num_updates == (50_000 if config.algorithm == 'bc' else 300_000)
            assert config.final_eval_episodes == 100
    config = antmaze.config_for(iql, 'antmaze-umaze')
    assert (config.reward_shift, config.hparams.expectile) == (-1.0, 0.9)
    own = antmaze.config_for(rebrac, 'antmaze-medium-play').hparams.actor_penalty
    assert own == rebrac.get_config('antmaze-medium-play').hparams.actor_penalty
    assert bc.get_config('antmaze').network.hidden_sizes == (256, 256)


def test_every_method_is_published_on_every_task():
    names = {directory.title(config) for task in antmaze.TASKS for config in antmaze.configs(task)}
    for task in antmaze.TASKS:
        assert names == {name for name in antmaze.published()[task] if name != 'task'}


def test_table_and_figure(tmp_path):
    score = summary.interval(np.array([90.0, 95.0, 100.0]))
    results = [
        antmaze.Result(task, name, 300_000, score, 83.3 if name == 'IQL' else None, 90.0)
        for task in antmaze.TASKS
        for name in ('BC', 'IQL')
    ]
    shown = antmaze.table(results)
    assert '| antmaze-umaze | IQL | 95.0 | [90.0, 100.0] | 83 | 300,000 | 2 |' in shown
    assert '| antmaze-medium-play | BC | 95.0 | [90.0, 100.0] |  | 300,000 | 2 |' in shown
    antmaze.draw(results, tmp_path / 'antmaze.png')
    assert (tmp_path / 'antmaze.png').exists()

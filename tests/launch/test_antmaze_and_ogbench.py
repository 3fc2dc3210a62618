"""Tests of launch/experiments/antmaze_and_ogbench.py."""

import numpy as np
import pytest

from launch import train
from launch.cli import UserError
from launch.configs import bc, iql, rebrac
from launch.experiments import antmaze_and_ogbench as experiment
from launch.report import summary
from launch.run import directory
from tests.launch.helpers import members_of


def test_methods_differ_in_nothing_but_themselves():
    for task, (dataset, _, _, episodes, values) in experiment.TASKS.items():
        for config in experiment.configs(task):
            train.validate(config)
            assert config.dataset == dataset and len(members_of(config)) == 3
            expected = 50_000 if config.algorithm == 'bc' else values['num_updates']
            assert config.num_updates == expected and config.final_eval_episodes == episodes
            assert config.goals.future if 'navigate' in task else not config.goals.future
    config = experiment.config_for(iql, 'antmaze-umaze')
    assert (config.reward_shift, config.hparams.expectile) == (-1.0, 0.9)
    own = experiment.config_for(rebrac, 'antmaze-medium-play').hparams.actor_penalty
    assert own == rebrac.get_config('antmaze-medium-play').hparams.actor_penalty
    assert bc.get_config('antmaze').network.hidden_sizes == (256, 256)


def test_sizes_differ_in_one_thing_each():
    first, *others = experiment.limited_configs().values()
    first.unlock()
    del first.eval_interval
    for config in others:
        train.validate(config)
        config.unlock()
        del config.eval_interval
        plain, changed = (each.to_dict() for each in (first, config))
        assert sum(plain[key] != changed[key] for key in plain) == 1


def test_every_method_is_published_on_every_task_with_rewards():
    for task, published in experiment.published().items():
        names = {directory.title(config) for config in experiment.configs(task)}
        assert names == {name for name, value in published.items() if value and name != 'task'}


def test_tables_and_figure(tmp_path):
    score = summary.interval(np.array([90.0, 95.0, 100.0]))
    results = [
        experiment.Result(task, name, 300_000, score, 83.3 if name == 'IQL' else None, 90.0)
        for task in experiment.TASKS
        for name in ('BC', 'IQL')
    ]
    shown = experiment.table(results)
    assert '| antmaze-umaze | IQL | 95.0 | [90.0, 100.0] | 83 | 300,000 | 2 |' in shown
    assert '| antmaze-medium-play | BC | 95.0 | [90.0, 100.0] |  | 300,000 | 2 |' in shown
    limited = experiment.limited_table({'as above': results[1]}, {'as above': np.array([0.4, 0.7])})
    assert '| as above | 95.0 | [90.0, 100.0] | 300,000 | 2 | 50% | 50% | 100% |' in limited
    for some in (results, results[:2]):
        experiment.draw(some, tmp_path / 'success.png')
        assert (tmp_path / 'success.png').exists()
        (tmp_path / 'success.png').unlink()


def test_an_unknown_task_is_refused():
    with pytest.raises(UserError, match="no task 'antmaze' here; valid: antmaze-umaze, "):
        experiment.main(['antmaze'])

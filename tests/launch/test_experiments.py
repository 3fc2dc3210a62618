from collections.abc import Callable

import pytest

from launch import members, train
from launch.experiments import alpha_sweep, case_files


@pytest.mark.parametrize(
    ('configs', 'num_members'), [(case_files.configs, [10] * 5), (alpha_sweep.configs, [50])]
)
def test_configs_are_valid_and_on_one_footing(configs: Callable, num_members: list[int]):
    found = configs()
    for config in found:
        train.validate(config)
    assert [len(members.members(config)) for config in found] == num_members
    for key in ('dataset', 'num_updates', 'batch_size', 'final_eval_episodes'):
        assert len({config[key] for config in found}) == 1
    assert len({config.network.hidden_sizes for config in found}) == 1

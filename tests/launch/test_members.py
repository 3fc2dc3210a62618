import numpy as np
import pytest

from algorithms import iql
from launch import members
from launch.cli import UserError
from tests.launch.helpers import small_config


def test_members_are_the_product_of_sweep_and_seeds():
    config = small_config('', num_seeds=2, seed=7)
    config.sweep.expectile = (0.5, 0.9)
    config.sweep.discount = (0.9, 0.99)
    run = members.members(config)
    assert len(run) == 8
    assert run[0] == ({'discount': 0.9, 'expectile': 0.5}, 7)
    assert run[1] == ({'discount': 0.9, 'expectile': 0.5}, 8)
    assert len({(tuple(sorted(m.setting.items())), m.seed) for m in run}) == 8
    hparams = members.stack_hparams(iql, config, run)
    for index, member in enumerate(run):
        assert hparams.expectile[index] == np.float32(member.setting['expectile'])
        assert hparams.discount[index] == np.float32(member.setting['discount'])
    assert np.all(np.asarray(hparams.target_rate) == np.float32(0.005))
    assert run[-1].label == 'discount=0.99, expectile=0.9'


def test_a_sweep_over_a_name_that_does_not_exist_lists_the_names():
    config = small_config('')
    config.sweep.unlock()
    config.sweep.expectiles = (0.5,)
    with pytest.raises(UserError, match=r"no hyperparameter 'expectiles'.*discount.*expectile"):
        members.members(config)


@pytest.mark.parametrize('values', [(0.5, 0.5), ('high',)])
def test_a_sweep_needs_different_numbers(values):
    config = small_config('')
    config.sweep.expectile = values
    with pytest.raises(UserError, match='config.sweep.expectile'):
        members.members(config)


def test_a_run_needs_a_seed():
    with pytest.raises(UserError, match='config.num_seeds is 0'):
        members.members(small_config('', num_seeds=0))

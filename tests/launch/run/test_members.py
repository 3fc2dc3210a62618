import numpy as np
import pytest

from algorithms import iql
from launch.cli import UserError
from launch.run import members
from tests.launch.helpers import members_of, small_config


def test_members_are_the_product_of_sweep_and_seeds():
    config = small_config('', num_seeds=2, seed=7)
    config.sweep.expectile = (0.5, 0.9)
    config.sweep.gamma = (0.9, 0.99)
    found = members_of(config)
    assert len(found) == 8
    assert found[0] == ({'expectile': 0.5, 'gamma': 0.9}, 7)
    assert found[1] == ({'expectile': 0.5, 'gamma': 0.9}, 8)
    assert len({(tuple(sorted(m.setting.items())), m.seed) for m in found}) == 8
    hparams = members.stack_hparams(iql, config.hparams.to_dict(), found)
    for index, member in enumerate(found):
        assert hparams.expectile[index] == np.float32(member.setting['expectile'])
        assert hparams.gamma[index] == np.float32(member.setting['gamma'])
    assert np.all(np.asarray(hparams.target_rate) == np.float32(0.005))
    assert found[-1].label == 'expectile=0.9, gamma=0.99'


def test_a_sweep_over_a_name_that_does_not_exist_lists_the_names():
    config = small_config('')
    config.sweep.unlock()
    config.sweep.expectiles = (0.5,)
    with pytest.raises(UserError, match=r"no hyperparameter 'expectiles'.*expectile.*gamma"):
        members_of(config)


@pytest.mark.parametrize('values', [(0.5, 0.5), ('high',)])
def test_a_sweep_needs_different_numbers(values):
    config = small_config('')
    config.sweep.expectile = values
    with pytest.raises(UserError, match='config.sweep.expectile'):
        members_of(config)


def test_a_run_needs_a_seed():
    with pytest.raises(UserError, match='config.num_seeds is 0'):
        members_of(small_config('', num_seeds=0))

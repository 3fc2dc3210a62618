"""Bad values of every key of every config: one sentence each.

What a value should do is said here without the ranges of the code: values of another type, NaN, and
what the lists below do not except are refused by name before any data are read; all others get as far
as the data (Reached).
"""

import math
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from data import loading, problem
from data.types import DatasetError
from launch import ope, train, train_online
from launch.cli import UserError
from launch.configs import online
from launch.configs import ope as ope_config
from launch.run import learners, speed
from tests.algorithms.helpers import CONFIGS

INF, NAN = math.inf, math.nan
# Of the right type, but of no use to most keys.
STRANGE = (-1, -1.0, 0, 0.0, INF, -INF, 1e30, 2**40, 0.5, 3, (), (0,), (-1.0, 0.5), (NAN,), ('x',),
           'abc', '', 'x' * 5_000, 'a\0b', b'abc', None, NAN, {}, 10**400, True)  # fmt: skip
# Keys, by the end of their name, for which a value is as good as any other of their type.
SIGNED = {'reward_scale', 'reward_shift', 'target_gap', 'target_entropy_per_dimension', 'target_returns'}
INFINITE = {'actor_decay_updates', 'bc_warm_start_updates', 'max_gradient_norm', 'noise_clip',
            'max_advantage', 'max_exponent', 'reward_bound'}  # fmt: skip
ZERO_INT = {'max_episode_steps', 'seed', 'num_refits', 'random_steps', 'num_random_actions',
            'num_target_critics'}  # fmt: skip
ANY_TEXT = {'name', 'dataset', 'env_id', 'run_dir', 'from_run', 'output', 'preferences'}


class Reached(DatasetError):
    """All values were taken, and the data are asked for."""


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    def reach(*arguments, **named):
        raise Reached('reached')

    for module, name in (
        (loading, 'load'), (problem, 'from_environment'), (problem, 'load'), (learners, 'build'),
        (speed, 'update_flops'),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, reach)
    monkeypatch.chdir(tmp_path)


def configs():
    """(name, config, what runs it), each domain of each file of launch/configs."""
    for name, module in CONFIGS.items():
        for domain in module.DOMAINS:
            config = module.get_config(domain)
            config.dataset = config.dataset or 'test/none-v0'
            if 'preferences' in config:
                config.preferences = 'none.csv'
            yield f'{name}:{domain}', config, train.train
    for name in online._ALGORITHMS:
        yield f'online:{name}', online.get_config(name), train_online.train_online
    for domain in ope_config.DOMAINS:
        config = ope_config.get_config(domain)
        config.dataset = config.dataset or 'test/none-v0'
        yield f'ope:{domain}', config, lambda config: ope.judge(config, [Path('none')])


def leaves(config: ConfigDict, path: str = ''):
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from leaves(value, f'{path}{key}.')
        else:
            yield path + key, value


def one_of_each():
    """A config of each file with those of its leaves that are its algorithm's, or new."""
    files, known = set(), set()
    for name, config, run in EVERY:
        file = name if 'online' in name else name.partition(':')[0]
        if file not in files:
            files.add(file)
            yield name, config, run, {
                path: value for path, value in leaves(config)
                if path.startswith(('hparams', 'sweep', 'network')) or (path, run) not in known
            }  # fmt: skip
            known |= {(path, run) for path, _ in leaves(config)}


EVERY = list(configs())
# The domains of a file differ in values alone, as is tested.
EACH = list(one_of_each())


def outcome(run, config) -> str:
    """'reached', or the sentence of the refusal; anything else is an error."""
    try:
        run(config)
    except Reached:
        return 'reached'
    except OSError as error:
        # A path that cannot be: the program says so.
        return f'reached {error.strerror}'
    except UserError as error:
        # Runs are looked for after all is validated.
        return 'reached' if 'holds no run' in str(error) else str(error)
    raise AssertionError('it ran')


def must_be_refused(path: str, default, value) -> bool:
    """By its type, or as what most keys cannot be."""
    key = path.rpartition('.')[2]
    if path.startswith('sweep') or isinstance(default, tuple):
        one = 2 if key.endswith('hidden_sizes') else 0.5
        if not isinstance(value, tuple) or (key == 'vae_hidden_sizes' and not value):
            return True
        return any(must_be_refused(key, one, each) for each in value)
    if isinstance(default, bool) or isinstance(value, bool):
        return not (isinstance(default, bool) and isinstance(value, bool))
    # Empty, it is off.
    if key == 'future' and value == '':
        return False
    if isinstance(default, str):
        if not isinstance(value, str) or '\0' in value or key not in ANY_TEXT:
            return True
        return key in ('dataset', 'preferences') and bool(default) and not value
    if isinstance(default, int):
        least = 0 if key in ZERO_INT else 1
        return not isinstance(value, int) or not least <= value < 2**32
    if not isinstance(value, int | float):
        return True
    if value in (INF, -INF):
        return value < 0 or key not in INFINITE
    return not abs(value) < 3.4e38 or (value < 0 and key not in SIGNED)


@pytest.mark.parametrize(('name', 'config', 'run'), EVERY, ids=[name for name, *_ in EVERY])
def test_the_configs_of_the_repository_are_valid(name, config, run):
    assert outcome(run, config.copy_and_resolve_references()) == 'reached'
    first = next(each for other, each, _ in EVERY if other.split(':')[0] == name.split(':')[0])
    if 'online' not in name:
        kinds = [{path: type(value) for path, value in leaves(each)} for each in (config, first)]
        assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ('algorithm', 'key', 'value'),
    [('edac', 'network.num_critics', 1), ('edac', 'hparams.eta', -0.5),
     ('edac', 'sweep.eta', (1.0, -0.5)), ('rebrac', 'hparams.critic_penalty', -0.1),
     ('rebrac', 'hparams.actor_penalty', -0.1)],
)  # fmt: skip
def test_values_that_only_one_algorithm_refuses(algorithm, key, value):
    config = ConfigDict(CONFIGS[algorithm].get_config().to_dict(), type_safe=False)
    config.update_from_flattened_dict({key: value})
    said = outcome(train.train, config)
    assert key.rpartition('.')[2] in said and said.endswith('.') and '\n' not in said


@pytest.mark.parametrize(('config', 'run', 'own'), [each[1:] for each in EACH],
                         ids=[each[0] for each in EACH])  # fmt: skip
def test_bad_values_in_a_config_file(config, run, own):
    # A file of the user's knows no types.
    loose = ConfigDict(config.to_dict(), type_safe=False)
    for path, default in own.items():
        taken = []
        for value in STRANGE:
            loose.update_from_flattened_dict({path: value})
            said = outcome(run, loose)
            if said.startswith('reached'):
                assert not must_be_refused(path, default, value), (path, value)
                taken.append(value)
                continue
            assert path.rpartition('.')[2] in said and said.endswith('.'), (path, value, said)
            assert len(said) < 500 and '\n' not in said
        assert len(taken) < len(STRANGE) / 2, path
        loose.update_from_flattened_dict({path: default})
    assert outcome(run, loose) == 'reached'

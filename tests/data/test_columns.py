"""The columns of an ingested table, as its dataset and its runs keep them."""

import json

import numpy as np
import pytest

from data import columns, loading, problem
from data.columns import Columns, Feature
from data.types import DatasetError, Spec
from tests.conftest import collect, store
from tests.data import helpers

FEATURES = (
    Feature('age', 'age', carried=True, fill=50.0),
    Feature('ward=surgery', 'ward', 'category', category='surgery'),
    Feature('seen', 'seen', 'time', origin='2026-01-01T00:00:00'),
    Feature('age missing', 'age', 'missing'),
)
TABLE = Columns(FEATURES, ('fluids', 'vaso'), ((0, 0), (0, 2)), 'patient', 'survived', order='visit')


def test_they_come_back_from_plain_data():
    assert columns.from_json(json.loads(json.dumps(TABLE.to_json())), 'here') == TABLE


@pytest.mark.parametrize(
    'plain',
    [
        {},
        TABLE.to_json() | {'shape': 3},
        TABLE.to_json() | {'features': 7},
        TABLE.to_json() | {'features': [{'kind': 'number'}]},
        TABLE.to_json() | {'features': [Feature('a', 'a', 'colour')._asdict()]},
        TABLE.to_json() | {'features': [Feature('a', 7)._asdict()]},
        TABLE.to_json() | {'features': [Feature('a', 'a', ['number'])._asdict()]},
        TABLE.to_json() | {'features': [Feature('a', 'a', fill='0')._asdict()]},
        TABLE.to_json() | {'features': [Feature('a', 'a', fill=float('nan'))._asdict()]},
        TABLE.to_json() | {'features': [Feature('a', 'a', carried=1)._asdict()]},
        TABLE.to_json() | {'features': [Feature('a', 'a', missing=None)._asdict()]},
        TABLE.to_json() | {'labels': [{'fluids': 0}]},
        TABLE.to_json() | {'labels': [[0, 'some']]},
        TABLE.to_json() | {'actions': [0, 1]},
        TABLE.to_json() | {'episode': None},
        TABLE.to_json() | {'notes': [3]},
    ],
)
def test_a_strangers_are_refused(plain):
    with pytest.raises(DatasetError, match="here: its 'columns'"):
        columns.from_json(plain, 'here')


def test_a_dataset_has_those_of_its_metadata(storage):
    episodes = collect('CartPole-v1', 2, 5)
    store('test/table-v0', episodes, 'CartPole-v1', columns=TABLE.to_json())
    assert loading.load('test/table-v0').problem.columns == TABLE
    few = TABLE._replace(features=FEATURES[:2]).to_json()
    store('test/few-v0', episodes, 'CartPole-v1', columns=few)
    with pytest.raises(DatasetError, match='few-v0: .* name 2 features and 2 labels; it has 4 and 2'):
        loading.load('test/few-v0')


def test_actions_are_given_back_as_the_table_had_them(tmp_path):
    made = helpers.problem(Spec(4, 2, discrete=True))._replace(columns=TABLE)
    np.testing.assert_array_equal(made.actions(np.array([[1], [0]])), [[[0, 2]], [[0, 0]]])
    words = made._replace(columns=TABLE._replace(actions=('drug',), labels=('none', 'some')))
    assert words.actions(np.array([1, 0])).tolist() == ['some', 'none']
    problem.save(words, tmp_path / 'problem.json')
    assert problem.load(tmp_path / 'problem.json').columns == words.columns

"""Tests of launch/run/documents.py."""

import json

import numpy as np
import pytest

from launch.cli import UserError
from launch.run import documents
from launch.run.documents import NUMBER


def test_what_is_not_finite_is_null_and_comes_back_as_nan(tmp_path):
    file = tmp_path / 'a.json'
    documents.write(file, {'mean': np.nan, 'ends': (np.float64(-np.inf), 1.5), 'seeds': 2, 'name': None})
    plain = json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert plain == {'mean': None, 'ends': [None, 1.5], 'seeds': 2, 'name': None}
    assert [each.name for each in tmp_path.iterdir()] == ['a.json']
    found = documents.read(file, {'mean': NUMBER, 'ends': [NUMBER], 'seeds': int})
    np.testing.assert_equal(found, {'mean': np.nan, 'ends': [np.nan, 1.5], 'seeds': 2, 'name': None})


@pytest.mark.parametrize(
    'text, said',
    [
        ('{"a": 1', r'a.json is damaged: it is no JSON \(.+\)\.'),
        ('[' * 100_000, r'a.json is damaged: it is no JSON \(.+\)\.'),
        ('[1]', r'a.json is damaged: all of it is \[1\], not an object\.'),
        ('{}', r"a.json is damaged: it has no 'a'\."),
        ('{"a": {"b": "x", "c": []}}', r'a.json is damaged: a.b is "x", not a number\.'),
        ('{"a": {"b": true, "c": []}}', r'a.json is damaged: a.b is true, not a number\.'),
        ('{"a": {"b": 1, "c": [1, 2.5]}}', r'a.json is damaged: a.c\[1\] is 2.5, not a whole number\.'),
        ('{"a": {"b": 1, "c": 7}}', r'a.json is damaged: a.c is 7, not a list\.'),
    ],
)
def test_damage_names_the_file_and_the_key(text, said, tmp_path):
    file = tmp_path / 'a.json'
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        documents.read(file, {'a': {'b': NUMBER, 'c': [int]}})

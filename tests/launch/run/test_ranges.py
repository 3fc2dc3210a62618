"""The notation of ranges, and where every range stands."""

import dataclasses
import math

import pytest
from ml_collections import ConfigDict

from algorithms import ALGORITHMS, fqe
from launch.cli import UserError
from launch.run import ranges, validation

INF = math.inf


@pytest.mark.parametrize(
    ('valid', 'inside', 'outside'),
    [
        ('[0, 1]', (0, 1, 0.5, True - 1.0), (-1e-9, 1.01, math.nan, INF, '0', None, True, (0,))),
        # In float32 these are the ends.
        ('(0, 1)', (1e-9, 0.5), (0, 1, 1e-60, 1 - 1e-12)),
        ('[0, inf)', (0, 3e38), (INF, -INF, 1e39, 10**400, -5e-324 - 1)),
        ('(0, inf]', (INF, 1), (0, -INF, math.nan)),
        ('(-inf, 0) or (0, inf)', (-1, 2.5), (0, -0.0, INF, 1e-60, -1e-40)),
        ('int [1, 2**31)', (1, 2**31 - 1), (0, 2**31, 1.0, True, '1')),
        ('int [0, 0] or [2, 1e4]', (0, 2, 10_000), (1, -1, 10_001)),
        # Beyond what float32 tells apart.
        ('int [0, 2**32)', (2**32 - 1,), (2**32,)),
        ('whole [1, inf)', (1, 3.0), (2.5, 0, INF, math.nan)),
        ('tuple of int [1, 1e5]', ((), (1, 2), [3]), ((0,), (1.0,), 5, 'abc', ('x',), None)),
        ('nonempty tuple of int [1, 9]', ((1,), [2, 3]), ((), [], (0,), 5, None)),
        ('tuple of [0, 1]', ((0.5, 1),), ((0.5, 2), (math.nan,), 0.5)),
        ('bool', (True, False), (0, 1, 'True', None)),
        ('text', ('', 'abc', 'é 1'), (b'abc', 0, None, (), 'a\0b', 'a\nb', '\udcff')),
        ("'a', 'b' or 'c d'", ('a', 'b', 'c d'), ('d', '', None, ('a',))),
    ],
)
def test_what_is_in_a_range(valid, inside, outside):
    assert [value for value in inside if not ranges.contains(valid, value)] == []
    assert [value for value in outside if ranges.contains(valid, value)] == []


def test_what_is_no_range_is_found():
    with pytest.raises(ValueError, match="'between 0 and 1' is no range"):
        ranges.contains('between 0 and 1', 0.5)


@pytest.mark.parametrize(
    ('values', 'sentence'),
    [
        ({'a': 2.0, 'b': {'c': ()}}, 'config.a is 2.0; valid: a number in [0, 1].'),
        ({'a': 1e39, 'b': {'c': ()}}, 'config.a is 1e+39; valid: a number in [0, 1] as float32, which '
         'holds 1.2e-38 to 3.4e+38 and 0.'),
        ({'a': 0.0, 'b': {'c': (0,)}}, 'config.b.c is (0,); valid: a tuple of integers in [1, 9].'),
        ({'a': 0.0, 'b': 5}, 'config.b is 5; valid: the keys c.'),
        ({'a': 0.0}, 'config lacks b.'),
        ({'a': 0.0, 'b': {'c': (), 'd': 1}}, "unknown key 'd' in config.b; valid ones: c."),
        ({'a': 'x' * 999, 'b': {'c': ()}},
         f"config.a is '{'x' * 56}...; valid: a number in [0, 1]."),
    ],
)  # fmt: skip
def test_the_sentence_names_key_value_and_range(values, sentence):
    with pytest.raises(UserError) as raised:
        ranges.check(ConfigDict(values), {'a': '[0, 1]', 'b': {'c': 'tuple of int [1, 9]'}})
    assert str(raised.value) == sentence


@pytest.mark.parametrize('module', [*ALGORITHMS.values(), fqe], ids=lambda module: module.NAME)
def test_every_hyperparameter_has_its_range_where_it_is_defined(module):
    found = validation.of_hparams(module)
    assert set(found) == {field.name for field in dataclasses.fields(module.Hyperparameters)}
    for valid in found.values():
        assert not ranges.contains(valid, math.nan)
        assert any(ranges.contains(valid, value) for value in (0.5, 1.0, -1.0))
    assert module.NETWORK and not any(
        ranges.contains(valid, None) for valid in module.NETWORK.values()
    )


# What a stranger tries first: what is just outside, and what is just inside.
ENDS = {
    'gamma': ((-0.001, 1.001), (0.0, 1.0)),
    'expectile': ((0.0, 1.0), (0.001, 0.999)),
    'threshold': ((-0.1, 1.0), (0.0, 0.99)),
    'target_rate': ((-0.1, 1.1), (0.0, 1.0)),
    'minimum_weight': ((-0.1, 1.1), (0.0, 1.0)),
    'target_period': ((0.0, 1.5), (1.0, 100.0)),
    'policy_delay': ((0.0, 2.5), (1.0, 2.0)),
    'actor_decay_updates': ((0.0, -1.0), (0.5, INF)),
    'initial_temperature': ((0.0, INF), (1e-6,)),
    'target_entropy_per_dimension': ((0.7, -INF), (0.69, -5.0)),
    'return_scale': ((0.0, -1.0), (1e-3,)),
    'error_clip': ((0.0, INF), (1e3,)),
}


def test_the_ends_of_ranges_are_those_of_the_papers():
    seen = set()
    for module in (*ALGORITHMS.values(), fqe):
        for name, valid in validation.of_hparams(module).items():
            outside, inside = ENDS.get(name, ((-1.0, INF), (0.0,)) if 'rate' in name else ((), ()))
            seen.add(name)
            assert not any(ranges.contains(valid, value) for value in outside), name
            assert all(ranges.contains(valid, value) for value in inside), name
    assert seen >= set(ENDS)

import json

import jax
import jax.numpy as jnp
import pytest

from algorithms import bc, decision_transformer, preference_reward
from data.types import Spec
from launch import benchmark
from launch.configs import bc as bc_config
from launch.configs import decision_transformer as decision_transformer_config
from launch.configs import preference_reward as preference_reward_config
from launch.run import speed
from tests.launch.helpers import program


def test_a_row_is_consistent():
    config = benchmark.config_of('bc', batch_size=8)
    row = speed.measure(
        'bc', Spec(3, 2, discrete=False), 2, config, updates=3, chunks=1, flops=7.0, matmul=100.0
    )
    assert row['batch_size'] == 8 and row['flop_per_update'] == 7
    assert row['updates_per_second_per_member'] == pytest.approx(row['updates_per_second'] / 2)
    assert row['flops_per_second'] == pytest.approx(
        row['updates_per_second'] * row['flop_per_update']
    )
    assert row['ratio_to_matmul'] == pytest.approx(
        row['flops_per_second'] / row['matmul_flops_per_second']
    )


def test_the_work_of_a_transformer_is_that_of_its_matrix_products():
    config = decision_transformer_config.get_config()
    flops = speed.update_flops(decision_transformer, config, Spec(11, 3, discrete=False), 64)
    tokens, size, layers = 64 * 3 * 20, 128, 4
    # Forward and twice that backward: 12 size^2 weights in a block, and attention over 60 tokens.
    expected = 3 * 2 * tokens * layers * (12 * size**2 + 2 * 60 * size)
    assert expected < flops < 1.2 * expected


def test_the_work_of_bc_is_that_of_its_matrix_products():
    config = bc_config.get_config()
    config.network.hidden_sizes = (256, 256)
    flops = speed.update_flops(bc, config, Spec(11, 3, discrete=False), 256)
    sizes = (11, 256, 256, 3)
    # Forward, and backward to the weights and, but for the first layer, to the inputs.
    products = [2 * 256 * a * b for a, b in zip(sizes[:-1], sizes[1:])]
    expected = 3 * sum(products) - products[0]
    assert expected < flops < 1.1 * expected


def test_the_work_of_a_reward_model_is_that_of_all_steps_of_its_pairs():
    config = preference_reward_config.get_config()
    config.network.hidden_sizes = (32, 32)
    flops = speed.update_flops(preference_reward, config, Spec(11, 3, discrete=False), 16)
    sizes, rows, networks = (14, 32, 32, 1), 16 * 2 * 50, 3
    products = [2 * rows * a * b for a, b in zip(sizes[:-1], sizes[1:])]
    expected = networks * (3 * sum(products) - products[0])
    assert expected < flops < 1.4 * expected
    config.batch_size = 16
    assert speed.matmul_shape(config) == (rows, 32)


def test_rows_are_appended(tmp_path):
    file = tmp_path / 'rows.jsonl'
    for _ in range(2):
        result = program('launch.benchmark', '--algorithm=bc', '--updates=2', '--chunks=1',
                     '--batch_size=8', '--hidden_sizes=5,6', f'--json={file}')  # fmt: skip
        assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 2 and rows[0]['algorithm'] == 'bc' and rows[0]['device']
    assert rows[0]['hidden_sizes'] == [5, 6]


SMALL = {'observation_size': 3, 'action_size': 2, 'batch_size': 8, 'most_updates': 5, 'chunks': 1}


def test_a_suite_chooses_the_actions_and_measures():
    (row,) = benchmark.suite([(3, 'dqn', 'float32')], **SMALL, minutes=10)
    assert (row['members'], row['algorithm'], row['precision']) == (3, 'dqn', 'float32')
    assert row['discrete'] and row['updates_per_second'] > 0


def test_what_there_is_no_time_for_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setattr(speed, 'matmul_rate', lambda *args, **options: 1.0)
    (row,) = benchmark.suite([(1, 'bc', 'float32')], **SMALL, minutes=10)
    assert row['left_out'].startswith('it would take about')
    rows = list(benchmark.suite([(1, 'bc', 'float32')] * 2, **SMALL, minutes=0))
    assert len(rows) == 1 and 'minutes are over' in rows[0]['left_out']


def test_what_does_not_fit_in_memory_is_a_row_and_does_not_end_the_suite(monkeypatch):
    def measure(name, spec, members, *args):
        if members == 8:
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes')
        return {'algorithm': name, 'members': members}

    monkeypatch.setattr(speed, 'measure', measure)
    monkeypatch.setattr(speed, 'update_flops', lambda *args: 1.0)
    monkeypatch.setattr(speed, 'matmul_rate', lambda *args, **options: 1e9)
    table = [(members, 'bc', 'bfloat16') for members in (1, 8, 32)]
    rows = list(benchmark.suite(table, **SMALL, minutes=10))
    assert [row['members'] for row in rows] == [1, 8, 32]
    assert [row.get('out_of_memory', False) for row in rows] == [False, True, False]


def test_another_failure_ends_the_suite(monkeypatch):
    def update_flops(*args):
        raise jax.errors.JaxRuntimeError('INTERNAL: something else')

    monkeypatch.setattr(speed, 'update_flops', update_flops)
    with pytest.raises(jax.errors.JaxRuntimeError, match='something else'):
        list(benchmark.suite([(1, 'bc', 'float32')], **SMALL, minutes=10))


def test_products_of_either_precision_can_be_compiled():
    x = jnp.ones((4, 4))
    for precision in benchmark.PRECISIONS.values():
        with jax.default_matmul_precision(precision):
            jax.jit(jnp.matmul).lower(x, x)


@pytest.mark.parametrize(
    ('flags', 'said'),
    [
        (['--suite', '--members=3'], 'leave out --members'),
        (['--hidden_sizes=12,-3'], 'whole numbers'),
        (['--algorithm=decision_transformer', '--hidden_sizes=12'], 'has none'),
    ],
)
def test_what_cannot_be_measured_is_refused(flags, said):
    result = program('launch.benchmark', *flags)
    assert result.returncode != 0 and said in result.stderr

import json

import pytest

from algorithms import bc, decision_transformer
from data.types import Spec
from launch import benchmark
from launch.configs import bc as bc_config
from launch.configs import decision_transformer as decision_transformer_config
from tests.launch.helpers import program


def test_a_row_is_consistent():
    row = benchmark.measure('iql', Spec(3, 2, discrete=False), 2, 8, updates=3, chunks=1)
    assert row['updates_per_second_per_member'] == pytest.approx(row['updates_per_second'] / 2)
    assert row['flops_per_second'] == pytest.approx(
        row['updates_per_second'] * row['flop_per_update']
    )
    assert row['ratio_to_matmul'] == pytest.approx(
        row['flops_per_second'] / row['matmul_flops_per_second']
    )


def test_the_work_of_a_transformer_is_that_of_its_matrix_products():
    config = decision_transformer_config.get_config()
    flops = benchmark.update_flops(decision_transformer, config, Spec(11, 3, discrete=False), 64)
    tokens, size, layers = 64 * 3 * 20, 128, 4
    # Forward and twice that backward: 12 size^2 weights in a block, and attention over 60 tokens.
    expected = 3 * 2 * tokens * layers * (12 * size**2 + 2 * 60 * size)
    assert expected < flops < 1.2 * expected


def test_the_work_of_bc_is_that_of_its_matrix_products():
    config = bc_config.get_config()
    config.network.hidden_sizes = (256, 256)
    flops = benchmark.update_flops(bc, config, Spec(11, 3, discrete=False), 256)
    sizes = (11, 256, 256, 3)
    # Forward, and backward to the weights and, but for the first layer, to the inputs.
    products = [2 * 256 * a * b for a, b in zip(sizes[:-1], sizes[1:])]
    expected = 3 * sum(products) - products[0]
    assert expected < flops < 1.1 * expected


def test_rows_are_appended(tmp_path):
    file = tmp_path / 'rows.jsonl'
    for _ in range(2):
        result = program('launch.benchmark', '--algorithm=bc', '--updates=2', '--chunks=1',
                     '--batch_size=8', f'--json={file}')  # fmt: skip
        assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 2 and rows[0]['algorithm'] == 'bc' and rows[0]['device']

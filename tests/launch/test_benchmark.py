import json

import pytest

from data.types import Spec
from launch import benchmark
from tests.launch.helpers import run


def test_a_row_is_consistent():
    row = benchmark.measure('iql', Spec(3, 2, discrete=False), 2, 8, updates=3, chunks=1)
    assert row['updates_per_second_per_member'] == pytest.approx(row['updates_per_second'] / 2)
    assert row['flops_per_second'] == pytest.approx(
        row['updates_per_second'] * row['flop_per_update']
    )
    assert row['ratio_to_matmul'] == pytest.approx(
        row['flops_per_second'] / row['matmul_flops_per_second']
    )


def test_the_work_of_bc_is_that_of_its_matrix_products():
    from algorithms import bc as algorithm
    from launch.configs import bc

    config = bc.get_config()
    config.network.hidden_sizes = (256, 256)
    flops = benchmark.update_flops(algorithm, config, Spec(11, 3, discrete=False), 256)
    sizes = (11, 256, 256, 3)
    # Forward, and backward to the weights and, but for the first layer, to the inputs.
    products = [2 * 256 * a * b for a, b in zip(sizes[:-1], sizes[1:])]
    expected = 3 * sum(products) - products[0]
    assert expected < flops < 1.1 * expected


def test_rows_are_appended(tmp_path):
    file = tmp_path / 'rows.jsonl'
    for _ in range(2):
        result = run('launch.benchmark', '--algorithm=bc', '--updates=2', '--chunks=1',
                     '--batch_size=8', f'--json={file}')  # fmt: skip
        assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 2 and rows[0]['algorithm'] == 'bc' and rows[0]['device']

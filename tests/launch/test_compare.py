import json

import pytest

from launch import compare, train
from launch.cli import UserError
from launch.configs import bc
from launch.report import summary
from tests.launch.helpers import program, small_config


def test_runs_are_compared_in_one_table_and_figure(cartpole, tmp_path):
    paths = [
        train.train(small_config(cartpole, name, num_seeds=2, run_dir=str(tmp_path / name)))
        for name in ('bc', 'iql')
    ]
    figure = tmp_path / 'figure.png'
    result = program('launch.compare', *paths, f'--output={figure}')
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(('BC', 'IQL'))] == ['BC', 'IQL']
    assert figure.stat().st_size > 10_000


def test_what_cannot_be_compared_is_named(tmp_path):
    paths = [tmp_path / name for name in ('one', 'other')]
    for path in paths:
        path.mkdir()
        config = bc.get_config()
        (path / 'config.json').write_text(config.to_json_best_effort())
        found = {'dataset': f'test/{path.name}-v0', 'updates': 1}
        found |= {'settings': [{'setting': {}, 'label': '', 'diverged_seeds': []}]}
        found |= {'reference_returns': {}, 'reference_lines': {}}
        (path / 'summary.json').write_text(json.dumps(found))
    result = program('launch.compare', *paths)
    assert result.returncode == 1
    assert 'different datasets: test/one-v0, test/other-v0' in result.stderr
    (paths[0] / 'summary.json').unlink()
    with pytest.raises(UserError, match='is not finished'):
        summary.summaries(paths)
    with pytest.raises(UserError, match='holds no run'):
        summary.summaries([tmp_path])
    with pytest.raises(UserError, match='no config file none.py'):
        compare._config('none.py')
    assert 'what is to be compared?' in program('launch.compare').stderr

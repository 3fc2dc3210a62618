"""Tests of launch/run/metrics.py: which checkpoint a run can be finished from."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from launch.cli import UserError
from launch.run import checkpoints, metrics
from launch.run.checkpoints import Checkpoints
from launch.run.members import Member
from launch.run.metrics import MetricsLog


def rows(step: int) -> list[dict]:
    return [
        metrics.row(event, 0, Member({'expectile': 0.7}, 0), step, {'score': step, 'loss': np.nan})
        for event in ('training', 'evaluation')
    ]


@pytest.fixture
def trained(tmp_path):
    """A run with checkpoints after 10, 20 and 30 updates, killed after it logged 40."""
    kept = Checkpoints(tmp_path, 1, keep=3)
    with MetricsLog(tmp_path, 0) as log:
        for step in (10, 20, 30, 40):
            log.write(rows(step))
            if step < 40:
                kept.save(step, log.mark, states={'a': jnp.zeros((1, 2))})
    return tmp_path


def steps(path):
    return [row['step'] for row in metrics.read(path)]


def test_rows_after_the_last_checkpoint_are_removed(trained, capsys):
    metrics.rewind(trained, Checkpoints(trained, 1))
    assert steps(trained) == [10, 10, 20, 20, 30, 30]
    assert checkpoints.steps(trained) == [10, 20, 30] and not capsys.readouterr().out


def edit(file, change):
    lines = file.read_text().splitlines(True)
    file.write_text(''.join(change(lines)))


LOST = {
    'the end': lambda lines: lines[:5],
    'a line': lambda lines: lines[:3] + lines[4:],
    'half a line': lambda lines: [*lines[:2], lines[2][:20], *lines[3:]],
    'a digit': lambda lines: [lines[0].replace('10', '11'), *lines[1:]],
    'all': lambda lines: [],
}


@pytest.mark.parametrize(
    'lost, left', [('the end', 2), ('a line', 1), ('half a line', 1), ('a digit', 0), ('all', 0)]
)
def test_a_run_goes_back_to_a_checkpoint_that_it_can_finish_from(lost, left, trained, capsys):
    edit(trained / 'metrics.jsonl', LOST[lost])
    metrics.rewind(trained, Checkpoints(trained, 1, keep=3))
    assert checkpoints.steps(trained) == [10, 20, 30][:left]
    assert steps(trained) == [10, 10, 20, 20][: 2 * left]
    where = f'its checkpoint after {10 * left}.' if left else 'its start.'
    said = capsys.readouterr().out
    assert f'has lost rows before step {10 * left + 10}, or they have changed' in said
    assert said.endswith(f'{trained} goes back to {where}\n')


def test_a_run_that_was_at_its_end_does_not_go_back_to_its_start(trained):
    (trained / 'summary-30.json').write_text('{}')
    edit(trained / 'metrics.jsonl', LOST['all'])
    with pytest.raises(UserError, match='step 10, .* has no checkpoint to go on from; restore'):
        metrics.rewind(trained, Checkpoints(trained, 1, keep=3))
    assert checkpoints.steps(trained) == [10, 20, 30]


@pytest.mark.parametrize('lost, left', [('the end', 2), ('half a line', 0), ('all', 0)])
def test_so_does_one_from_before_checkpoints_had_marks(lost, left, trained):
    for step in (10, 20, 30):
        (trained / 'checkpoints' / str(step) / 'mark' / 'metadata').unlink()
    edit(trained / 'metrics.jsonl', LOST[lost])
    metrics.rewind(trained, Checkpoints(trained, 1, keep=3))
    assert checkpoints.steps(trained) == [10, 20, 30][:left]
    assert steps(trained) == [10, 10, 20, 20][: 2 * left]


def test_a_bad_line_is_named(trained):
    edit(trained / 'metrics.jsonl', lambda lines: [lines[0], '{"step": 1}\n', *lines[2:]])
    with pytest.raises(UserError, match=r"metrics.jsonl, line 2, is damaged: it has no 'event'"):
        metrics.read(trained)
    for line in ('x', '[' * 100_000):
        edit(trained / 'metrics.jsonl', lambda lines, line=line: [lines[0], f'{line}\n'])
        with pytest.raises(UserError, match='metrics.jsonl, line 2, is damaged: it is no JSON'):
            metrics.read(trained)


def test_an_evaluation_that_is_not_there_is_named(trained):
    more = metrics.row('evaluation', 1, Member({}, 1), 10, {'score': 1.0})
    with MetricsLog(trained, 40) as log:
        log.write([more])
    with pytest.raises(UserError, match='metrics.jsonl has no score of member 1 at step 20'):
        metrics.curve(trained)


def test_pandas_reads_the_rows(trained):
    table = pd.read_json(trained / 'metrics.jsonl', lines=True)
    assert list(table.step) == [10, 10, 20, 20, 30, 30, 40, 40]
    assert 'NaN' not in (trained / 'metrics.jsonl').read_text()
    assert table.measures[0] == {'score': 10.0, 'loss': None}
    assert np.isnan(metrics.read(trained)[0]['measures']['loss'])

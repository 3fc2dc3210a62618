"""How a run ends: a summary, a table and a figure."""

from pathlib import Path
from typing import Any

from data.problem import Problem
from launch.report import curves, estimates, summary, tables
from launch.run import documents, metrics
from launch.run.members import Member

_SUMMARY, _CURVES = 'summary.json', 'learning_curves.png'


def is_finished(path: Path) -> bool:
    """Whether the run in a directory has come to its end."""
    return (path / _SUMMARY).exists()


def finish(
    path: Path, title: str, problem: Problem, num_steps: int, log: dict[str, Any] | None = None
) -> None:
    """Writes the summary and the figure of a run from its metrics.

    `log` is what its dataset itself earned (estimates.of_log), to be held against what policies earn.
    """
    rows = metrics.read(path)
    judged = [
        (Member(row['setting'], row['seed']), row['measures'])
        for row in rows
        if row['event'] == 'evaluation' and row['step'] == num_steps
    ]
    curves.draw_learning_curves(rows, problem, title, path / _CURVES)
    found = summary.summarize(problem, judged, num_steps) | ({'log': log} if log else {})
    estimated = estimates.read(path)
    documents.write(path / _SUMMARY, estimates.attach(found, estimated) if estimated else found)


def show(path: Path, title: str) -> None:
    """Prints the table of a finished run."""
    found = summary.read(path)
    print(f'\n{title} on {found["dataset"]}, {found["updates"]:,} steps\n')
    print(summary.table({title: found}))
    if 'estimator' in found:
        _explain(found)
    print(f'\nRun directory: {path}')
    if (path / _CURVES).exists():
        print(f'Figure: {path / _CURVES}')
    gone = [Member(setting['setting'], seed).description
            for setting in found['settings'] for seed in setting['diverged_seeds']]  # fmt: skip
    if gone:
        print(f'Diverged (NaN or infinite), left out of the means: {"; ".join(gone)}.')


def _explain(found: dict[str, Any]) -> None:
    log = found['log']
    low, high = (log['discounted_return'][end] for end in ('mean_low', 'mean_high'))
    print(
        f'\nEstimates of discounted returns (discount {log["gamma"]:g}) by {found["estimator"]}, from '
        f'{log["episodes"]:,} held-out episodes, which earned '
        f'{tables.with_interval(log["discounted_return"], ".4g")} themselves.\n{found["ranking"]}'
    )
    fitted = log['fitted_q']
    if fitted < low or fitted > high:
        print(
            f'WARNING: to what these episodes did themselves, fitted Q evaluation gives {fitted:.4g}, '
            'and may be off by as much for the policies; config.ope.num_updates fits it for longer.'
        )
    refused = sum(len(setting['refused']) for setting in found['settings'])
    if refused:
        print(f'Estimates refused: {refused}; {estimates.FILE} has the reasons.')


def present(paths: list[Path], figure: Path) -> None:
    """Prints the table of finished runs on one dataset and draws their comparison.

    Raises:
        UserError: one is not finished, or the datasets differ.
    """
    found = summary.summaries(paths)
    print(f'\n{next(iter(found.values()))["dataset"]}\n\n{summary.table(found)}')
    curves.draw_comparison(found, figure)
    print(f'\nFigure: {figure}')

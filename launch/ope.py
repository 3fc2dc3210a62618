"""Off-policy evaluation: what finished runs' policies would earn, from a dataset alone.

    python -m launch.ope --config=launch/configs/ope.py:sepsis --select RUN_DIRECTORY ...

Fitted Q evaluation (algorithms/fqe.py) of every member of every run, and, where actions are discrete,
ordinary, weighted and per-decision importance sampling and the weighted doubly robust estimator
(algorithms/importance_sampling.py), all with 95 % bootstrap intervals over episodes. Where an estimator
does not apply, or the log cannot say, a sentence takes the number's place. --select ranks the policies.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from absl.flags import FLAGS
from ml_collections import ConfigDict

from launch import cli, off_policy, run_directory
from launch.cli import UserError
from launch.off_policy import ESTIMATORS, Estimate, Judged


def main(config: ConfigDict, runs: list[str]) -> None:
    """Estimates and prints."""
    cli.use_all_cores()
    asked = ConfigDict(config.to_dict() | {'runs': runs})
    file = Path(config.output or run_directory.default_path(asked, config.dataset) / 'estimates.json')
    _keep_others(file, asked)
    judged = off_policy.evaluate(config, [Path(run) for run in runs])
    print(f'\nDiscount {config.hparams.discount:g}; behaviour probabilities: {config.behaviour}.\n')
    print(table(judged))
    print('\n'.join(['', *refusals(judged)]))
    if FLAGS.select:
        print(ranking(judged))
    file.parent.mkdir(parents=True, exist_ok=True)
    written = {'config': json.loads(asked.to_json_best_effort()), 'policies': as_json(judged)}
    file.write_text(json.dumps(written, indent=2))
    print(f'\nWritten to {file}')


def _keep_others(file: Path, asked: ConfigDict) -> None:
    """Raises UserError if a file holds anything but these estimates."""
    if not file.exists():
        return
    try:
        there = json.loads(file.read_text())['config']
    except (ValueError, KeyError, TypeError):
        there = None
    if there != json.loads(asked.to_json_best_effort()):
        raise UserError(f'{file} holds something else; choose another config.output.')


def table(judged: list[Judged]) -> str:
    """The estimates as Markdown."""
    lines = [
        f'| policy | updates | {" | ".join(ESTIMATORS)} | mean weight | effective sample size |',
        '|---' * (4 + len(ESTIMATORS)) + '|',
    ]
    for each in judged:
        cells = [_cell(each.estimates[name]) for name in ESTIMATORS]
        weight, size = each.mean_weight, each.effective_sample_size
        lines.append(
            f'| {each.name} | {each.updates:,} | {" | ".join(cells)} '
            f'| {"" if np.isnan(weight) else f"{weight:.2f}"} '
            f'| {"" if np.isnan(size) else f"{size:.1f}"} |'
        )
    return '\n'.join(lines)


def _cell(estimate: Estimate) -> str:
    if estimate.refusal:
        return '-'
    if np.isnan(estimate.low):
        return f'{estimate.value:.4g}'
    return f'{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]'


def refusals(judged: list[Judged]) -> list[str]:
    """A sentence for each reason not to estimate, naming whom it concerns."""
    concerned: dict[tuple[str, str], list[str]] = {}
    for each in judged:
        for estimator, estimate in each.estimates.items():
            if estimate.refusal:
                concerned.setdefault((each.name, estimate.refusal), []).append(estimator)
    return [
        f'{name}: {", ".join(estimators)} {reason}'
        for (name, reason), estimators in concerned.items()
    ]


def choices(judged: list[Judged]) -> dict[str, list[Judged]]:
    """The policies by each estimator that has estimates, the best first."""
    ranked = {}
    for name in ESTIMATORS:
        known = [each for each in judged if not each.estimates[name].refusal]
        if known:
            ranked[name] = sorted(known, key=lambda each: -each.estimates[name].value)
    return ranked


def ranking(judged: list[Judged]) -> str:
    """What each estimator would choose, and its order of the policies."""
    lines = []
    for estimator, ranked in choices(judged).items():
        lines.append(f'\n{estimator} chooses {ranked[0].name}. Its order of {len(ranked)}:')
        lines += [
            f'{place:4d}. {each.name}: {_cell(each.estimates[estimator])}'
            for place, each in enumerate(ranked, 1)
        ]
    return '\n'.join(lines)


def as_json(judged: list[Judged]) -> list[dict[str, Any]]:
    """The estimates as plain data, what is unknown as None."""

    def known(number: float) -> float | None:
        return float(number) if np.isfinite(number) else None

    return [
        each._asdict()
        | {
            'mean_weight': known(each.mean_weight),
            'effective_sample_size': known(each.effective_sample_size),
            'estimates': {
                name: {key: value if key == 'refusal' else known(value)
                       for key, value in estimate._asdict().items()}
                for name, estimate in each.estimates.items()
            },
        }
        for each in judged
    ]  # fmt: skip


if __name__ == '__main__':
    flags.DEFINE_bool('select', False, 'rank the policies, and name the choice of each estimator')
    cli.run_with_config(main, 'launch/configs/ope.py:sepsis', with_arguments=True)

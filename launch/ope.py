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

from data import loading, transforms
from launch import cli
from launch.cli import UserError
from launch.estimate import judging
from launch.estimate.estimators import ESTIMATORS, Estimate, Judged
from launch.report import tables
from launch.run import directory, policies


def main(config: ConfigDict, runs: list[str]) -> None:
    """Estimates and prints."""
    cli.use_all_cores()
    asked = ConfigDict(config.to_dict() | {'runs': runs})
    file = Path(config.output or directory.default_path(asked, config.dataset) / 'estimates.json')
    _keep_others(file, asked)
    judged = judge(config, [Path(run) for run in runs])
    print(f'\nDiscount {config.hparams.gamma:g}; behaviour probabilities: {config.behaviour}.\n')
    print(table(judged))
    print('\n'.join(['', *refusals(judged)]))
    if FLAGS.select:
        print(ranking(judged))
    file.parent.mkdir(parents=True, exist_ok=True)
    written = {'config': json.loads(asked.to_json_best_effort()), 'policies': as_json(judged)}
    file.write_text(json.dumps(written, indent=2))
    print(f'\nWritten to {file}')


def judge(config: ConfigDict, runs: list[Path]) -> list[Judged]:
    """Judges every policy of the runs from the config's dataset.

    Raises:
        UserError: the config has values that cannot be, a run's policies cannot be judged from it.
        DatasetError: the dataset cannot be used, or lacks the behaviour policy's probabilities.
    """
    if 'behaviour' not in config:
        raise UserError('this config trains; launch.ope takes --config=launch/configs/ope.py:DOMAIN.')
    if not runs:
        raise UserError('which runs? Name their directories.')
    method = judging.method_of(config)
    found = [policies.stateless(run) for run in runs]
    dataset = transforms.preprocess(loading.load(config.dataset), config.standardize_observations)
    return judging.judge(dataset, found, method)


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
    header = ['policy', 'updates', *ESTIMATORS, 'mean weight', 'effective sample size']
    rows = []
    for each in judged:
        cells = [_cell(each.estimates[name]) for name in ESTIMATORS]
        weight, size = each.mean_weight, each.effective_sample_size
        cells += ['' if np.isnan(weight) else f'{weight:.2f}', '' if np.isnan(size) else f'{size:.1f}']
        rows.append([each.name, f'{each.updates:,}', *cells])
    return tables.markdown(header, rows)


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
    plain = [
        each._asdict() | {'estimates': {name: e._asdict() for name, e in each.estimates.items()}}
        for each in judged
    ]
    return json.loads(json.dumps(plain), parse_constant=lambda _: None)


if __name__ == '__main__':
    flags.DEFINE_bool('select', False, 'rank the policies, and name the choice of each estimator')
    cli.start_with_config(main, 'ope.py:sepsis', with_arguments=True)

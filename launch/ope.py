"""Off-policy evaluation: what finished runs' policies would earn, from a dataset alone.

    python -m launch.ope --config=launch/configs/ope.py:sepsis --select RUN_DIRECTORY ...

Fitted Q evaluation (algorithms/fqe.py) of every member of every run, and, where actions are discrete,
the model of the log's frequencies and linear ratios of visits (algorithms/marginalised.py), ordinary,
weighted and per-decision importance sampling and the weighted doubly robust estimator
(algorithms/importance_sampling.py), all with 95 % intervals over episodes. Where an estimator does not
apply, or the log cannot say, a sentence takes the number's place. --all_checkpoints judges every
checkpoint that a run keeps. --select ranks the policies, by value or by the intervals' lower ends
(--rank_by), and says whether the log can tell the first two apart.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from absl.flags import FLAGS
from ml_collections import ConfigDict

from data import disk, loading, transforms
from data.loading import Dataset
from launch import cli
from launch.cli import UserError
from launch.configs import ope as ope_config
from launch.estimate import judging, ratios
from launch.estimate.estimators import ESTIMATORS, Estimate, Judged
from launch.estimate.judging import Method
from launch.report import tables
from launch.run import directory, documents, policies, validation


def main(config: ConfigDict, runs: list[str]) -> None:
    """Estimates and prints."""
    cli.use_all_cores()
    paths = [Path(run) for run in runs]
    method = validated(config, paths)
    asked = ConfigDict(
        config.to_dict() | {'runs': runs, 'all_checkpoints': FLAGS.all_checkpoints}
    )
    file = Path(config.output or directory.default_path(asked, config.dataset) / 'estimates.json')
    _keep_others(file, asked)
    disk.check_file(file)
    found = [each for path in paths for each in policies.of_run(path, FLAGS.all_checkpoints)]
    dataset = load(config)
    judged = judging.judge(dataset, found, method)
    print(f'\nDiscount {method.gamma:g}. {other_discounts(paths, method.gamma)}')
    print(learned_from(paths, config.dataset))
    if dataset.problem.spec.discrete:
        print(f'Behaviour probabilities: {judging.behaviour_of(dataset, method)}.')
    print()
    print(table(judged))
    print('\n'.join(['', *refusals(judged)]))
    if FLAGS.select:
        print(ranking(judged, FLAGS.rank_by == 'lower_bound'))
    file.parent.mkdir(parents=True, exist_ok=True)
    written = {'config': json.loads(asked.to_json_best_effort()), 'policies': as_json(judged)}
    documents.write(file, written)
    print(f'\nWritten to {file}')


def judge(config: ConfigDict, runs: list[Path]) -> list[Judged]:
    """Judges every policy of the runs, at their last checkpoints, from the config's dataset.

    Raises:
        UserError: the config has values that cannot be, a run's policies cannot be judged from it.
        DatasetError: the dataset cannot be used, or lacks the behaviour policy's probabilities.
    """
    method = validated(config, runs)
    found = [each for run in runs for each in policies.of_run(run)]
    return judging.judge(load(config), found, method)


def validated(config: ConfigDict, runs: list[Path]) -> Method:
    """How the config says to judge; raises UserError for values with which there is no judging."""
    if 'behaviour' not in config:
        raise UserError('this config trains; launch.ope takes --config=launch/configs/ope.py:DOMAIN.')
    validation.estimates(config, ope_config.RANGES)
    if not runs:
        raise UserError('which runs? Name their directories.')
    if not config.dataset:
        raise UserError("config.dataset is '': --config.dataset=ID says from which log to judge.")
    return judging.method_of(config)


def load(config: ConfigDict) -> Dataset:
    """The log that a config judges from."""
    dataset = transforms.preprocess(loading.load(config.dataset), config.standardize_observations)
    return transforms.discount_durations(dataset, config.hparams.gamma)


def other_discounts(runs: list[Path], gamma: float) -> str:
    """A sentence on the runs that learned with other discounts; '' if there are none."""
    learned = {run: directory.load_config(run).hparams.get('gamma', gamma) for run in runs}
    others = [f'{run} with {theirs:g}' for run, theirs in learned.items() if theirs != gamma]
    return f'Some runs learned with another: {", ".join(others)}.' if others else ''


def learned_from(runs: list[Path], dataset: str) -> str:
    """A sentence on the runs that learned from what they are judged from; '' if there are none."""
    ours = [str(run) for run in runs if directory.load_config(run).get('dataset') == dataset]
    if not ours:
        return ''
    return (
        f'Learned from this very dataset, whose chances favour what they chose: {", ".join(ours)}. '
        "(launch.train with config.evaluate_in='log' judges from episodes that it holds out.)"
    )


def _keep_others(file: Path, asked: ConfigDict) -> None:
    """Raises UserError if a file holds anything but these estimates."""
    if not file.exists():
        return
    try:
        there = json.loads(file.read_text())['config']
    except (ValueError, KeyError, TypeError, RecursionError):
        there = None
    if there != json.loads(asked.to_json_best_effort()):
        raise UserError(f'{file} holds something else; choose another config.output.')


def table(judged: list[Judged]) -> str:
    """The estimates as Markdown."""
    header = ['policy', *ESTIMATORS, 'untried', 'mean weight', 'effective sample size']
    rows = []
    for each in judged:
        cells = [_cell(each.estimates[name]) for name in ESTIMATORS]
        measures = (each.untried, '.2f'), (each.mean_weight, '.2f'), (each.effective_sample_size, '.1f')
        cells += ['' if np.isnan(value) else format(value, digits) for value, digits in measures]
        rows.append([each.name, *cells])
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


def choices(judged: list[Judged], by_lower_bound: bool = False) -> dict[str, list[Judged]]:
    """The policies by each estimator that has estimates, the best first.

    Args:
        judged: the policies.
        by_lower_bound: whether the best has the highest lower end of its interval, rather than value; an
            estimate without an interval then comes last.
    """

    def worth(estimate: Estimate) -> float:
        worth = estimate.low if by_lower_bound else estimate.value
        return -np.inf if np.isnan(worth) else worth

    ranked = {}
    for name in ESTIMATORS:
        known = [each for each in judged if not each.estimates[name].refusal]
        if known:
            ranked[name] = sorted(known, key=lambda each: -worth(each.estimates[name]))
    return ranked


def ranking(judged: list[Judged], by_lower_bound: bool = False) -> str:
    """What each estimator would choose, its order of the policies, and if the log can tell the best."""
    lines = []
    for estimator, ranked in choices(judged, by_lower_bound).items():
        lines.append(f'\n{estimator} chooses {ranked[0].name}. Its order of {len(ranked)}:')
        lines += [
            f'{place:4d}. {each.name}: {_cell(each.estimates[estimator])}'
            for place, each in enumerate(ranked, 1)
        ]
        lines += _told_apart(ranked, estimator)
    return '\n'.join(lines)


def _told_apart(ranked: list[Judged], estimator: str) -> list[str]:
    """A sentence on whether the log can tell the first from others, where the estimator can say."""
    first, *others = [each.estimates[estimator] for each in ranked]
    differences = [ratios.difference(first, other) for other in others]
    if not others or None in differences:
        return []
    alike = sum(low <= 0 for low, _ in differences)
    low, high = differences[0]
    said = (
        f'It earns [{low:.4g}, {high:.4g}] more than the second, an interval of the episodes\' chance '
        'without what the estimator itself gets wrong: '
    )
    if not alike:
        return [said + 'the log tells it from all others.']
    return [said + f'the log cannot tell it from {alike} of the {len(others)} others.']


def as_json(judged: list[Judged]) -> list[dict[str, Any]]:
    """The estimates as plain data, what is unknown as None."""
    fields = ('value', 'low', 'high', 'refusal')
    plain = [
        each._asdict()
        | {'estimates': {
            name: {field: getattr(estimate, field) for field in fields}
            for name, estimate in each.estimates.items()
        }}
        for each in judged
    ]  # fmt: skip
    return json.loads(documents.dumps(plain))


if __name__ == '__main__':
    flags.DEFINE_bool('select', False, 'rank the policies, and name the choice of each estimator')
    flags.DEFINE_enum('rank_by', 'value', ('value', 'lower_bound'), 'what --select ranks by')
    flags.DEFINE_bool('all_checkpoints', False, 'judge every checkpoint that the runs keep')
    cli.start_with_config(main, 'ope.py:sepsis', with_arguments=True)

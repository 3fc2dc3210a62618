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
from launch.estimate import behaviour, estimators, fitted_q
from launch.estimate.estimators import ESTIMATORS, IMPORTANCE_SAMPLING, Estimate, Judged
from launch.estimate.fitting import Schedule
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
    validate(config, runs)
    found = [policies.stateless(run) for run in runs]
    dataset = transforms.preprocess(loading.load(config.dataset), config.standardize_observations)
    for each in found:
        policies.check(each, dataset)
    steps, first = dataset.transitions, dataset.episode_offsets[:-1]

    def actions(observations: np.ndarray) -> np.ndarray:
        return np.concatenate([each.normalized_actions(observations) for each in found], axis=1)

    rng = np.random.default_rng(config.seed)
    again = estimators.resamples(rng, len(first), config.num_refits)
    counts = np.concatenate([np.ones((1, len(first))), again])
    fitted = fitted_q.fit(
        dataset,
        actions(steps.next_observation),
        counts,
        config.hparams.to_dict(),
        config.network,
        Schedule(config.num_updates, config.log_interval, config.batch_size),
        config.seed,
    )
    initial = np.asarray(steps.observation[first])
    by_fqe = estimators.by_fitted_q(fitted, initial, actions(initial), counts)
    if dataset.problem.spec.discrete:
        if config.behaviour == 'recorded':
            logged_by = behaviour.recorded(dataset)
        else:
            model = config.behaviour_model
            logged_by = behaviour.fitted(
                dataset,
                model.hparams.to_dict(),
                model.network,
                Schedule(model.num_updates, config.log_interval, model.batch_size),
                config.seed,
                rng,
            )
        sampled = estimators.by_importance_sampling(
            dataset, fitted, actions(steps.observation), logged_by, config.hparams.gamma, rng
        )
    else:
        reason = (
            'does not apply: a policy with one continuous action for each observation has no '
            'density for the actions of the log.'
        )
        none = dict.fromkeys(IMPORTANCE_SAMPLING, estimators.refused(reason))
        sampled = [(none, np.nan, np.nan)] * len(by_fqe)
    names = [(name, each.run) for each in found for name in each.names]
    judged = [
        Judged(name, run.title, run.updates, {'FQE': estimate} | estimates, weight, size)
        for (name, run), estimate, (estimates, weight, size) in zip(names, by_fqe, sampled)
    ]
    return [
        estimators.believe(each, config.min_mean_weight, config.min_effective_sample_size)
        for each in judged
    ]


def validate(config: ConfigDict, runs: list[Path]) -> None:
    """Raises UserError for values with which there is no evaluation."""
    if 'behaviour' not in config:
        raise UserError('this config trains; launch.ope takes --config=launch/configs/ope.py:DOMAIN.')
    if not runs:
        raise UserError('which runs? Name their directories.')
    if config.behaviour not in ('recorded', 'fitted'):
        raise UserError(
            f"config.behaviour is {config.behaviour!r}; valid: 'recorded', 'fitted'."
        )
    cli.check_counts(config, ('num_updates', 'batch_size', 'log_interval'), ('num_updates',))
    if config.num_refits < 0 or config.num_refits == 1:
        raise UserError(f'config.num_refits is {config.num_refits}; valid: 0, and 2 or more.')


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

"""Writes a policy as a folder that needs none of this code, and acts on tables of the log's columns.

    python -m launch.export --run_dir=RUN --member=3 --output=policy
    python -m launch.export --run_dir=RUN --setting=expectile=0.9 --output=policy
    python -m launch.export --run_dir=RUN --best=estimate [--estimates=FILE] --output=policy
    python policy/predict.py visits.csv actions.csv

The folder (launch/run/exporting.py) has the policy as StableHLO and ONNX, what goes in and comes out,
and a program that needs onnxruntime alone.
"""

import json
from pathlib import Path
from typing import Any

from absl import flags
from absl.flags import FLAGS

from launch import cli
from launch.cli import UserError
from launch.run import directory, exporting, policies
from launch.run.members import by_setting
from launch.run.policies import Restored

# Which launch.train leaves in a run directory where it judges from the log.
_ESTIMATES = 'estimates.json'


def main(argv: list[str]) -> None:
    """Chooses a member, exports and prints."""
    del argv
    cli.use_all_cores()
    if FLAGS.run_dir is None:
        raise UserError('which run? --run_dir=DIRECTORY says.')
    given = [name for name in ('member', 'setting', 'best') if FLAGS[name].value is not None]
    if len(given) > 1:
        raise UserError(f'--{given[0]} and --{given[1]} both choose a member; give one of them.')
    path, output = Path(FLAGS.run_dir), Path(FLAGS.output)
    exporting.check_free(output)
    run = policies.restore(path)
    file = Path(FLAGS.estimates) if FLAGS.estimates else path / _ESTIMATES
    estimated = read_estimates(file, run, FLAGS.estimator) if FLAGS.estimates or file.exists() else {}
    member = choose(run, estimated, FLAGS.member, FLAGS.setting, FLAGS.best, FLAGS.estimator)
    target = target_of(run, FLAGS.target_return)
    said = source(run, member, estimated.get(member), FLAGS.estimator)
    about = exporting.write(output, run, member, target, said)
    show(run, about, output)


def read_estimates(file: Path, run: Restored, estimator: str) -> dict[int, dict[str, Any]]:
    """What a file of launch.ope, or of the run itself, says of a run's policies, by member.

    Raises:
        UserError: it is no such file, says nothing of the run or nothing by this estimator.
    """
    try:
        judged = json.loads(file.read_text())['policies']
        there = {each['run'] for each in judged}
        ours = [each for each in judged if Path(each['run']).resolve() == run.path.resolve()]
        found = {each['member']: each for each in ours if each['updates'] == run.updates}
        estimators = {name: None for each in ours for name in each['estimates']}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{file} holds no estimates of policies ({type(error).__name__}: {error}).'
        ) from error
    if not found:
        judged = ', '.join(sorted(there)) or 'none'
        raise UserError(
            f'{file} has no estimates of {run.path} after {run.updates:,} updates, its last checkpoint; '
            f'it judges the runs {judged}.'
        )
    if estimator not in estimators:
        raise UserError(f'--estimator={estimator}: {file} has {", ".join(estimators)}.')
    return found


def choose(
    run: Restored,
    estimated: dict[int, dict[str, Any]],
    member: int | None,
    setting: str | None,
    best: str | None,
    estimator: str,
) -> int:
    """The member to export.

    Args:
        run: it is of.
        estimated: what is known of its members (read_estimates).
        member, setting, best: flags, of which one at most is not None.
        estimator: by which estimates are compared.

    Raises:
        UserError: none is chosen, there is no such one, it has diverged, or the log cannot tell.
    """
    members = run.learner.members
    known = {
        index: each['estimates'][estimator]['value'] for index, each in estimated.items()
        if run.finite[index] and not each['estimates'][estimator]['refusal']
    }  # fmt: skip
    if best:
        if not estimated:
            raise UserError(
                f'--best={best}: {run.path} has no {_ESTIMATES}; launch.ope writes one, which '
                '--estimates=FILE names.'
            )
        if not known:
            raise UserError(f'the log cannot tell which policy of {run.path} is best: {estimator} has '
                            'no estimate of any that it believes.')  # fmt: skip
        return max(known, key=known.get)
    if setting is not None:
        return _of_setting(run, known, setting, estimator)
    if member is None and len(members) > 1:
        listed = '; '.join(f'{index} ({each.description})' for index, each in enumerate(members))
        raise UserError(
            f'which policy? {run.path} has the members {listed}: choose with --member=INDEX, '
            '--setting=NAME=VALUE or --best=estimate.'
        )
    member = member or 0
    if member >= len(members):
        raise UserError(f'--member={member}: {run.path} has members 0 to {len(members) - 1}.')
    if not run.finite[member]:
        raise UserError(
            f'member {member} of {run.path} ({members[member].description}) has diverged: it holds NaN '
            'or infinite numbers and is no policy.'
        )
    return member


def _of_setting(run: Restored, known: dict[int, float], setting: str, estimator: str) -> int:
    """The member of a setting with the best estimate, or without estimates that of the first seed."""
    try:
        wanted = {name.strip(): float(value) for name, value in
                  (each.split('=') for each in setting.split(',') if setting)}  # fmt: skip
    except ValueError:
        wanted = None
    of_setting = [i for i, each in enumerate(run.learner.members) if each.setting == wanted]
    if not of_setting:
        labels = '; '.join(by_setting(run.learner.members)) or 'none: nothing was swept'
        raise UserError(f'--setting={setting}: the settings of {run.path} are {labels}.')
    finite = [index for index in of_setting if run.finite[index]]
    if not finite:
        raise UserError(f'all members of {run.path} with {setting} have diverged: none is a policy.')
    estimates = {index: known[index] for index in finite if index in known}
    if estimates:
        member = max(estimates, key=estimates.get)
        why = f'the best {estimator} estimate'
    else:
        member, why = finite[0], 'no estimates, the first seed'
    if len(of_setting) > 1:
        print(f'Of {len(of_setting)} members with {setting}: {run.learner.members[member].description}, '
              f'{why}.')  # fmt: skip
    return member


def target_of(run: Restored, asked: float | None) -> float | None:
    """What a return-conditioned policy is asked for: by default the run's first; None for all others."""
    if not run.target_returns:
        if asked is not None:
            raise UserError(f'--target_return={asked:g}: {run.title} is asked for no return.')
        return None
    return run.target_returns[0] if asked is None else asked


def source(
    run: Restored, member: int, estimated: dict[str, Any] | None, estimator: str
) -> dict[str, Any]:
    """Where a policy comes from and what is known of it, for policy.json."""
    config = directory.load_config(run.path)
    chosen = run.learner.members[member]
    if estimated is None:
        warning = 'Nothing has estimated what this policy earns (launch.ope does).'
    else:
        refusal = estimated['estimates'][estimator]['refusal']
        warning = refusal and f'The log cannot tell what this policy earns: {estimator} {refusal}'
    return {
        'policy': {
            'algorithm': config.algorithm,
            'name': run.title,
            'updates': run.updates,
            'member': member,
            'setting': chosen.setting,
            'seed': chosen.seed,
        },
        'estimates': estimated and estimated['estimates'],
        'chosen_by': estimator,
        'warning': warning,
        'run': {
            'directory': str(run.path),
            'problem': run.problem.name,
            'hash': directory.digest(config),
            'config': directory.identity(config),
        },
    }


def show(run: Restored, about: dict[str, Any], output: Path) -> None:
    """Prints what was written."""
    policy = about['policy']
    member = run.learner.members[policy['member']]
    print(f'{run.title}, {member.description}, after {run.updates:,} updates')
    print(f'Checked against the code: {about["checked"]}')
    if about['warning']:
        print(f'Warning: {about["warning"]}')
    print(f'\nPolicy: {output}\n    python {output / "predict.py"} table.csv actions.csv')


if __name__ == '__main__':
    flags.DEFINE_string('run_dir', None, 'run directory')
    flags.DEFINE_integer('member', None, 'index of the member', lower_bound=0)
    flags.DEFINE_string('setting', None, "a member's setting, such as expectile=0.9")
    flags.DEFINE_enum('best', None, ['estimate'], 'the member with the best estimate')
    flags.DEFINE_string('estimates', None, "a file of launch.ope, if not the run's own")
    flags.DEFINE_string('estimator', 'FQE', 'whose estimates decide')
    flags.DEFINE_float('target_return', None, "what to ask a policy for, if not the run's first")
    flags.DEFINE_string('output', 'policy', 'folder to write')
    cli.start(main)

"""Writes a policy as a folder that needs none of this code, and acts on tables of the log's columns.

    python -m launch.export --run_dir=RUN --member=3 --output=policy
    python -m launch.export --run_dir=RUN --setting=expectile=0.9 --output=policy
    python -m launch.export --run_dir=RUN --best=estimate [--estimates=FILE] --output=policy
    python policy/predict.py visits.csv actions.csv

The folder (launch/run/exporting.py) has the policy as StableHLO and ONNX, what goes in and comes out,
and a program that needs onnxruntime alone.
"""

import math
from pathlib import Path
from typing import Any

from absl import flags
from absl.flags import FLAGS

from data import disk
from launch import cli
from launch.cli import UserError
from launch.report import choosing, estimates
from launch.report.choosing import Choice, Estimates
from launch.run import directory, exporting, policies


def main(argv: list[str]) -> None:
    """Chooses a member, exports and prints."""
    del argv
    cli.use_all_cores()
    if FLAGS.run_dir is None:
        raise UserError('which run? --run_dir=DIRECTORY says.')
    given = [name for name in ('member', 'setting', 'best') if FLAGS[name].value is not None]
    if len(given) > 1:
        raise UserError(f'--{given[0]} and --{given[1]} both choose a member; give one of them.')
    if FLAGS.target_return is not None and not math.isfinite(FLAGS.target_return):
        raise UserError(f'--target_return={FLAGS.target_return}: a finite number is needed.')
    path, output = Path(FLAGS.run_dir), Path(FLAGS.output)
    exporting.check_free(output)
    disk.check_directory(output)
    run = policies.restore(path)
    if not run.target_returns and FLAGS.target_return is not None:
        raise UserError(f'--target_return={FLAGS.target_return:g}: {run.title} is asked for no return.')
    file = Path(FLAGS.estimates or path / estimates.FILE)
    known = Estimates([])
    if FLAGS.estimates or file.exists():
        known = choosing.read(file, run, FLAGS.estimator)
    if FLAGS.best:
        chosen = choosing.best(run, known, FLAGS.target_return)
    else:
        member = choosing.member(run, known, FLAGS.member, FLAGS.setting)
        chosen = choosing.asked(run, member, known, FLAGS.target_return)
    if FLAGS.setting:
        member = run.learner.members[chosen.member]
        print(f'Of the members with {FLAGS.setting}: {member.description}.')
    with disk.writing(output):
        about = exporting.write(
            output, chosen.run, chosen.member, chosen.target_return, source(chosen, known)
        )
    show(chosen, about, output)


def source(chosen: Choice, known: Estimates) -> dict[str, Any]:
    """Where a policy comes from and what is known of it, for policy.json."""
    run, config = chosen.run, directory.load_config(chosen.run.path)
    member = run.learner.members[chosen.member]
    if chosen.judged is None:
        warning = 'Nothing has estimated what this policy earns; launch.ope does.'
    else:
        refusal = chosen.judged.estimates[known.estimator]['refusal']
        warning = refusal and f'The log cannot tell what this policy earns: {known.estimator} {refusal}'
    return {
        'policy': {
            'algorithm': config.algorithm,
            'name': run.title,
            'member': chosen.member,
            'setting': member.setting,
            'seed': member.seed,
            'updates': run.updates,
        },
        'value': chosen.judged and {
            'meaning': "discounted return of an episode, in the units of the log's rewards",
            'discount': known.discount,
            'estimator': known.estimator,
            'estimates': chosen.judged.estimates,
            'log_itself': known.log,
        },
        'warning': warning,
        'run': {
            'directory': str(run.path),
            'problem': run.problem.name,
            'hash': directory.digest(config),
            'config': directory.identity(config),
        },
    }


def show(chosen: Choice, about: dict[str, Any], output: Path) -> None:
    """Prints what was written."""
    member = chosen.run.learner.members[chosen.member]
    print(f'{chosen.run.title}, {member.description}, after {chosen.run.updates:,} updates')
    if about['value'] and not about['warning']:
        estimator, discount = about['value']['estimator'], about['value']['discount']
        estimate = about['value']['estimates'][estimator]
        ends = [estimate[end] for end in ('low', 'high')]
        interval = '' if None in ends else f' [{ends[0]:.4g}, {ends[1]:.4g}]'
        print(
            f'{estimator} estimates that it earns {estimate["value"]:.4g}{interval} an episode, with '
            f'discount {discount:g}.'
        )
    if about['warning']:
        print(f'Warning: {about["warning"]}')
    rows = ' and '.join(f'{count} {kind}' for kind, count in about['checked']['observations'].items())
    print(f'The files act as the code does on {rows} observations.')
    print(f'\nPolicy: {output}\n    python {output / "predict.py"} table.csv actions.csv')


if __name__ == '__main__':
    flags.DEFINE_string('run_dir', None, 'run directory')
    flags.DEFINE_integer('member', None, 'index of the member', lower_bound=0)
    flags.DEFINE_string('setting', None, "a member's setting, such as expectile=0.9")
    flags.DEFINE_enum('best', None, ['estimate'], 'the member with the best estimate')
    flags.DEFINE_string('estimates', None, "a file of launch.ope, if not the run's own")
    flags.DEFINE_string('estimator', None, 'whose estimates decide, if not that of the file, or FQE')
    flags.DEFINE_float('target_return', None, "what to ask a policy for, if not the run's first")
    flags.DEFINE_string('output', 'policy', 'folder to write')
    cli.start(main)

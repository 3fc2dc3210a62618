"""Which of a run's policies: by its index, by its setting, or by what a log says that it earns."""

from pathlib import Path
from typing import Any, NamedTuple

from launch.cli import UserError
from launch.report import estimates
from launch.run import documents, policies
from launch.run.members import by_setting
from launch.run.policies import Restored

ESTIMATOR = 'FQE'
_OF_POLICY = {'member': int, 'updates': int, 'estimates': {'*': estimates.ESTIMATE}}
_CONFIG = {'hparams': {'gamma': documents.NUMBER}}
# A run's own file, and that of launch.ope.
_OF_RUN = {'config': _CONFIG, 'policies': [_OF_POLICY]}
_OF_RUNS = {'config': _CONFIG, 'policies': [_OF_POLICY | {'run': str}]}


class Judged(NamedTuple):
    """What a file says of a policy of a run.

    Attributes:
        member, updates, target_return: which one it is.
        estimates: of its value by estimator: 'value', 'low', 'high' and 'refusal'.
    """

    member: int
    updates: int
    target_return: float | None
    estimates: dict[str, dict[str, Any]]


class Estimates(NamedTuple):
    """What a file says of a run's policies.

    Attributes:
        judged: the policies.
        estimator: by which they are compared.
        discount: of what they are estimated to earn.
        log: what the log earned itself, if the file says it.
    """

    judged: list[Judged]
    estimator: str = ESTIMATOR
    discount: float | None = None
    log: dict[str, Any] | None = None

    def value(self, judged: Judged) -> float:
        """Of a policy, by the estimator."""
        return judged.estimates[self.estimator]['value']

    def believed(self) -> list[Judged]:
        """The policies of which the estimator does not refuse to say anything."""
        return [each for each in self.judged if not each.estimates[self.estimator]['refusal']]


class Choice(NamedTuple):
    """A member of a run at one of its checkpoints, what it is asked for, and what is known of it."""

    run: Restored
    member: int
    target_return: float | None
    judged: Judged | None


def read(file: Path, run: Restored, estimator: str | None) -> Estimates:
    """What a file, of launch.ope or of the run itself, says of a run's policies.

    Args:
        file: of estimates.
        run: whose policies.
        estimator: by which to compare them; None for the file's own, or FQE.

    Raises:
        UserError: it is no such file, says nothing of the run, or nothing by this estimator.
    """
    try:
        found = documents.read(file, {'policies': list})
        own = file.parent.resolve() == run.path.resolve()
        documents.check(str(file), found, _OF_RUN if own else _OF_RUNS)
    except (OSError, UserError) as error:
        raise UserError(f'{file} holds no estimates of policies: {error}') from error
    ours = [
        each
        for each in found['policies']
        if own or Path(each['run']).resolve() == run.path.resolve()
    ]
    judged, targets = [], run.target_returns or (None,)
    for each in ours:
        # A policy that is asked for several returns was judged with each, in their order.
        before = [(j.member, j.updates) for j in judged].count((each['member'], each['updates']))
        target = targets[before % len(targets)]
        judged.append(Judged(each['member'], each['updates'], target, each['estimates']))
    known = list(dict.fromkeys(name for each in judged for name in each.estimates))
    estimator = estimator or found.get('estimator', ESTIMATOR)
    discount = found['config']['hparams']['gamma']
    if not judged:
        others = ', '.join(sorted({each.get('run', '') for each in found['policies']})) or 'nothing'
        raise UserError(f'{file} has no estimates of {run.path}, but of {others}.')
    if estimator not in known:
        raise UserError(f'--estimator={estimator}: {file} has estimates by {", ".join(known)}.')
    return Estimates(judged, estimator, discount, found.get('log'))


def best(run: Restored, known: Estimates, target_return: float | None) -> Choice:
    """The policy with the best estimate, at whichever checkpoint.

    Args:
        run: at its last checkpoint.
        known: of its policies.
        target_return: of the policies to choose among, None for any.

    Raises:
        UserError: there are no estimates, the log cannot tell, or the checkpoint is not kept.
    """
    if not known.judged:
        raise UserError(
            f'--best=estimate: {run.path} has no {estimates.FILE}; launch.ope writes estimates, and '
            '--estimates=FILE names its file.'
        )
    judged = [each for each in known.believed() if target_return in (None, each.target_return)]
    if not judged:
        raise UserError(
            f'the log cannot tell which policy of {run.path} is best: {known.estimator} gives no '
            'estimate that could be believed.'
        )
    top = max(judged, key=known.value)
    if top.updates != run.updates:
        runs = {each.run.updates: each.run for each in policies.of_run(run.path, all_checkpoints=True)}
        if top.updates not in runs:
            raise UserError(
                f'the best estimate is of {run.path} after {top.updates:,} updates, but it keeps the '
                f'checkpoints after {", ".join(f"{each:,}" for each in runs)}: judge these again.'
            )
        run = runs[top.updates]
    return Choice(run, top.member, top.target_return, top)


def asked(run: Restored, member: int, known: Estimates, target_return: float | None) -> Choice:
    """A member at the run's last checkpoint, asked for a return or for the run's first."""
    if run.target_returns and target_return is None:
        target_return = run.target_returns[0]
    wanted = (member, run.updates, target_return)
    found = next((each for each in known.judged if each[:3] == wanted), None)
    return Choice(run, member, target_return, found)


def member(run: Restored, known: Estimates, index: int | None, setting: str | None) -> int:
    """The member that flags choose.

    Args:
        run: at its last checkpoint.
        known: of its policies.
        index, setting: of it, of which one at most is not None.

    Raises:
        UserError: none is chosen, there is no such one, or it has diverged.
    """
    members = run.learner.members
    if setting is not None:
        return _of_setting(run, known, setting)
    if index is None and len(members) > 1:
        listed = '; '.join(f'{number} ({each.description})' for number, each in enumerate(members))
        raise UserError(
            f'which policy? {run.path} has the members {listed}: choose with --member=INDEX, '
            '--setting=NAME=VALUE or --best=estimate.'
        )
    index = index or 0
    if index >= len(members):
        raise UserError(f'--member={index}: {run.path} has members 0 to {len(members) - 1}.')
    if not run.finite[index]:
        raise UserError(
            f'member {index} of {run.path} ({members[index].description}) has diverged: it holds NaN '
            'or infinite numbers and is no policy.'
        )
    return index


def _of_setting(run: Restored, known: Estimates, setting: str) -> int:
    """The member of a setting with the best estimate, or without estimates that of the first seed."""
    members = run.learner.members
    try:
        wanted = {
            name.strip(): float(value)
            for name, _, value in (each.partition('=') for each in setting.split(','))
        }
    except ValueError:
        wanted = None
    of_setting = [index for index, each in enumerate(members) if each.setting and each.setting == wanted]
    if not of_setting:
        labels = '; '.join(filter(None, by_setting(members))) or 'none: nothing was swept'
        raise UserError(f'--setting={setting}: the settings of {run.path} are {labels}.')
    finite = [index for index in of_setting if run.finite[index]]
    if not finite:
        raise UserError(f'all members of {run.path} with {setting} have diverged: none is a policy.')
    judged = [
        each for each in known.believed() if each.member in finite and each.updates == run.updates
    ]
    return max(judged, key=known.value).member if judged else finite[0]

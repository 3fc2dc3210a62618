"""Which columns of a table are what, as whoever ingests it says."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from data.ingestion.files import listed
from data.ingestion.formats import Table
from data.types import DatasetError

FILLS = ('forward', 'mean', 'indicator')
ENDS = ('terminated', 'truncated')
ACTIONS = ('labels', 'continuous')


class Roles(NamedTuple):
    """What columns are; several may be patterns, as in 'lab_*'.

    Attributes:
        episode, reward: a column each.
        observations: columns of numbers.
        action: a column of labels or numbers, or several of numbers.
        order: of an episode's rows; '' if they stand in order.
        terminal: marks rows that end their episode; '' if `end` says how every episode ends.
        end: one of ENDS; '' if `terminal` is given.
        behaviour_probability: of the row's action, or its density; '' if unknown.
        discount_time: of the row; '' if every step counts one.
        fill: one of FILLS; '' if nothing may be missing.
        categories, times: further columns of the observations, or some of those, that are no numbers.
        actions_are: one of ACTIONS; '' if the column tells.
        low, high: bounds of continuous actions, one or one per column; () if they are measured.
    """

    episode: str
    observations: tuple[str, ...]
    action: tuple[str, ...]
    reward: str
    order: str = ''
    terminal: str = ''
    end: str = ''
    behaviour_probability: str = ''
    discount_time: str = ''
    fill: str = ''
    categories: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    actions_are: str = ''
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, once each, once they are resolved."""
        single = (self.episode, self.reward, self.order, self.terminal, self.behaviour_probability,
                  self.discount_time)  # fmt: skip
        return tuple(dict.fromkeys(filter(None, (*single, *self.observations, *self.action))))


def resolve(roles: Roles, table: Table) -> Roles:
    """The roles with names in the place of patterns, and all of the observations in `observations`.

    Raises:
        DatasetError: there is no such column, one stands for two things, or something is not said, or
            said twice.
    """
    if bool(roles.terminal) == bool(roles.end):
        raise DatasetError(
            f'{table.path}: how do episodes end? Say --terminal=COLUMN if a column marks the rows that '
            f'end one, or --end=terminated or --end=truncated for the last row of each; '
            f'{"not both" if roles.end else "one of them is needed"}.'
        )
    for flag in (
        'episode',
        'reward',
        'order',
        'terminal',
        'behaviour_probability',
        'discount_time',
    ):
        if getattr(roles, flag) and getattr(roles, flag) not in table.columns:
            raise DatasetError(_unknown(table, flag, getattr(roles, flag)))
    expanded = {
        flag: _expanded(table, flag, getattr(roles, flag))
        for flag in ('observations', 'action', 'categories', 'times')
    }
    others = [name for flag in ('categories', 'times') for name in expanded[flag]]
    expanded['observations'] += tuple(
        name for name in others if name not in expanded['observations']
    )
    roles = roles._replace(**expanded)
    if not roles.observations or not roles.action:
        raise DatasetError(
            f'{table.path}: --observations and --action must name at least a column each.'
        )
    both = sorted(set(roles.categories) & set(roles.times))
    if both:
        raise DatasetError(
            f'{table.path}: {listed(both)} cannot be among --categories and --times.'
        )
    _check_once(table, roles)
    return roles


def _check_once(table: Table, roles: Roles) -> None:
    """What orders rows and what discounts count may be observed too; all else is one thing."""
    used = {'--episode': (roles.episode,), '--reward': (roles.reward,), '--terminal': (roles.terminal,),
            '--behaviour_probability': (roles.behaviour_probability,), '--action': roles.action,
            '--observations': roles.observations}  # fmt: skip
    seen = {}
    for flag, names in used.items():
        for name in filter(None, names):
            if name in seen:
                raise DatasetError(
                    f'{table.path}: the column {name!r} is used twice, for {seen[name]} and for {flag}.'
                )
            seen[name] = flag
    for flag, name in (('--order', roles.order), ('--discount_time', roles.discount_time)):
        if name and seen.get(name, '--observations') != '--observations':
            raise DatasetError(
                f'{table.path}: the column {name!r} is used twice, for {seen[name]} and for {flag}.'
            )


def _expanded(table: Table, flag: str, patterns: Sequence[str]) -> tuple[str, ...]:
    found = []
    for pattern in patterns:
        exact = pattern in table.columns
        names = (
            [pattern] if exact else [name for name in table.columns if fnmatchcase(name, pattern)]
        )
        if not names:
            raise DatasetError(_unknown(table, flag, pattern))
        twice = [name for name in names if name in found]
        if twice:
            raise DatasetError(f'{table.path}: --{flag} names {listed(twice)} twice.')
        found += names
    return tuple(found)


def _unknown(table: Table, flag: str, name: str) -> str:
    matches = 'no column matches' if set('*?[') & set(name) else 'there is no column'
    return f'{table.path}: {matches} {name!r} (--{flag}); there are {listed(table.columns)}.'

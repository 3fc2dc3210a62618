"""Values of a config that no run can have, whichever program it is for."""

import dataclasses
import math
from types import ModuleType

from ml_collections import ConfigDict

from algorithms import ALGORITHMS, bc, fqe
from data.problem import Problem
from data.types import (
    GoalTransition,
    ReturnTransition,
    SegmentPair,
    Sequence,
    SubgoalTransition,
    Transition,
)  # fmt: skip
from launch.cli import UserError
from launch.run import ranges
from launch.run.ranges import Table

# More are a slip of the hand.
_MOST_MEMBERS = 100_000
# What a return-conditioned policy is asked for is in config.target_returns.
_TARGET = 'target_return'
# What the launcher gives fitted Q evaluation.
_NOT_GIVEN = ('policy', 'resample', 'untried_value')
# What goes by the log's rewards, or looks further than a step, and is judged by them.
_WITH_GOALS = {
    'n_step': 1, 'chunk': 1, 'normalize_rewards': False, 'standardize_returns': False,
    'delayed_rewards': False,
}  # fmt: skip


def of_hparams(algorithm: ModuleType) -> dict[str, str]:
    """The range of each hyperparameter, as the algorithm's file states it."""
    fields = dataclasses.fields(algorithm.Hyperparameters)
    return {field.name: field.type.__metadata__[0] for field in fields}


def run(config: ConfigDict, table: Table) -> None:
    """Raises UserError unless a config has the keys of a run, each with a value that it may have.

    Args:
        config: of launch.train or launch.train_online.
        table: the ranges of all keys that are no algorithm's.
    """
    name = config.get('algorithm')
    if not isinstance(name, str) or name not in ALGORITHMS:
        valid = ', '.join(ALGORITHMS)
        raise UserError(f'config.algorithm: unknown algorithm {ranges.shown(name)}; valid: {valid}.')
    hparams, network = of_hparams(ALGORITHMS[name]), ALGORITHMS[name].NETWORK
    table = table | {'hparams': hparams, 'network': network}
    if _TARGET in hparams:
        table['target_returns'] = f'tuple of {hparams.pop(_TARGET)}'
    if _kind(name) is SegmentPair:
        table['preferences'] = 'text'
    for key in ('hparams', 'network'):
        _check_owner(config.get(key), table[key], f'config.{key}', name)
    sweep = config.get('sweep')
    swept = set(sweep) if isinstance(sweep, ConfigDict) else set()
    # What is not swept may be missing.
    table['sweep'] = {key: f'tuple of {valid}' for key, valid in hparams.items() if key in swept}
    if 'ope' in table:
        # Last, since it takes over values of keys before.
        table['ope'] = _of_estimates(table.pop('ope'))
    ranges.check(config, table)
    multiples(config, 'num_updates', 'eval_interval')
    if config.network.get('num_target_critics', 0) > config.network.get('num_critics', 0):
        raise UserError(
            f'config.network.num_target_critics is {config.network.num_target_critics}; valid: from 0 '
            f'to config.network.num_critics, {config.network.num_critics}.'
        )
    if 'ope' in table:
        multiples(config.ope, 'num_updates', owner='config.ope')
    number = config.num_seeds * math.prod(len(values) or 1 for values in sweep.values())
    if number > _MOST_MEMBERS:
        raise UserError(
            f'config.num_seeds and the values in config.sweep make {number:,} members; valid: at most '
            f'{_MOST_MEMBERS:,}.'
        )


def _kind(algorithm: str) -> type:
    """What an algorithm's batches are of."""
    return getattr(ALGORITHMS[algorithm], 'BATCH', Transition)


def _check_owner(values: ConfigDict | None, wanted: Table, owner: str, algorithm: str) -> None:
    """Raises UserError if keys are another algorithm's."""
    if not isinstance(values, ConfigDict):
        return
    said = []
    if missing := wanted.keys() - set(values):
        said.append(f'lacks {", ".join(sorted(missing))}, which {algorithm} needs')
    if others := set(values) - wanted.keys():
        said.append(f'has {", ".join(sorted(map(str, others)))}, which {algorithm} does not know')
    if said:
        raise UserError(
            f'{owner} {", and ".join(said)}; launch/configs/{algorithm}.py is its config.'
        )


def estimates(config: ConfigDict, table: Table) -> None:
    """Raises UserError unless a config of launch.ope says how policies can be judged.

    Args:
        config: of launch/configs/ope.py.
        table: the ranges of its keys but for those of algorithms/fqe.py and bc.py.
    """
    ranges.check(config, _of_estimates(table))
    multiples(config, 'num_updates')


def _of_estimates(table: Table) -> Table:
    """A table of launch/configs/ope.py with what is algorithms/fqe.py's and bc.py's."""
    given = {key: valid for key, valid in of_hparams(fqe).items() if key not in _NOT_GIVEN}
    model = {'hparams': of_hparams(bc), 'network': bc.NETWORK}
    return table | {
        'hparams': given,
        'network': fqe.NETWORK,
        'behaviour_model': table['behaviour_model'] | model,
    }


def multiples(config: ConfigDict, *keys: str, owner: str = 'config') -> None:
    """Raises UserError unless keys are multiples of log_interval."""
    for key in keys:
        if config[key] % config.log_interval:
            raise UserError(
                f'{owner}.{key} is {config[key]}, no multiple of {owner}.log_interval, '
                f'{config.log_interval}.'
            )


def batches(config: ConfigDict) -> None:
    """Raises UserError for what an algorithm cannot learn from, by the kind of its batches."""
    name, algorithm = config.algorithm, ALGORITHMS[config.algorithm]
    kind = _kind(name)
    if kind is SegmentPair:
        _pairs(config)
    if kind is ReturnTransition and config.sweep.get('gamma'):
        raise UserError(
            f'config.sweep.gamma is {config.sweep.gamma}; algorithm {name} learns from what episodes '
            'earned, which is discounted once for all members: only () is valid.'
        )
    if config.n_step > 1 and (kind is Sequence or 'gamma' not in of_hparams(algorithm)):
        raise UserError(
            f'config.n_step is {config.n_step}; algorithm {name} has no targets to sum rewards for: '
            'only 1 is valid.'
        )
    if config.chunk > 1 and (kind is Sequence or hasattr(algorithm, 'init_memory')):
        raise UserError(
            f'config.chunk is {config.chunk}; algorithm {name} goes by every step before, and a chunk '
            'is executed without looking: only 1 is valid.'
        )
    if kind is Sequence:
        _sequences(config)


def goals(config: ConfigDict) -> None:
    """Raises UserError for goals that an algorithm or a config has no use for, or lacks."""
    name, goals = config.algorithm, config.goals
    kind = getattr(ALGORITHMS[name], 'BATCH', Transition)
    has_own = kind in (GoalTransition, SubgoalTransition)
    if not goals.future:
        if has_own:
            raise UserError(
                f"config.goals.future is ''; algorithm {name} learns to reach goals: only 'geometric' "
                "or 'uniform' is valid."
            )
        for key, value in goals.items():
            if value:
                raise UserError(
                    f"config.goals.{key} is {value}, but config.goals.future is '': without goals "
                    f'only {type(value)()!r} is valid.'
                )
        return
    if not has_own and kind is not Transition:
        raise UserError(
            f'config.goals.future is {goals.future!r}; algorithm {name} learns from what relabelled '
            "steps do not have: only '' is valid."
        )
    if not has_own and goals.actor_random:
        raise UserError(
            f'config.goals.actor_random is {goals.actor_random}; algorithm {name} has one goal for its '
            'policy and its critics: only 0.0 is valid.'
        )
    if goals.current + goals.random > 1:
        raise UserError(
            f'config.goals.current and config.goals.random are {goals.current} and {goals.random}; '
            'valid: shares that sum to 1 at most.'
        )
    gamma = config.hparams.get('gamma', 1)
    if goals.future == 'geometric' and (gamma == 1 or config.sweep.get('gamma')):
        raise UserError(
            "config.goals.future is 'geometric', by a gamma below 1 that all members have; algorithm "
            f"{name} has none here: only 'uniform' is valid."
        )
    for key, only in _WITH_GOALS.items():
        if config[key] != only:
            raise UserError(
                f'config.{key} is {config[key]!r}; with config.goals.future, whose rewards are not the '
                f"log's, only {only!r} is valid."
            )


def judged_from_log(config: ConfigDict) -> None:
    """Raises UserError if what policies learn is not seen in a log."""
    if config.goals.future:
        raise UserError(
            f'config.goals.future is {config.goals.future!r}; whether policies reach goals is seen in '
            'an environment, not in a log: config.env_id names one.'
        )


def _pairs(config: ConfigDict) -> None:
    if not config.preferences:
        raise UserError(
            "config.preferences is '': --config.preferences=FILE says which segments are better "
            '(launch.prefer makes and checks such files).'
        )
    for key, only in (('cut_at_goal', False), ('top_fraction', 1.0), ('chunk', 1)):
        if config[key] != only:
            raise UserError(
                f'config.{key} is {config[key]}; algorithm {config.algorithm} learns from segments as '
                f'config.preferences has them: only {only} is valid.'
            )


def _sequences(config: ConfigDict) -> None:
    for key, only in (('normalize_rewards', False), ('reward_scale', 1.0), ('reward_shift', 0.0)):
        if config[key] != only:
            raise UserError(
                f'config.{key} is {config[key]}; algorithm {config.algorithm} is asked for returns in '
                f'the units of the environment: only {only} is valid.'
            )
    targets, network = config.target_returns, config.network
    if len(set(targets)) < len(targets):
        shown = ranges.shown(targets)
        raise UserError(f'config.target_returns is {shown}; different numbers are needed.')
    if network.embedding_size % network.num_heads:
        raise UserError(
            f'config.network.embedding_size is {network.embedding_size}; a multiple of '
            f'config.network.num_heads, {network.num_heads}, is needed.'
        )


def actions(algorithm: str, task: Problem, chunk: int) -> None:
    """Raises UserError if an algorithm cannot take a problem's kind of actions, or so many at once."""
    kind = 'discrete' if task.spec.discrete else 'continuous'
    if kind not in ALGORITHMS[algorithm].ACTIONS:
        able = ', '.join(
            name for name, module in ALGORITHMS.items()
            if kind in module.ACTIONS and hasattr(module, 'act')
        )  # fmt: skip
        raise UserError(
            f'algorithm {algorithm} takes {" or ".join(ALGORITHMS[algorithm].ACTIONS)} actions; '
            f'dataset {task.name} has {kind} ones: use one of {able}.'
        )
    if chunk > 1 and task.spec.discrete:
        raise UserError(
            f'config.chunk is {chunk}; dataset {task.name} has discrete actions, of which no chunks are '
            'made: only 1 is valid.'
        )

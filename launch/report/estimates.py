"""What the log says of a run's policies, beside the run's summary: estimates.json in its directory."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy

from data import blocks
from data.loading import Dataset
from launch.run import documents

FILE = 'estimates.json'
_MEAN = dict.fromkeys(('mean', 'mean_low', 'mean_high'), documents.NUMBER)
# Of a policy, by one estimator.
ESTIMATE = dict.fromkeys(('value', 'low', 'high'), documents.NUMBER) | {'refusal': (str, type(None))}
# What the log itself earned.
LOG = {'episodes': int, 'gamma': documents.NUMBER, 'return': _MEAN, 'discounted_return': _MEAN}


def read(path: Path) -> dict[str, Any] | None:
    """The estimates in a run directory, None if it was not judged from its log.

    Raises:
        UserError: they are damaged.
    """
    file = path / FILE
    if not file.exists():
        return None
    found = documents.read(file, {'estimator': str, 'log': LOG, 'policies': list})
    of_policy = {'setting': dict, 'seed': int, 'estimates': {found['estimator']: ESTIMATE}}
    return documents.check(str(file), found, {'policies': [of_policy]})


def of_log(dataset: Dataset, gamma: float) -> dict[str, Any]:
    """What the log itself earned, with 95 % intervals (Student's t) of the means over episodes.

    Args:
        dataset: the episodes.
        gamma: the discount of a step, or of a unit of time where steps have durations.
    """
    lengths, offsets = dataset.episode_lengths, dataset.episode_offsets
    discounted, before = [], 0.0
    for episodes, steps in blocks.of_episodes(offsets):
        first = offsets[episodes] - steps.start
        if dataset.duration is None:
            time = np.arange(steps.stop - steps.start)
        else:
            time = np.cumsum(np.append(before, dataset.duration[steps]))
            time, before = time[:-1], time[-1]
        passed = time - np.repeat(time[first], lengths[episodes])
        rewards = np.asarray(dataset.transitions.reward[steps], np.float64)
        discounted.append(np.add.reduceat(gamma**passed * rewards, first))
    discounted = np.concatenate(discounted)
    return {
        'episodes': len(lengths),
        'steps': int(lengths.sum()),
        'gamma': gamma,
        'return': _interval(dataset.episode_returns),
        'discounted_return': _interval(discounted),
    }


def _interval(values: np.ndarray) -> dict[str, float]:
    mean, spread = float(values.mean()), np.nan
    # Of equal values, how far the next may be from them cannot be seen.
    if np.ptp(values) > 1e-9 * np.abs(values).max():
        error = np.std(values, ddof=1) / len(values) ** 0.5
        # Student's t: that of scipy.stats is the same, and takes long to import.
        spread = error * scipy.special.stdtrit(len(values) - 1, 0.975)
    return {'mean': mean, 'mean_low': float(mean - spread), 'mean_high': float(mean + spread)}


def attach(summary: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A summary with the estimates of its settings, the best first, and whether they can be ranked.

    A setting's estimate, and each end of its interval, is the mean over its seeds: they are judged from
    the same episodes, so that their errors are the same rather than independent.
    """
    settings = [setting | _estimate(setting, found) for setting in summary['settings']]
    settings.sort(key=_worth, reverse=True)
    summary = summary | {'settings': settings}
    summary |= {'log': found['log'], 'estimator': found['estimator']}
    return summary | {'ranking': _ranking(summary)}


def _worth(setting: dict[str, Any]) -> float:
    return setting['estimate']['mean'] if 'estimate' in setting else -np.inf


def _estimate(setting: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    ours = [each for each in found['policies'] if each['setting'] == setting['setting']]
    judged = [(each['seed'], each['estimates'][found['estimator']]) for each in ours]
    known = [estimate for _, estimate in judged if not estimate['refusal']]
    refused = {'refused': {str(seed): each['refusal'] for seed, each in judged if each['refusal']}}
    if not known:
        return refused
    names = {'value': 'mean', 'low': 'mean_low', 'high': 'mean_high'}
    means = {
        name: float(np.mean(np.array([each[key] for each in known], float)))
        for key, name in names.items()
    }
    return {'estimate': means | {'seeds': len(known)}} | refused


def _ranking(summary: dict[str, Any]) -> str:
    """Whether the log can tell the settings apart, and the best of them from what it did itself."""
    known = [each for each in summary['settings'] if 'estimate' in each]
    if not known:
        reasons = {each for setting in summary['settings'] for each in setting['refused'].values()}
        said = ' '.join(each.removeprefix('cannot say: ') for each in sorted(reasons)[:1])
        more = f' ({len(reasons) - 1} more in {FILE})' if len(reasons) > 1 else ''
        return f'The log cannot say what any of these policies earns: {said}{more}'
    best, *others = known
    low, log = best['estimate']['mean_low'], summary['log']['discounted_return']
    name = best['label'] or 'this policy'
    sentences = []
    if others:
        near = [o['label'] for o in others if not o['estimate']['mean_high'] < low]
        if near:
            more = f' and {len(near) - 3} more' if len(near) > 3 else ''
            sentences.append(
                f'The log cannot tell {name} from {"; ".join(near[:3])}{more}: their intervals overlap.'
            )
        else:
            sentences.append(
                f'The log tells {name} from all others, if {summary["estimator"]} is right: their '
                'intervals are apart.'
            )
    if low > log['mean_high']:
        sentences.append(f'It tells {name} from what it did itself, which earned less.')
    elif best['estimate']['mean_high'] < log['mean_low']:
        sentences.append(
            f'The estimate of {name} is below what the log itself earned; what the log never tries '
            'counts as the worst in it.'
        )
    else:
        sentences.append(f'It cannot tell {name} from what it did itself.')
    return ' '.join(sentences)

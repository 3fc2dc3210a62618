"""All that a log says of policies: every estimator, and what of it is believed."""

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data.loading import Dataset
from launch import cli
from launch.cli import UserError
from launch.estimate import behaviour, estimators, fitted_q
from launch.estimate.behaviour import Behaviour
from launch.estimate.estimators import IMPORTANCE_SAMPLING, Judged
from launch.estimate.fitting import Schedule
from launch.run import policies
from launch.run.policies import Policies


class Method(NamedTuple):
    """How policies are judged: what launch/configs/ope.py says.

    Attributes:
        hparams: of algorithms/fqe.py, gamma among them, the discount of every estimator.
        network: of the fitted Q.
        schedule: of its fit.
        num_refits: resamples of the episodes that it is fitted to again, for its interval.
        behaviour: where the behaviour policy's probabilities are from, 'recorded' or 'fitted'.
        model_hparams, model_network: of algorithms/bc.py, where they are fitted.
        model_schedule: of that fit.
        min_mean_weight, min_effective_sample_size: with less, estimates are not believed.
        seed: of the fits and of the resamples.
    """

    hparams: dict[str, float]
    network: ConfigDict
    schedule: Schedule
    num_refits: int
    behaviour: str
    model_hparams: dict[str, float]
    model_network: ConfigDict
    model_schedule: Schedule
    min_mean_weight: float
    min_effective_sample_size: float
    seed: int

    @property
    def gamma(self) -> float:
        """The discount of a step."""
        return self.hparams['gamma']


def method_of(config: ConfigDict, owner: str = 'config') -> Method:
    """What a config of launch/configs/ope.py asks for.

    Args:
        config: whole, or as it is part of another config.
        owner: what messages call it, such as 'config.ope'.

    Raises:
        UserError: it has values with which there is no judging.
    """
    if config.behaviour not in ('recorded', 'fitted'):
        raise UserError(f"{owner}.behaviour is {config.behaviour!r}; valid: 'recorded', 'fitted'.")
    counts = ('num_updates', 'batch_size', 'log_interval')
    cli.check_counts(config, counts, ('num_updates',), owner)
    if config.num_refits < 0 or config.num_refits == 1:
        raise UserError(f'{owner}.num_refits is {config.num_refits}; valid: 0, and 2 or more.')
    model = config.behaviour_model
    return Method(
        hparams=config.hparams.to_dict(),
        network=config.network,
        schedule=Schedule(config.num_updates, config.log_interval, config.batch_size),
        num_refits=config.num_refits,
        behaviour=config.behaviour,
        model_hparams=model.hparams.to_dict(),
        model_network=model.network,
        model_schedule=Schedule(model.num_updates, config.log_interval, model.batch_size),
        min_mean_weight=config.min_mean_weight,
        min_effective_sample_size=config.min_effective_sample_size,
        seed=config.seed,
    )


def judge(dataset: Dataset, found: list[Policies], method: Method) -> list[Judged]:
    """Judges policies from a dataset.

    Args:
        dataset: the log, preprocessed.
        found: the policies, of one run or of several.
        method: how.

    Raises:
        UserError: policies do not act on what the dataset holds.
        DatasetError: the dataset lacks the behaviour policy's probabilities.
    """
    for each in found:
        policies.check(each, dataset)
    steps, first = dataset.transitions, dataset.episode_offsets[:-1]

    def actions(observations: np.ndarray) -> np.ndarray:
        return np.concatenate([each.normalized_actions(observations) for each in found], axis=1)

    rng = np.random.default_rng(method.seed)
    again = estimators.resamples(rng, len(first), method.num_refits)
    counts = np.concatenate([np.ones((1, len(first))), again])
    fitted = fitted_q.fit(
        dataset, actions(steps.next_observation), counts, method.hparams, method.network,
        method.schedule, method.seed,
    )  # fmt: skip
    initial = np.asarray(steps.observation[first])
    by_fqe = estimators.by_fitted_q(fitted, initial, actions(initial), counts)
    if dataset.problem.spec.discrete:
        sampled = estimators.by_importance_sampling(
            dataset, fitted, actions(steps.observation), _behaviour(dataset, method, rng),
            method.gamma, rng,
        )  # fmt: skip
    else:
        reason = (
            'does not apply: a policy with one continuous action for each observation has no '
            'density for the actions of the log.'
        )
        none = dict.fromkeys(IMPORTANCE_SAMPLING, estimators.refused(reason))
        sampled = [(none, np.nan, np.nan)] * len(by_fqe)
    whose = [
        (name, str(each.run.path), int(member), each.run.title, each.run.updates)
        for each in found
        for name, member in zip(each.names, each.indices)
    ]
    judged = [
        Judged(*policy, {'FQE': estimate} | estimates, weight, size)
        for policy, estimate, (estimates, weight, size) in zip(whose, by_fqe, sampled)
    ]
    return [
        estimators.believe(each, method.min_mean_weight, method.min_effective_sample_size)
        for each in judged
    ]


def _behaviour(dataset: Dataset, method: Method, rng: np.random.Generator) -> Behaviour:
    if method.behaviour == 'recorded':
        return behaviour.recorded(dataset)
    return behaviour.fitted(
        dataset, method.model_hparams, method.model_network, method.model_schedule, method.seed, rng
    )

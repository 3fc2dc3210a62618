"""All that a log says of policies: every estimator, and what of it is believed."""

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data import transforms
from data.loading import Dataset
from launch.estimate import behaviour, estimators, fitted_q, ratios, support
from launch.estimate.behaviour import Behaviour, Model
from launch.estimate.estimators import (
    ESTIMATORS,
    IMPORTANCE_SAMPLING,
    MARGINALISED,
    OF_STATES,
    Estimate,
    Judged,
)
from launch.estimate.fitting import Schedule
from launch.run import policies
from launch.run.policies import Policies

_CONTINUOUS = (
    'does not apply: a policy with one continuous action for each observation has no density for the '
    'actions of the log.'
)
_REMEMBERS = (
    'does not apply: the policy also reads the steps before, and a value of the observation alone has '
    'no place for them.'
)
_IN_CHUNKS = (
    'does not apply: the policy decides on several actions at once, and a value of the observation '
    'alone has no place for what is left of them.'
)

_ALONE = (
    'cannot say: the log has one episode, and a model of what it was likely to do is not to be used on '
    'the episode that it was fitted to.'
)


class Method(NamedTuple):
    """How policies are judged: what launch/configs/ope.py says.

    Attributes:
        hparams: of algorithms/fqe.py, gamma among them, the discount of every estimator.
        network: of the fitted Q.
        schedule: of its fit.
        num_refits: resamples of the episodes that it is fitted to again, for its interval.
        behaviour: where the behaviour policy's probabilities are from, 'recorded' in the dataset or
            'fitted'; 'auto' for recorded if they are.
        model_hparams, model_network: of algorithms/bc.py, the model of the behaviour policy.
        model_schedule: of that fit.
        tried_threshold: an action that is by this factor less likely than the likeliest counts as never
            tried, and what follows as the least that the log would allow; 0 for neither.
        min_mean_weight, min_effective_sample_size, min_support: with less, estimates are not believed.
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
    tried_threshold: float
    min_mean_weight: float
    min_effective_sample_size: float
    min_support: float
    seed: int

    @property
    def gamma(self) -> float:
        """The discount of a step."""
        return self.hparams['gamma']


def method_of(config: ConfigDict) -> Method:
    """What a config of launch/configs/ope.py asks for, which may be part of another config."""
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
        tried_threshold=config.tried_threshold,
        min_mean_weight=config.min_mean_weight,
        min_effective_sample_size=config.min_effective_sample_size,
        min_support=config.min_support,
        seed=config.seed,
    )


def judge(
    dataset: Dataset, found: list[Policies], method: Method, model: Model | None = None
) -> list[Judged]:
    """Judges policies from a dataset.

    Args:
        dataset: the log, preprocessed.
        found: the policies, of one run or of several.
        method: how.
        model: of the log's behaviour, if there is one that was fitted to other episodes of it.

    Raises:
        UserError: policies do not act on what the dataset holds.
        DatasetError: the dataset lacks the behaviour policy's probabilities.
    """
    for each in found:
        policies.check(each, dataset)
    rng = np.random.default_rng(method.seed)
    # Policies that remember, if only the rest of a chunk, are not functions of the observation.
    remember = np.concatenate([[each.remember] * len(each.members) for each in found])
    in_chunks = np.concatenate([[each.in_chunks] * len(each.members) for each in found])
    by_state: list[dict[str, Estimate]] = [
        dict.fromkeys(OF_STATES, estimators.refused(why)) if each else {}
        for each, why in zip(remember, np.where(in_chunks, _IN_CHUNKS, _REMEMBERS).tolist())
    ]
    discrete = dataset.problem.spec.discrete
    behind = _behind(dataset, method, rng, discrete, model)
    plain = np.flatnonzero(~remember)
    q = v = untried = np.full(len(remember), np.nan)
    if len(plain):
        stateless = [each for each in found if not each.remember]
        estimates, q, v, untried = _of_states(
            dataset, stateless, method, behind if discrete else None, rng
        )
        for policy, each in zip(plain, estimates):
            by_state[policy] |= each
        q, v, untried = (_spread(values, remember) for values in (q, v, untried))
    if discrete and behind.behaviour is not None:
        along = np.concatenate([each.actions_along(dataset) for each in found], axis=1)
        shape = along.shape
        sampled = estimators.by_importance_sampling(
            dataset, along, np.broadcast_to(q, shape), np.broadcast_to(v, shape), behind.behaviour,
            method.gamma, rng,
        )  # fmt: skip
    else:
        reason = _ALONE if discrete else _CONTINUOUS
        none = dict.fromkeys(IMPORTANCE_SAMPLING, estimators.refused(reason))
        sampled = [(none, np.nan, np.nan)] * len(remember)
    whose = [
        (name, str(each.run.path), int(member), each.run.title, each.run.updates)
        for each in found
        for name, member in zip(each.names, each.indices)
    ]
    judged = [
        Judged(
            *policy, {name: (rest | of_states)[name] for name in ESTIMATORS}, weight, size,
            float(unknown), float(share),
        )
        for policy, of_states, (rest, weight, size), unknown, share in zip(
            whose, by_state, sampled, untried, _supported(dataset, found, behind.model)
        )
    ]  # fmt: skip
    limits = method.min_mean_weight, method.min_effective_sample_size, method.min_support
    return [estimators.believe(each, *limits) for each in judged]


def of_log(dataset: Dataset, method: Method) -> float:
    """What fitted Q evaluation gives the log's own behaviour, whose true mean return is known.

    Where it misses that, it was not fitted for long enough, or the observations say too little.
    """
    steps = dataset.transitions
    first, last = dataset.episode_offsets[:-1], dataset.episode_offsets[1:] - 1
    following = np.roll(steps.action, -1, axis=0)
    # What came after an episode that was cut, nobody knows.
    following[last] = steps.action[last]
    counts = np.ones((1, len(first)))
    fitted = fitted_q.fit(
        dataset, following[:, None], np.ones((len(following), 1), bool), 0.0, counts, method.hparams,
        method.network, method.schedule, method.seed,
    )  # fmt: skip
    began = np.asarray(steps.observation[first]), np.asarray(steps.action[first])[:, None]
    return float(fitted.values(*began, 0).mean())


def _supported(dataset: Dataset, found: list[Policies], model: Model) -> np.ndarray:
    few = transforms.thin(dataset, support.MOST_STEPS)
    actions = np.concatenate([each.actions_along(few) for each in found], axis=1)
    return support.measure(model, dataset).share(few.transitions.observation, actions)


def _spread(values: np.ndarray, remember: np.ndarray) -> np.ndarray:
    """(..., policies that do not remember) -> (..., policies), NaN for those that do."""
    full = np.full((*values.shape[:-1], len(remember)), np.nan)
    full[..., ~remember] = values
    return full


class _Behind(NamedTuple):
    """Who collected a log: its probabilities, None if nothing is left to use them on; and its model."""

    behaviour: Behaviour | None
    model: Model


def _behind(
    dataset: Dataset, method: Method, rng: np.random.Generator, discrete: bool, model: Model | None
) -> _Behind:
    """Who collected a log, and the model of it that says what it tries."""
    number = len(dataset.episode_lengths)
    # Densities of continuous actions weigh nothing here.
    recorded = discrete and behaviour_of(dataset, method) == 'recorded'
    # First, since it refuses logs without probabilities.
    known = behaviour.recorded(dataset) if recorded else None
    everything = np.ones(number, bool)
    used = everything if recorded or model else rng.permuted(np.arange(number) % 2 == 0)
    alone = number == 1 and not recorded and model is None
    if model is None:
        model = behaviour.fit(
            dataset, everything if recorded or alone else ~used, method.model_hparams,
            method.model_network, method.model_schedule, method.seed,
        )  # fmt: skip
    if not recorded and not alone:
        steps = dataset.transitions
        known = Behaviour(model.log_probs(steps.observation, steps.action), used)
    return _Behind(known, model)


def behaviour_of(dataset: Dataset, method: Method) -> str:
    """'recorded' or 'fitted': where the behaviour policy's probabilities are from."""
    if method.behaviour == 'auto':
        return 'fitted' if dataset.log_prob is None else 'recorded'
    return method.behaviour


def _of_states(
    dataset: Dataset,
    found: list[Policies],
    method: Method,
    behind: _Behind | None,
    rng: np.random.Generator,
) -> tuple[list[dict[str, Estimate]], np.ndarray, np.ndarray, np.ndarray]:
    """Estimates that read Q or V; Q and V at the log's steps, (N, P); and `untried`, (P,)."""
    steps, first = dataset.transitions, dataset.episode_offsets[:-1]

    def actions(observations: np.ndarray) -> np.ndarray:
        return np.concatenate([each.normalized_actions(observations) for each in found], axis=1)

    def tried(observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        if behind is None or not method.tried_threshold:
            return np.ones(actions.shape[:2], bool)
        return behind.model.tried(observations, actions, method.tried_threshold)

    log = ratios.log_of(dataset, method.gamma)
    following, initial = actions(steps.next_observation), np.asarray(steps.observation[first])
    next_tried, started = tried(steps.next_observation, following), actions(initial)
    start_tried = tried(initial, started)
    again = estimators.resamples(rng, len(first), method.num_refits)
    counts = np.concatenate([np.ones((1, len(first))), again])
    fitted = fitted_q.fit(
        dataset, following, next_tried, log.floor, counts, method.hparams, method.network,
        method.schedule, method.seed,
    )  # fmt: skip
    by_fqe = estimators.by_fitted_q(fitted, initial, started, start_tried, log.floor, counts)
    count = following.shape[1]
    if behind is None:
        none = dict.fromkeys(MARGINALISED, estimators.refused(_CONTINUOUS))
        unknown = np.full(count, np.nan)
        return [{'FQE': each} | none for each in by_fqe], unknown, unknown, unknown
    by_model = ratios.by_tabular_model(dataset, log, actions)
    by_ratios, untried = ratios.by_linear_ratios(
        dataset, log, following, next_tried, started, start_tried
    )
    here, logged = actions(steps.observation), np.asarray(steps.action)
    q, v = (
        np.where(tried(steps.observation, each), fitted.values(steps.observation, each, 0), log.floor)
        for each in (np.repeat(logged[:, None], count, axis=1), here)
    )
    estimates = [
        dict(zip(('FQE', *MARGINALISED), each)) for each in zip(by_fqe, by_model, by_ratios)
    ]
    return estimates, q, v, untried

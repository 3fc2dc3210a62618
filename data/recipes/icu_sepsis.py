"""ICU-Sepsis: logs of clinicians and of random treatment, and exact values to hold them against.

The environment is small and known (713 states of a patient, 25 treatments), so that the value of
any policy is the solution of a linear system, not an estimate.
"""

import functools
from collections.abc import Iterator

import gymnasium as gym
import numpy as np
from minari.data_collector import EpisodeBuffer

from data import environments
from data.recipes.recipe import Recipe, rollout, seeds


@functools.cache
def admissible() -> np.ndarray:
    """bool (716, 25): the actions that the clinicians' records support, in each state."""
    mask = np.zeros(environments.sepsis_parameters().expert_policy.shape, bool)
    for state, actions in enumerate(environments.sepsis_parameters().admissible_actions):
        mask[state, actions] = True
    return mask


def clinicians() -> np.ndarray:
    """float64 (716, 25): action probabilities of the clinicians, as estimated from their records.

    The library's estimate still holds actions seen fewer than 20 times, which are inadmissible; as
    its documentation says of it, they are dropped here and the rest is normalised again.
    """
    policy = environments.sepsis_parameters().expert_policy * admissible()
    # The terminal states have no clinician's action: any distribution will do there.
    policy = np.where(policy.sum(axis=1, keepdims=True) > 0, policy, random_admissible())
    return policy / policy.sum(axis=1, keepdims=True)


def random_admissible() -> np.ndarray:
    """float64 (716, 25): uniform over the admissible actions."""
    return admissible() / admissible().sum(axis=1, keepdims=True)


def state_values(policy: np.ndarray) -> np.ndarray:
    """Exact expected undiscounted returns from each state of a patient: V = r_pi + P_pi V.

    Args:
        policy: (716, 25) action probabilities in each state.

    Returns:
        float64 (713,); the last three states, in which an episode is over, are left out.
    """
    transitions, rewards = _model()
    policy = policy[: len(rewards)]
    step = np.einsum('sa,sat->st', policy, transitions)
    return np.linalg.solve(np.eye(len(step)) - step, np.sum(policy * rewards, axis=1))


def exact_value(policy: np.ndarray) -> float:
    """Probability that a patient survives under a policy: its exact undiscounted expected return.

    The 500-step limit is left out: episodes last 9 steps.

    Args:
        policy: (716, 25) action probabilities in each state.
    """
    initial = environments.sepsis_parameters().d_0
    values = state_values(policy)
    return float(initial[: len(values)] @ values)


@functools.cache
def reference_values() -> dict[str, float]:
    """Exact expected returns of the clinicians, of uniformly random actions, and the optimum."""
    return {
        'clinicians': exact_value(clinicians()),
        'random': exact_value(np.full(admissible().shape, 1 / admissible().shape[1])),
        'optimum': exact_value(optimal_policy()),
    }


def optimal_policy() -> np.ndarray:
    """float64 (716, 25): a deterministic policy of highest value, by policy iteration."""
    transitions, rewards = _model()
    policy = random_admissible()
    while True:
        values = state_values(policy)
        action_values = rewards + transitions @ values
        improved = np.zeros_like(policy)
        improved[np.arange(len(values)), action_values.argmax(axis=1)] = 1
        improved[len(values) :] = policy[len(values) :]
        if np.all(state_values(improved) <= values + 1e-12):
            return policy
        policy = improved


@functools.cache
def _model() -> tuple[np.ndarray, np.ndarray]:
    """Transitions (713, 25, 713) among a patient's states, and expected rewards (713, 25).

    An inadmissible action leads to death, which is outside these states and earns nothing.
    """
    parameters = environments.sepsis_parameters()
    # Death, survival and the unused s_inf are the last three states.
    living = parameters.tx_mat.shape[0] - 3
    reached = parameters.tx_mat[:living] * admissible()[:living, :, None]
    rewards = np.einsum('sat,sat->sa', reached, parameters.r_mat[:living])
    return reached[:, :, :living], rewards


def _references() -> dict:
    values = reference_values()
    return {
        'ref_min_score': values['random'],
        'ref_max_score': values['optimum'],
        'reference_lines': values,
    }


def _episodes(policy, env: gym.Env, size: int, seed: int) -> Iterator[EpisodeBuffer]:
    """Infos: 'state' (T + 1,) behind the features, 'log_prob' (T,) of each action."""
    probabilities = policy()
    cumulative = np.cumsum(probabilities, axis=1)
    cumulative /= cumulative[:, -1:]
    log_probabilities = np.log(np.where(probabilities > 0, probabilities, 1.0))
    env_seed, rng = seeds(seed)

    def act(observation, info):
        state = info['state']
        action = np.searchsorted(cumulative[state], rng.random(), side='right')
        return action, {'log_prob': log_probabilities[state, action]}

    return rollout(env, act, size, 'episodes', env_seed, keep=('state',))


def _recipe(name: str, description: str, algorithm_name: str, policy) -> Recipe:
    spec = gym.spec(environments.SEPSIS_ID)
    return Recipe(
        dataset_id=f'local/icu-sepsis/{name}-v0',
        description=description,
        size=20_000,
        unit='episodes',
        env_spec=spec,
        eval_env_spec=spec,
        algorithm_name=algorithm_name,
        requirements=('icu-sepsis>=2',),
        references=_references,
        episodes=functools.partial(_episodes, policy),
    )


RECIPES = (
    _recipe(
        'clinician',
        'Sepsis treatment in intensive care, as clinicians chose it',
        'policy of clinicians estimated from MIMIC-III',
        clinicians,
    ),
    _recipe(
        'random',
        'Sepsis treatment in intensive care, random among the actions clinicians take',
        'uniform over admissible actions',
        random_admissible,
    ),
)

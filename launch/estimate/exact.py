"""Exact values of policies, where the environment's model is known: ICU-Sepsis."""

import numpy as np

from data import environments
from data.recipes import icu_sepsis
from launch.cli import UserError
from launch.run.policies import Policies


def values(policies: Policies) -> np.ndarray:
    """Expected returns of each policy, without sampling, float64 (policies,).

    Raises:
        UserError: the environment's model is not known.
    """
    env_id = policies.run.problem.env_spec.id
    if env_id != environments.SEPSIS_ID:
        raise UserError(
            f'the values of policies in {env_id} are not known exactly, only those in '
            f'{environments.SEPSIS_ID} are.'
        )
    features = environments.sepsis_parameters().state_cluster_centers.astype(np.float32)
    actions = policies.normalized_actions(features)
    num_actions = policies.run.problem.spec.action_size
    return np.array([icu_sepsis.exact_value(np.eye(num_actions)[each]) for each in actions.T])

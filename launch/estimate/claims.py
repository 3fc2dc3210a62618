"""What critics claim anywhere, as values in a log's own units."""

import numpy as np

from algorithms import ALGORITHMS
from data import blocks
from launch.cli import UserError
from launch.run.policies import Policies


def of(policies: Policies, observations: np.ndarray) -> np.ndarray:
    """What each policy's critic expects of its actions, float64 (n, policies).

    In the log's units, but for a reward_shift, which stays in.

    Args:
        policies: of a run.
        observations: as the environment gives them, (n, observation_size).

    Raises:
        UserError: they have no critic.
    """
    run, learner = policies.run, policies.run.learner
    if learner.claimed_value is None:
        able = (name for name, module in ALGORITHMS.items() if hasattr(module, 'claimed_value'))
        raise UserError(
            f'{run.path} is a run of {run.title}, which claims no values; those of {", ".join(able)} do.'
        )
    parts = []
    for rows in blocks.of_steps(len(observations)):
        seen = np.asarray(observations[rows])
        everywhere = np.broadcast_to(seen, (len(learner.members), *seen.shape))
        parts.append(learner.claimed_value(run.states, everywhere, learner.keys())[policies.indices])
    claimed = np.concatenate(parts, axis=1).T.astype(np.float64)
    return run.problem.preprocessing.recorded_value(claimed, 0.0)

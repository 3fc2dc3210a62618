"""What a dataset says of the policy that collected it."""

import numpy as np

from data.loading import Dataset
from data.types import DatasetError

# A probability of 1 may have become a little more in float32.
_ROUNDING = 1e-5


def recorded_log_probs(dataset: Dataset) -> np.ndarray:
    """Log-probability (or -density) of every action under the policy that took it, float64 (N,).

    Raises:
        DatasetError: its episodes' infos lack it, or hold what is no log-probability.
    """
    if dataset.log_prob is None:
        raise DatasetError(
            f"dataset {dataset.problem.name}: the infos of its episodes hold no 'log_prob' for each "
            "step, so the behaviour policy's probabilities are unknown."
        )
    if not np.isfinite(dataset.log_prob).all():
        raise DatasetError(
            f"dataset {dataset.problem.name}, infos 'log_prob': NaN or infinite values, or none for "
            'some steps.'
        )
    if dataset.problem.spec.discrete and (most := np.max(dataset.log_prob)) > _ROUNDING:
        raise DatasetError(
            f"dataset {dataset.problem.name}, infos 'log_prob': up to {most:g}, and no probability of a "
            'discrete action has a logarithm above 0.'
        )
    return np.asarray(dataset.log_prob)

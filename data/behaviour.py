"""What a dataset says of the policy that collected it."""

import numpy as np

from data.loading import Dataset
from data.types import DatasetError


def recorded_log_probs(dataset: Dataset) -> np.ndarray:
    """Log-probability (or -density) of every action under the policy that took it, float64 (N,).

    Raises:
        DatasetError: its episodes' infos lack it, or not all of it is finite.
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
    return np.asarray(dataset.log_prob)

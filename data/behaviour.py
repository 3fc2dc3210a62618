"""What a dataset says of the policy that collected it."""

import numpy as np

from data import flat
from data.loading import Dataset, open_source
from data.types import DatasetError

# What our recipes, the locomotion and the clinical ones, call it in the infos.
INFO = 'log_prob'


def recorded_log_probs(dataset: Dataset) -> np.ndarray:
    """Log-probability (or -density) of every action under the policy that took it, float64 (N,).

    Args:
        dataset: as loading.load returned it, none of its steps left out.

    Raises:
        DatasetError: its episodes' infos lack it, or not all of it is finite.
    """
    found = list(flat.infos(open_source(dataset.problem.name), INFO))
    lengths = [len(each) for each in found]
    if lengths != dataset.episode_lengths.tolist():
        raise DatasetError(
            f'dataset {dataset.problem.name}: the infos of its episodes hold no {INFO!r} for each '
            "step, so the behaviour policy's probabilities are unknown."
        )
    log_probs = np.concatenate(found)
    if not np.isfinite(log_probs).all():
        raise DatasetError(f'dataset {dataset.problem.name}, infos {INFO!r}: NaN or infinite values.')
    return log_probs

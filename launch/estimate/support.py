"""What a log supports: the actions that a model of its behaviour finds as likely as its own."""

from typing import NamedTuple

import numpy as np

from data import transforms
from data.loading import Dataset
from launch.estimate.behaviour import Model

# Of a log's steps, as many as two cores judge in a moment.
MOST_STEPS = 20_000
# The rarest share of the log's own actions: what is less likely than they are, the log does not support.
_UNSUPPORTED = 0.05


class Support(NamedTuple):
    """A model of the log's behaviour, and the least log-probability (or -density) that the log has."""

    model: Model
    least: float

    def share(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Of policies' actions (n, P, ...) at observations (n, ...), those that it supports, (P,)."""
        likely = [self.model.log_probs(observations, each) >= self.least
                  for each in np.moveaxis(actions, 1, 0)]  # fmt: skip
        return np.mean(likely, axis=1)


def measure(model: Model, dataset: Dataset) -> Support:
    """What a log supports: all that is no less likely than the rarest 5 % of its own actions.

    Args:
        model: of its behaviour.
        dataset: episodes of it, better such that the model was not fitted to.
    """
    few = transforms.thin(dataset, MOST_STEPS).transitions
    own = model.log_probs(few.observation, few.action)
    return Support(model, float(np.quantile(own, _UNSUPPORTED)))

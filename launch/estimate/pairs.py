"""The judge of what learns rewards: whether held-out pairs of segments are ranked as labelled."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np

from data import segments
from data.loading import Dataset
from data.types import SegmentPair
from launch.run import learners
from launch.run.learners import Learners
from launch.run.loop import Judge
from launch.run.turns import Wait

# Pairs judged at a time.
_PAIRS = 256


@contextmanager
def judging(learner: Learners, held: Dataset) -> Iterator[Judge]:
    """The judge of a run's members: of the pairs that have a better segment, the share in which the
    rewards say so (NaN if there are none), and the cross-entropy of all.

    Args:
        learner: theirs.
        held: with the preferences that they do not learn from.
    """
    found = segments.pairs(held)
    parts = [_part(found, begin) for begin in range(0, len(found.label), _PAIRS)]
    placed = [learners.place(part, learner.mesh) for part in parts]
    # A part's measures count as often as it has pairs that they are of.
    sizes = np.array([part.label.size for part in parts])
    decided = np.array([np.sum(part.label != 0.5) for part in parts])

    def judge(states, evaluated, final):
        del final
        yield Wait(lambda: True, 0.0)
        measured = [learner.metrics_on(states, part) for part in placed]
        agreed, loss = (
            np.stack([each[name] for each in measured]) for name in ('agreement', 'reward_loss')
        )
        columns = {
            'pair_agreement': decided @ agreed / (decided.sum() or np.nan),
            'pair_loss': sizes @ loss / sizes.sum(),
        }
        return [
            (member, {name: float(values[i]) if evaluated[i] else np.nan
                      for name, values in columns.items()})
            for i, member in enumerate(learner.members)
        ]  # fmt: skip

    yield judge


def _part(found: SegmentPair, begin: int) -> SegmentPair:
    """Pairs from a number on, as one batch of one update: (1, pairs, ...)."""
    return jax.tree.map(lambda array: np.asarray(array[None, begin : begin + _PAIRS]), found)

"""Pairs of segments, for learners of preferences."""

import numpy as np

from data import disk
from data.loading import Dataset
from data.types import DatasetError, SegmentPair

# Pairs gathered at a time.
_BLOCK = 1_024


def pairs(dataset: Dataset) -> SegmentPair:
    """All pairs of segments that a dataset has preferences between, each as long as the longest one.

    What is a pair's lies together, so that a batch is a number of rows, wherever the arrays are; steps
    that are in many segments are there as often.

    Raises:
        DatasetError: there are none.
    """
    stated, steps = dataset.preferences, dataset.transitions
    if not len(stated.label):
        raise DatasetError(
            f'dataset {dataset.problem.name}: none of its preferences is between two of the episodes '
            'that are learned from.'
        )
    count, width = len(stated.label), int(stated.length.max())
    first = dataset.episode_offsets[:-1][stated.episode] + stated.begin
    made = SegmentPair(
        observation=disk.scratch(np.float32, (count, 2, width, *steps.observation.shape[1:])),
        action=disk.scratch(steps.action.dtype, (count, 2, width, *steps.action.shape[1:])),
        mask=disk.scratch(np.bool_, (count, 2, width)),
        label=stated.label,
    )
    place = np.arange(width)
    for begin in range(0, count, _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        mask = place < stated.length[rows, :, None]
        found = first[rows, :, None] + np.where(mask, place, 0)
        made.mask[rows] = mask
        for array, source in ((made.observation, steps.observation), (made.action, steps.action)):
            hidden = ~mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))
            array[rows] = np.where(hidden, array.dtype.type(0), source[found])
    return made

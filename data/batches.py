"""What the batches of a learner are of, and how they are made of a dataset."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from data import decisions, goals, returns, sampling, segments, sequences
from data.decisions import Decisions
from data.goals import Goals
from data.loading import Dataset
from data.problem import Preprocessing
from data.splitting import Split
from data.types import (
    Array,
    NextActionTransition,
    ReturnTransition,
    SegmentPair,
    Sequence,
    Transition,
)


class Form(NamedTuple):
    """What one item of a batch is.

    Attributes:
        kind: of data.types, Transition, ReturnTransition, NextActionTransition, GoalTransition,
            SubgoalTransition, Sequence or SegmentPair.
        context: steps of a Sequence; 0 for all else.
        n_step: decisions that a target spans.
        chunk: steps of a decision.
        goals: that steps are relabelled with; None for none.
        subgoal_steps: how far ahead those of a SubgoalTransition are; 0 for all else.
    """

    kind: type = Transition
    context: int = 0
    n_step: int = 1
    chunk: int = 1
    goals: Goals | None = None
    subgoal_steps: int = 0

    @property
    def looks_ahead(self) -> bool:
        """Whether it is made of more than a row of the dataset."""
        return self.n_step * self.chunk > 1 or self.kind is NextActionTransition


def sampled_from(dataset: Dataset, form: Form, gamma: float) -> Any:
    """What batches of a form are gathered from: arrays with a row for each of the dataset's steps, or,
    of pairs of segments, for each of its preferences.

    Args:
        dataset: preprocessed.
        form: of the batches.
        gamma: the learners' discount, which only a return-to-go needs.
    """
    if form.kind is Sequence:
        return sequences.steps(dataset)
    if form.goals:
        return goals.of(dataset)
    if form.kind is SegmentPair:
        return segments.pairs(dataset)
    to_go = returns.discounted_to_go(dataset, gamma) if form.kind is ReturnTransition else None
    if form.looks_ahead:
        return decisions.of(dataset, form.chunk, to_go)
    return dataset.transitions if to_go is None else ReturnTransition(*dataset.transitions, to_go)


def count(data: Any) -> int:
    """How many items there are to draw from in what `sampled_from` made, or in a Split of it."""
    if isinstance(data, Split):
        return data.parts.count if isinstance(data.parts, Decisions) else data.num_steps
    return data.count if isinstance(data, Decisions) else jax.tree.leaves(data)[0].shape[0]


def drawer(form: Form) -> Callable[[jax.Array, jax.Array | int, int], Any]:
    """(key, count, batch_size) -> what `gatherer` makes a batch of: the numbers of its items."""
    if form.goals is None:
        return sampling.sample_indices
    return partial(goals.draw, goals=form.goals, for_actor=form.kind is not Transition)


def gatherer(
    form: Form, rows: Callable[[Any, Array], Any] = sampling.rows
) -> Callable[[Any, Array], Any]:
    """(data, drawn) -> what `finished` makes a batch of: the items that `drawer` drew.

    Args:
        form: of the batch.
        rows: (arrays, indices) -> their rows, as sampling.rows.
    """
    if form.kind is Sequence:
        return partial(sequences.windows, context=form.context, rows=rows)
    if form.goals:
        return partial(
            goals.windows, goals=form.goals, kind=form.kind, subgoal_steps=form.subgoal_steps,
            rows=rows,
        )  # fmt: skip
    if not form.looks_ahead:
        return rows
    return partial(
        decisions.windows, n_step=form.n_step, chunk=form.chunk,
        next_action=form.kind is NextActionTransition, rows=rows,
    )  # fmt: skip


def finished(gathered: Any, form: Form, preprocessing: Preprocessing, gamma: Array | float) -> Any:
    """The batch that an algorithm learns from, on the device.

    Args:
        gathered: by `gatherer`.
        form: of the batch.
        preprocessing: of observations and rewards, which comes before rewards are summed.
        gamma: the learner's discount.
    """
    if form.kind in (Sequence, SegmentPair):
        return gathered._replace(observation=preprocessing.observation(gathered.observation))
    batch = preprocessing.transition(gathered)
    if not form.looks_ahead:
        return batch
    folded = decisions.fold(batch, gamma)
    more = {name: getattr(batch, name) for name in form.kind._fields if name not in folded._fields}
    return form.kind(**folded._asdict(), **more)

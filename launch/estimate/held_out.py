"""The judge without an environment: what held-out episodes of the log say of policies while they learn.

None of it is what a policy earns: that is estimated once, after the last update (estimate/judging.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from data import sequences, transforms
from data.loading import Dataset
from launch.estimate import support
from launch.estimate.support import Support
from launch.run import learners, rollouts
from launch.run.learners import Learners
from launch.run.loop import Judge
from launch.run.members import Member
from launch.run.policies import Policies, Restored
from launch.run.turns import Turns, Wait

_METRICS_BATCHES = 16


@contextmanager
def judging(
    learner: Learners, held: Dataset, supported: Support, context: int | None,
    targets: tuple[float, ...],
) -> Iterator[Judge]:  # fmt: skip
    """The judge of a run's members.

    Args:
        learner: theirs.
        held: episodes that they do not learn from, preprocessed as those are.
        supported: by the log.
        context: of the windows that they learn from; None for transitions.
        targets: that return-conditioned policies are asked for, as in rollouts.judge.
    """
    steps = held.transitions if context is None else sequences.steps(held)
    data = learners.place(steps, learner.mesh)
    few = transforms.thin(held, support.MOST_STEPS)

    def judge(states, evaluated, final):
        del final

        return rollouts.for_each_target(
            lambda asked: _judge(learner, asked, evaluated, held, few, data, supported),
            states, targets,
        )  # fmt: skip

    yield judge


def _judge(
    learner: Learners, states: Any, evaluated: np.ndarray, held: Dataset, few: Dataset, data: Any,
    supported: Support,
) -> Turns[list[tuple[Member, dict[str, float]]]]:  # fmt: skip
    columns = {
        f'learner/held_out_{name}': values
        for name, values in learner.metrics_on(states, data, _METRICS_BATCHES).items()
    }
    yield Wait(lambda: True, 1 / 2)
    maps = held.problem.preprocessing
    if 'learner/held_out_td_error' in columns:
        # A difference of values, which a shift of all rewards does not change.
        columns['td_error'] = columns.pop('learner/held_out_td_error') / maps.reward_scale
    if learner.claimed_value is not None:
        first = np.asarray(held.transitions.observation[held.episode_offsets[:-1]])
        everywhere = np.broadcast_to(first, (len(learner.members), *first.shape))
        claimed = learner.claimed_value(states, everywhere, learner.keys()).mean(axis=1)
        if maps.reward_shift == 0:
            columns['claimed_value'] = maps.recorded_value(claimed, 0.0)
        else:
            # How long the policy's episodes are, and so what the shift adds, the log does not say.
            columns['learner/claimed_value'] = claimed
    columns |= imitation(_policies(learner, states, held).actions_along(few), few, supported)
    columns = {name: np.where(evaluated, values, np.nan) for name, values in columns.items()}
    return [
        (member, {name: float(values[i]) for name, values in columns.items()})
        for i, member in enumerate(learner.members)
    ]


def imitation(actions: np.ndarray, dataset: Dataset, supported: Support) -> dict[str, np.ndarray]:
    """How near policies are to a log, each (policies,).

    support, the share of their actions that the log supports; if actions are discrete agreement, the
    share of those that are the log's own; else normalized_action_distance, the mean Euclidean
    distance from the log's own action, in units of half the range of each dimension.

    Args:
        actions: at the log's steps, (N, policies, action_size), or (N, policies) if discrete.
        dataset: the log.
        supported: by it.
    """
    logged = np.asarray(dataset.transitions.action)[:, None]
    measured = {'support': supported.share(dataset.transitions.observation, actions)}
    if dataset.problem.spec.discrete:
        return measured | {'agreement': np.mean(actions == logged, axis=0)}
    distance = np.linalg.norm(actions - logged, axis=-1)
    return measured | {'normalized_action_distance': np.mean(distance, axis=0)}


def _policies(learner: Learners, states: Any, dataset: Dataset) -> Policies:
    members = learner.members
    run = Restored(None, '', 0, dataset.problem, learner, states, (), np.ones(len(members), bool))
    return Policies(run, members, np.arange(len(members)))

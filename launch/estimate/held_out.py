"""The judge without an environment: what held-out episodes of the log say of policies while they learn.

None of it is what a policy earns: that is estimated once, after the last update (estimate/judging.py).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from data import batches, sampling, transforms
from data.batches import Form
from data.loading import Dataset
from data.types import SegmentPair
from launch.estimate import support
from launch.estimate.support import Support
from launch.run import learners, rollouts
from launch.run.learners import Learners
from launch.run.loop import Judge
from launch.run.members import Member
from launch.run.policies import Policies, Restored
from launch.run.turns import Turns, Wait

_METRICS_BATCHES = 16
# What is estimated of every policy at every step has to be in memory.
_MOST_STEPS = 2_000_000


def judged_from(held: Dataset) -> Dataset:
    """Of a large log's held-out episodes, as many as policies are judged from."""
    few = transforms.thin(held, _MOST_STEPS)
    if few is not held:
        print(
            f'WARNING: dataset {held.problem.name}: policies are judged from '
            f'{few.episode_offsets[-1]:,} of the {held.episode_offsets[-1]:,} steps that are held out.',
            file=sys.stderr,
        )
    return few


@contextmanager
def judging(
    learner: Learners, held: Dataset, supported: Support, batch_size: int, targets: tuple[float, ...]
) -> Iterator[Judge]:
    """The judge of a run's members.

    Args:
        learner: theirs.
        held: episodes that they do not learn from, preprocessed as those are.
        supported: by the log.
        batch_size: of what they learn from.
        targets: that return-conditioned policies are asked for, as in rollouts.judge.
    """
    fixed = None
    # Few preferences are between two episodes that are held out, maybe none.
    if learner.form.kind is not SegmentPair or len(held.preferences.label):
        steps = batches.sampled_from(held, learner.form, float(learner.gammas[0]))
        fixed = fixed_batches(steps, batch_size, _METRICS_BATCHES, learner.form)
        fixed = learners.place(fixed, learner.mesh)
    few = transforms.thin(held, support.MOST_STEPS)

    def judge(states, evaluated, final):
        del final
        return rollouts.for_each_target(
            lambda asked: _judge(learner, asked, evaluated, held, few, fixed, supported),
            states, targets,
        )  # fmt: skip

    yield judge


def fixed_batches(steps: Any, batch_size: int, number: int, form: Form) -> Any:
    """The first batches of seed 0, (number, batch, ...), of what batches.sampled_from made."""
    seed, gather = np.zeros(1, np.uint32), batches.gatherer(form)
    (made,) = sampling.host_batches(
        steps, seed, batch_size, [0], number, gather, num_steps=batches.count(steps)
    )
    return jax.tree.map(lambda array: array[0], made)


def _judge(
    learner: Learners, states: Any, evaluated: np.ndarray, held: Dataset, few: Dataset, fixed: Any,
    supported: Support,
) -> Turns[list[tuple[Member, dict[str, float]]]]:  # fmt: skip
    measured = {} if fixed is None else learner.metrics_on(states, fixed)
    columns = {f'learner/held_out_{name}': values for name, values in measured.items()}
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

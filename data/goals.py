"""Goals that a log's steps are relabelled with, for policies that are told where to go.

As in OGBench (Park et al. 2024, https://arxiv.org/abs/2410.20092; released code,
impls/utils/datasets.py, GCDataset and HGCDataset), a goal is an observation of the log: that of the
step itself, of a later step of its episode, or of any step. Later ones are so many steps ahead as a
geometric distribution of 1 - gamma says, or the episode's last one if that is beyond it, or any of the
rest of the episode; of a last step it is the step itself. An observation becomes [state, goal]. Until
the step is the goal, by its number and not by its features, the reward is -1 and the discount 1; there
both are 0, so that the value of a goal d steps away is -(1 - gamma^d) / (1 - gamma), whatever the log's
rewards and terminations.

Of the rest of an episode each step is equally likely here; that code rounds, which gives the first and
the last half as much.

An algorithm that learns from a Transition has one goal for its critics and its policy, which there have
one each; a GoalTransition has both.

Batches stay a function of seed and step, wherever the log lies: what chance decides (`draw`) is decided
before the log is looked at, in whole numbers, by which `windows` finds its rows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data import blocks, disk, sampling
from data.loading import Dataset
from data.types import Array, GoalTransition, SubgoalTransition, Transition

_LARGEST = np.iinfo(np.int32).max


class Goals(NamedTuple):
    """Where goals are from; what is neither current nor random is a later step of the episode.

    Attributes:
        future: how far later ones are, 'geometric' or 'uniform'.
        current, random: shares of the step itself and of any step, among goals of critics, and of
            policies that have no others.
        actor_random: share of any step among a GoalTransition's goals of the policy; the others are
            uniformly from the rest of the episode.
        gamma: of the geometric distribution.
    """

    future: str
    current: float = 0.0
    random: float = 0.0
    actor_random: float = 0.0
    gamma: float = 0.0


class Episodic(NamedTuple):
    """A dataset's N steps, and where their episodes end.

    Attributes:
        steps: the transitions.
        final: int32 (N,), the number of the last step of a step's episode.
    """

    steps: Transition
    final: Array


class Chosen(NamedTuple):
    """Goals as chance has them, int32 (...) each.

    Attributes:
        ahead: 0 for the step itself; else how many steps later, of which there may be fewer, or, if
            uniform, a number of which the remainder says it.
        elsewhere: the number of any step that is the goal, -1 where it is of the same episode.
    """

    ahead: Array
    elsewhere: Array


class Draws(NamedTuple):
    """What chance decides of a batch.

    Attributes:
        step: int32 (...), the number of each item's step.
        goal: of the critics.
        actor_goal: of the policy; None if it has no others.
    """

    step: Array
    goal: Chosen
    actor_goal: Chosen | None


def of(dataset: Dataset) -> Episodic:
    """A dataset's steps, of which each knows where its episode ends."""
    final = disk.scratch(np.int32, dataset.transitions.reward.shape)
    for episodes, rows in blocks.of_episodes(dataset.episode_offsets):
        ends = dataset.episode_offsets[1:][episodes]
        final[rows] = np.repeat(ends - 1, dataset.episode_lengths[episodes])
    return Episodic(dataset.transitions, final)


def draw(
    key: jax.Array, num_steps: jax.Array | int, batch_size: int, goals: Goals, for_actor: bool
) -> Draws:
    """What chance decides of a batch; its steps are those that a batch without goals has.

    Args:
        key: of the batch.
        num_steps: to sample from.
        batch_size: items.
        goals: where they are from.
        for_actor: whether the policy has goals of its own.
    """
    keys = [jax.random.fold_in(key, number) for number in (1, 2)]
    actor = goals._replace(future='uniform', current=0.0, random=goals.actor_random)
    return Draws(
        sampling.sample_indices(key, num_steps, batch_size),
        _chosen(keys[0], num_steps, batch_size, goals),
        _chosen(keys[1], num_steps, batch_size, actor) if for_actor else None,
    )


def _chosen(key: jax.Array, num_steps: jax.Array | int, batch_size: int, goals: Goals) -> Chosen:
    share_key, ahead_key, row_key = jax.random.split(key, 3)
    if goals.future == 'geometric':
        ahead = jax.random.geometric(ahead_key, 1 - goals.gamma, (batch_size,), jnp.int32)
    else:
        ahead = jax.random.randint(ahead_key, (batch_size,), 1, _LARGEST)
    share = jax.random.uniform(share_key, (batch_size,))
    elsewhere = sampling.sample_indices(row_key, num_steps, batch_size)
    return Chosen(
        ahead=jnp.where(share < goals.current, 0, ahead),
        elsewhere=jnp.where(share >= 1 - goals.random, elsewhere, -1),
    )


def windows(
    data: Episodic,
    draws: Draws,
    goals: Goals,
    kind: type,
    subgoal_steps: int,
    rows: Callable[[Any, Array], Any] = sampling.rows,
) -> Transition | GoalTransition | SubgoalTransition:
    """The relabelled steps of a batch, as NumPy or JAX arrays like its draws.

    Args:
        data: of which they are.
        draws: of the batch.
        goals: where they are from.
        kind: of the items, of data.types.
        subgoal_steps: how far ahead the subgoals of a SubgoalTransition are.
        rows: (arrays, indices) -> their rows, as sampling.rows.
    """
    xp = jnp if isinstance(draws.step, jax.Array) else np
    step = draws.step
    item, final = rows((data.steps, data.final), step)
    chosen = [_placed(draws.goal, step, final, goals.future == 'uniform')]
    if kind is not Transition:
        chosen.append(_placed(draws.actor_goal, step, final, uniform=True))
    if kind is SubgoalTransition:
        subgoal = xp.minimum(step + subgoal_steps, final)
        on_the_way = xp.minimum(subgoal, chosen[1])
        chosen += [subgoal, xp.where(draws.actor_goal.elsewhere >= 0, subgoal, on_the_way)]
    found = rows(data.steps.observation, xp.stack(chosen))

    def towards(observation: Array, goal: Array) -> Array:
        return xp.concatenate([observation, goal], axis=-1)

    apart = (chosen[0] != step).astype(np.float32)
    relabelled = Transition(
        observation=towards(item.observation, found[0]),
        action=item.action,
        reward=-apart,
        discount=apart,
        next_observation=towards(item.next_observation, found[0]),
    )
    if kind is Transition:
        return relabelled
    own = towards(item.observation, found[1])
    if kind is GoalTransition:
        return GoalTransition(*relabelled, own)
    return SubgoalTransition(
        *relabelled, own, towards(item.observation, found[2]), towards(found[3], found[1])
    )


def _placed(chosen: Chosen, step: Array, final: Array, uniform: bool) -> Array:
    """The numbers of the goals' steps."""
    xp, room = jnp if isinstance(step, jax.Array) else np, final - step
    ahead = chosen.ahead
    if uniform:
        ahead = xp.where(ahead > 0, 1 + (ahead - 1) % xp.maximum(room, 1), 0)
    return xp.where(chosen.elsewhere >= 0, chosen.elsewhere, step + xp.minimum(ahead, room))

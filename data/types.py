"""The shapes that data takes everywhere in this codebase."""

from typing import NamedTuple

import jax
import numpy as np

Array = jax.Array | np.ndarray


class DatasetError(ValueError):
    """A dataset, recipe or environment cannot be used; the message says which and why."""


class Spec(NamedTuple):
    """What an algorithm must know of a problem to build its networks.

    Attributes:
        observation_size: number of features of a (flattened) observation.
        action_size: dimensions of a continuous action, or number of discrete actions.
        discrete: whether actions are indices in [0, action_size) rather than points of [-1, 1]^n.
    """

    observation_size: int
    action_size: int
    discrete: bool


class Transition(NamedTuple):
    """One step of experience, or any batch of them along leading axes.

    Attributes:
        observation: float32 (..., observation_size).
        action: float32 (..., action_size) in [-1, 1], or int32 (...) if discrete.
        reward: float32 (...).
        discount: float32 (...); 0 where the environment terminated, 1 elsewhere. Truncation is not
            termination: a time limit keeps bootstrapping.
        next_observation: float32 (..., observation_size).
    """

    observation: Array
    action: Array
    reward: Array
    discount: Array
    next_observation: Array


class ReturnTransition(NamedTuple):
    """A transition with what its episode earned from it on, or any batch of them.

    Attributes:
        observation, action, reward, discount, next_observation: as in Transition.
        return_to_go: float32 (...); rewards from this step on to the end of the episode, summed with
            the learner's own discount; -inf where that is not known.
    """

    observation: Array
    action: Array
    reward: Array
    discount: Array
    next_observation: Array
    return_to_go: Array


class NextActionTransition(NamedTuple):
    """A transition with what its episode did next, or any batch of them.

    Attributes:
        observation, action, reward, discount, next_observation: as in Transition.
        next_action: float32 (..., action_size); the action that the data took in `next_observation`,
            that of the next row of the same episode. An episode's last row has none, be it terminated
            or truncated: zeros there, never a row of the episode after it.
        next_action_known: float32 (...); 1 where there is such an action, 0 where there is none. Where
            the episode terminated it does not matter, discount being 0; where it was truncated, a
            learner goes on without the action, and bootstraps.
    """

    observation: Array
    action: Array
    reward: Array
    discount: Array
    next_observation: Array
    next_action: Array
    next_action_known: Array


class GoalTransition(NamedTuple):
    """A transition on the way to a goal, or any batch of them; observations are [state, goal].

    Attributes:
        observation, action, reward, discount, next_observation: as in Transition, with the goal of the
            critics; the reward is -1 and the discount 1, both 0 where the state is the goal.
        actor_observation: the same state with the goal of the policy.
    """

    observation: Array
    action: Array
    reward: Array
    discount: Array
    next_observation: Array
    actor_observation: Array


class SubgoalTransition(NamedTuple):
    """A GoalTransition with what is reached some steps later, or any batch of them.

    Attributes:
        observation, action, reward, discount, next_observation, actor_observation: as in
            GoalTransition.
        subgoal_observation: the same state with, as its goal, that which its episode reaches some steps
            later, or its last if there are fewer.
        waypoint_observation: that later state, but none behind the policy's goal if that is of the same
            episode, with the goal of the policy.
    """

    observation: Array
    action: Array
    reward: Array
    discount: Array
    next_observation: Array
    actor_observation: Array
    subgoal_observation: Array
    waypoint_observation: Array


class Sequence(NamedTuple):
    """A window of up to K steps of one episode, left-padded, or any batch of them along leading axes.

    Attributes:
        observation: float32 (..., K, observation_size).
        action: float32 (..., K, action_size), or int32 (..., K) if discrete.
        return_to_go: float32 (..., K); rewards from this step on to the end of the episode, summed
            without discount.
        timestep: int32 (..., K); the step's number in its episode, from 0.
        mask: bool (..., K); false where there is no step: padding, all zeros.
    """

    observation: Array
    action: Array
    return_to_go: Array
    timestep: Array
    mask: Array


class SegmentPair(NamedTuple):
    """Two segments of up to K steps, right-padded, and which is the better one; or any batch of pairs.

    Attributes:
        observation: float32 (..., 2, K, observation_size).
        action: float32 (..., 2, K, action_size), or int32 (..., 2, K) if discrete.
        mask: bool (..., 2, K); false where there is no step: padding, all zeros.
        label: float32 (...); 1 where the first is better, 0 where the second is, 0.5 where neither.
    """

    observation: Array
    action: Array
    mask: Array
    label: Array


class Preferences(NamedTuple):
    """P pairs of segments of a dataset's episodes, and which is the better one of each.

    Attributes:
        episode: int64 (P, 2), numbers of the episodes, from 0.
        begin: int64 (P, 2), the segments' first steps, counted in their episodes from 0.
        length: int64 (P, 2), their steps.
        label: float32 (P,), as in SegmentPair.
    """

    episode: np.ndarray
    begin: np.ndarray
    length: np.ndarray
    label: np.ndarray

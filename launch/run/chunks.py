"""Acting in chunks: a policy decides on several actions at once, and executes them without looking.

Open loop, as in Q-chunking (Li, Zhou & Levine 2025, https://arxiv.org/abs/2507.07969; released code,
ColinQiyangLi/qc, evaluation.py): what is observed before a chunk is at its end changes nothing.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from data.types import Spec


class Pending(NamedTuple):
    """What is left of chunks.

    Attributes:
        actions: the next one first, float32 (..., h, action_size).
        left: how many of them are to be executed, int32 (...); with none, a decision is due.
    """

    actions: jax.Array
    left: jax.Array


def nothing(shape: tuple[int, ...], chunk: int, action_size: int) -> Pending:
    """Of chunks (*shape) of which none has been decided on."""
    return Pending(jnp.zeros((*shape, chunk, action_size)), jnp.zeros(shape, jnp.int32))


def execute(pending: Pending, decided: jax.Array) -> tuple[jax.Array, Pending]:
    """The actions to take now, (..., action_size), and what is left after them.

    Args:
        pending: what was left.
        decided: the chunks to begin where nothing was, (..., h * action_size).
    """
    due = pending.left == 0
    chunks = decided.reshape(pending.actions.shape)
    actions = jnp.where(due[..., None, None], chunks, pending.actions)
    left = jnp.where(due, actions.shape[-2], pending.left) - 1
    following = jnp.concatenate([actions[..., 1:, :], actions[..., :1, :]], axis=-2)
    return actions[..., 0, :], Pending(following, left)


def policy(
    algorithm: ModuleType, spec: Spec, chunk: int
) -> tuple[Callable | None, Callable | None]:
    """(init_memory, act) of an algorithm's policy, an action a step; None for what it does not have.

    Args:
        algorithm: a module of algorithms/, without a memory of its own if chunk is not 1.
        spec: of the problem.
        chunk: actions of a decision.
    """
    if chunk == 1:
        return getattr(algorithm, 'init_memory', None), getattr(algorithm, 'act', None)

    def init_memory(state: Any, num_envs: int) -> Pending:
        del state
        return nothing((num_envs,), chunk, spec.action_size)

    def act(state, memory, observation, reward, key):
        decided, _ = algorithm.act(state, (), observation, reward, key)
        return execute(memory, decided)

    return init_memory, act

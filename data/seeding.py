"""Resets that are what their seed makes them, where environments draw from more than their generator.

OGBench's draw starts and goals from NumPy's global generator, and poses from that of the action space.
What is drawn from the global one in a step, as in OGBench's teleporting mazes, is not seeded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np


def reset(
    env: gym.Env, seed: int | None, options: dict[str, Any] | None = None
) -> tuple[Any, dict[str, Any]]:
    """Resets an environment, with all that it may draw from at the seed; without one it goes on.

    It goes on from the generator of the action space, which the last seed has set.
    """
    if seed is None:
        with numpys_generator(int(env.unwrapped.action_space.np_random.integers(2**32))):
            return env.reset(options=options)
    with numpys_generator(seed):
        env.unwrapped.action_space.seed(seed)
        return env.reset(seed=seed, options=options)


@contextmanager
def numpys_generator(seed: int | None = None) -> Iterator[None]:
    """Leaves NumPy's global generator as it was; inside it begins at the seed, if there is one."""
    state = np.random.get_state()  # noqa: NPY002
    if seed is not None:
        np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002

"""Flows that carry noise to actions, learned by flow matching  (Lipman et al. 2023, https://arxiv.org/abs/2210.02747).

A velocity field v(s, x, t) moves standard normal noise x at t = 0 to an action at t = 1. It is regressed
onto the velocities of straight lines from noise to data (Liu et al. 2023, https://arxiv.org/abs/2209.03003),
and has the data's distribution where the regression is exact, however many modes that has.
"""

from collections.abc import Callable, Sequence

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from networks.mlp import MLP


class ActionField(nn.Module):
    """A vector (..., action_size) at each observation and point x (..., action_size).

    With times (..., 1) it is a velocity field, without, a policy that is told its noise.
    """

    hidden_sizes: Sequence[int]
    action_size: int
    activation: Callable[[jax.Array], jax.Array] = nn.gelu

    @nn.compact
    def __call__(
        self, observation: jax.Array, x: jax.Array, time: jax.Array | None = None
    ) -> jax.Array:
        inputs = [observation, x] if time is None else [observation, x, time]
        return MLP(self.hidden_sizes, self.action_size, self.activation)(jnp.concatenate(inputs, -1))


def flow_matching_loss(
    velocity: Callable, action: jax.Array, noise: jax.Array, time: jax.Array
) -> jax.Array:
    """Mean squared error, also over dimensions, of velocities on the lines from noise to actions.

    Args:
        velocity: of points (batch, action_size) at times (batch, 1).
        action: where lines end, (batch, action_size).
        noise: where they begin, standard normal, (batch, action_size).
        time: how far along they are looked at, uniform in [0, 1), (batch, 1).
    """
    chex.assert_shape(time, (len(action), 1))
    found = velocity((1 - time) * noise + time * action, time)
    chex.assert_equal_shape((found, action, noise))
    return jnp.mean(jnp.square(found - (action - noise)))


def integrate(velocity: Callable, noise: jax.Array, num_steps: int) -> jax.Array:
    """Where noise (..., action_size) is at t = 1, by so many steps of Euler's method."""
    x = noise
    # Not a loop of XLA's: it would not be faster, and jax2onnx has none over a batch of any size.
    for step in range(num_steps):
        time = jnp.full((*x.shape[:-1], 1), step / num_steps)
        x = x + velocity(x, time) / num_steps
    return x

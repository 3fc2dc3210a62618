"""Steps that networks and their targets take."""

from collections.abc import Callable

import jax
import optax
from flax.training.train_state import TrainState


def adam(apply_fn: Callable, params) -> TrainState:
    """A network before its first step of Adam (Kingma & Ba 2015), which `descend` takes."""
    return TrainState.create(apply_fn=apply_fn, params=params, tx=optax.scale_by_adam())


def descend(network: TrainState, gradients, learning_rate: jax.Array) -> TrainState:
    """One optimiser step of a given size.

    `network.tx` gives the direction and this function the step, so that the learning rate is an
    array like every other hyperparameter and members of one vmapped run may differ in it.
    """
    directions, opt_state = network.tx.update(gradients, network.opt_state, network.params)
    updates = jax.tree.map(lambda direction: -learning_rate * direction, directions)
    return network.replace(
        step=network.step + 1,
        params=optax.apply_updates(network.params, updates),
        opt_state=opt_state,
    )

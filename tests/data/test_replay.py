import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data import replay
from data.types import Spec, Transition

SPEC = Spec(observation_size=2, action_size=1, discrete=False)


def transition(number: float) -> Transition:
    return Transition(
        observation=jnp.full(2, number),
        action=jnp.full(1, -number),
        reward=jnp.float32(10 * number),
        discount=jnp.float32(1),
        next_observation=jnp.full(2, number + 1),
    )


def filled(count: int, capacity: int) -> replay.Replay:
    buffer = replay.empty(SPEC, capacity)
    for number in range(count):
        buffer = replay.append(buffer, transition(number))
    return buffer


@pytest.mark.parametrize('count, rows', [(3, [0, 1, 2, 0]), (4, [0, 1, 2, 3]), (6, [4, 5, 2, 3])])
def test_the_oldest_gives_way_when_the_buffer_is_full(count, rows):
    buffer = filled(count, capacity=4)
    assert buffer.count == count
    np.testing.assert_array_equal(buffer.transitions.reward, 10 * np.array(rows))
    np.testing.assert_array_equal(buffer.transitions.observation[:, 1], rows)


@pytest.mark.parametrize('count, there', [(1, {0}), (3, {0, 1, 2}), (9, {5, 6, 7, 8})])
def test_batches_are_whole_rows_of_what_is_there(count, there):
    batch = replay.sample(filled(count, capacity=4), jax.random.key(0), 200)
    numbers = np.asarray(batch.observation[:, 0])
    assert set(numbers.tolist()) == there
    np.testing.assert_array_equal(batch.reward, 10 * numbers)
    np.testing.assert_array_equal(batch.action[:, 0], -numbers)
    np.testing.assert_array_equal(batch.next_observation[:, 0], numbers + 1)


def test_discrete_actions_are_indices():
    buffer = replay.empty(Spec(2, 5, discrete=True), 3)
    assert buffer.transitions.action.shape == (3,) and buffer.transitions.action.dtype == jnp.int32

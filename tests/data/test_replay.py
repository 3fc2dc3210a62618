import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data import batches, problem, replay
from data.batches import Form
from data.types import NextActionTransition, ReturnTransition, Spec, Transition

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
        buffer = replay.append(buffer, transition(number), jnp.array(number == 0))
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


def wanted(lived, capacity, form, gamma):
    """By the number of the step where it begins: the target of each decision, written out."""
    rows, found = lived[-capacity:], {}
    begins = [begins for _, begins in rows] + [True]
    for i in range(len(rows)):
        left = next(k for k in range(i + 1, len(begins)) if begins[k]) - i
        if left < form.chunk:
            continue
        spanned = min(form.n_step, left // form.chunk) * form.chunk
        weight, reward, discount = 1.0, 0.0, 0.0
        for step, _ in rows[i : i + spanned]:
            reward, discount = reward + weight * step.reward, weight * step.discount
            weight *= gamma * step.discount
        known = left >= spanned + form.chunk
        following = [step.action for step, _ in rows[i + spanned : i + spanned + form.chunk]]
        found[float(rows[i][0].observation[0])] = NextActionTransition(
            rows[i][0].observation,
            np.concatenate([step.action for step, _ in rows[i : i + form.chunk]]),
            reward, discount, rows[i + spanned - 1][0].next_observation,
            np.concatenate(following) if known else np.zeros(form.chunk), float(known),
        )  # fmt: skip
    return found


@pytest.mark.parametrize('n_step, chunk, capacity', [(3, 1, 20), (2, 3, 17)])
def test_what_looks_ahead_sees_episodes_as_they_were_lived(n_step, chunk, capacity):
    """Episodes that terminate, are truncated, or are cut; before and after the ring is full."""
    form = Form(NextActionTransition, 0, n_step, chunk)
    maps = jax.tree.map(jnp.asarray, problem.identity(2))

    @jax.jit
    def drawn(buffer, key):
        return batches.finished(replay.sample(buffer, key, 300, form), form, maps, 0.9)

    append = jax.jit(lambda *arguments: replay.append(*arguments, chunk))
    rng, lived, begins = np.random.default_rng(0), [], True
    buffer = replay.empty(SPEC, capacity, form)
    for number in range(50):
        over = rng.random() < 0.2
        step = Transition(
            np.full(2, number, np.float32), rng.uniform(-1, 1, 1).astype(np.float32),
            np.float32(rng.standard_normal()), np.float32(rng.random() < 0.5 if over else 1),
            np.full(2, number + 0.5, np.float32),
        )  # fmt: skip
        buffer = append(buffer, step, jnp.array(begins))
        lived.append((step, begins))
        begins, found = over, wanted(lived, capacity, form, 0.9)
        assert chunk == 1 or buffer.decisions == len(found)
        if number in (4, 11, 49):
            batch = jax.tree.map(np.asarray, drawn(buffer, jax.random.key(number)))
            assert set(batch.observation[:, 0].tolist()) == set(found)
            expected = [found[float(first)] for first in batch.observation[:, 0]]
            for ours, theirs in zip(batch, zip(*expected), strict=True):
                np.testing.assert_allclose(ours, np.stack(theirs), rtol=1e-5, atol=1e-6)


def test_an_episode_that_is_over_says_what_it_earned():
    """Of one that is longer than the buffer, what is there of it."""
    buffer = replay.empty(SPEC, 4, Form(ReturnTransition))
    for number in range(3):
        buffer = replay.append(buffer, transition(number), jnp.array(number == 0))
    assert np.isneginf(buffer.return_to_go[:3]).all()
    two = jnp.array([7.0, 6.0, 0.0, 0.0, 0.0, 0.0])
    buffer = replay.fill(buffer, two, jnp.int32(2))
    np.testing.assert_array_equal(buffer.return_to_go[:3], [-np.inf, 7, 6])
    buffer = replay.fill(buffer, two, jnp.int32(0))
    for number in range(3, 9):
        buffer = replay.append(buffer, transition(number), jnp.array(number == 3))
    buffer = replay.fill(buffer, jnp.arange(6.0), jnp.int32(6))
    # Steps 5 to 8 are there, the last in row 0.
    np.testing.assert_array_equal(buffer.return_to_go, [5, 2, 3, 4])
    batch = replay.sample(buffer, jax.random.key(0), 50, Form(ReturnTransition))
    np.testing.assert_array_equal(batch.return_to_go, batch.observation[:, 0] - 3)

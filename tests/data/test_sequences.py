from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from data import sampling, sequences
from tests.data.test_transforms import dataset

LENGTHS = [3, 1, 7, 5]
CONTEXT = 4


def data(discrete=False):
    made = dataset([6.0, -1.0, 3.5, 10.0], LENGTHS)
    rng = np.random.default_rng(0)
    size = sum(LENGTHS)
    action = rng.random((size, 2), np.float32)
    if discrete:
        action = rng.integers(5, size=size).astype(np.int32)
    reward = rng.standard_normal(size, np.float32)
    return made._replace(transitions=made.transitions._replace(action=action, reward=reward))


def slow_window(made, start):
    """One window by hand, from the flat arrays and the episodes' offsets."""
    episode = np.searchsorted(made.episode_offsets, start, side='right') - 1
    begin, end = made.episode_offsets[episode : episode + 2]
    rows = list(range(start, min(start + CONTEXT, end)))
    padding = CONTEXT - len(rows)
    reward = made.transitions.reward.astype(np.float64)

    def padded(values):
        values = np.array(values)
        return np.concatenate([np.zeros((padding, *values.shape[1:]), values.dtype), values])

    return {
        'observation': padded([made.transitions.observation[row] for row in rows]),
        'action': padded([made.transitions.action[row] for row in rows]),
        'return_to_go': padded([reward[row:end].sum() for row in rows]),
        'timestep': padded([row - begin for row in rows]),
        'mask': padded([True] * len(rows)),
    }


@pytest.mark.parametrize('discrete', [False, True])
@pytest.mark.parametrize('xp', [np, jnp])
def test_windows_equal_a_slow_reference(discrete, xp):
    made = data(discrete)
    steps = jax.tree.map(xp.asarray, sequences.steps(made))
    starts = xp.arange(sum(LENGTHS))
    found = sequences.windows(steps, starts, CONTEXT)
    assert all(isinstance(array, np.ndarray) == (xp is np) for array in found)
    for start in range(sum(LENGTHS)):
        for name, expected in slow_window(made, start).items():
            value = getattr(found, name)[start]
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_window_longer_than_every_episode_holds_them_whole():
    steps = sequences.steps(data())
    found = sequences.windows(steps, np.array([4]), 50)
    assert found.mask.sum() == 7 and not found.mask[0, :43].any()
    np.testing.assert_array_equal(found.timestep[0, 43:], np.arange(7))


def test_windows_begin_at_every_step_equally_often():
    steps = sequences.steps(data())
    batches = [
        sampling.sample(
            jax.tree.map(jnp.asarray, steps), sampling.batch_key(0, step), 256,
            gather=partial(sequences.windows, context=CONTEXT),
        )
        for step in range(20)
    ]
    # The dataset marks each step by its number, in the second feature.
    marks = np.concatenate([batch.observation[:, :, 1] for batch in batches])
    first = np.argmax(np.concatenate([batch.mask for batch in batches]), axis=1)
    counts = np.bincount(marks[np.arange(len(marks)), first].astype(int), minlength=sum(LENGTHS))
    assert len(counts) == sum(LENGTHS)
    assert stats.chisquare(counts).pvalue > 1e-3
    np.testing.assert_array_equal(batches[0].mask[:, -1], True)

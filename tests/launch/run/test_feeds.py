from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from data import sampling
from data.batches import Form
from data.types import Transition
from launch.run import feeds, learners


@pytest.mark.parametrize('on_cpu, pieces', [(True, [1, 1, 5, 5, 5, 5, 5, 2, 1]), (False, [20, 9, 1])])
def test_a_chunk_is_made_in_pieces_of_half_a_second_or_a_few_updates(on_cpu, pieces, monkeypatch):
    """An update takes a tenth of a second; the first one three, in which it is compiled."""
    now, made, measured_at = [0.0], [], []

    def train(states, placed, updates, alive, measured):
        if measured:
            measured_at.append(sum(made) + updates)
        now[0] += 0.0999 * updates if made else 3.0
        made.append(updates)
        return SimpleNamespace(step=states.step + updates)

    monkeypatch.setattr('launch.run.mapping.on_cpu', lambda mesh: on_cpu)
    monkeypatch.setattr('time.perf_counter', lambda: now[0])
    monkeypatch.setattr('jax.block_until_ready', lambda states: states)
    learner = SimpleNamespace(mesh=learners.make_mesh(1), train_on_device=train)
    advance, ticks = feeds.on_device(learner, {'reward': np.zeros(3)}), []
    carry = {'states': SimpleNamespace(step=jnp.zeros((1,), jnp.int32))}
    carry, _ = advance(carry, 0, 30, np.ones(1, bool), ticks.append)
    assert made == pieces and ticks == pieces and measured_at == [30]
    assert carry['states'].step[0] == 30


@pytest.mark.parametrize('on_cpu', [True, False])
@pytest.mark.parametrize(
    ('chunks', 'updates'), [([10, 10, 10], 4), ([10, 10, 7], 3), ([1, 1], 1), ([5], 100)]
)
def test_feeds_of_the_host_go_on_over_chunks(chunks, updates, on_cpu, monkeypatch):
    """Every update has its own batch, in order, however chunks, feeds and pieces lie to each other."""
    monkeypatch.setattr('launch.run.mapping.on_cpu', lambda mesh: on_cpu)
    monkeypatch.setattr(feeds, '_QUEUED_UPDATES', 2)
    monkeypatch.setattr(feeds, '_FEED_BYTES', updates * 2 * 4)
    seeds, seen, shapes = np.arange(1, dtype=np.uint32), [], set()

    def train(states, batches, first, number, alive, measured):
        assert not measured or number == 1
        shapes.add(batches.action.shape)
        seen.append(np.asarray(batches.action)[0, first : first + number])
        return SimpleNamespace(step=states.step + number)

    learner = SimpleNamespace(
        mesh=learners.make_mesh(1), seeds=seeds, rows=range(1), form=Form(),
        train_on_batches=train,
    )
    data = Transition(*[np.zeros((1000, 0))] * 5)._replace(action=np.arange(1000, dtype=np.int32))
    advance = feeds.of('host', learner, data, 2)
    carry, step, ticks = {'states': SimpleNamespace(step=jnp.zeros((1,), jnp.int32))}, 20, []
    for chunk in chunks:
        carry, _ = advance(carry, step, chunk, np.ones(1, bool), ticks.append)
        step += chunk
        assert sum(ticks) == step - 20 and carry['states'].step[0] == step - 20
    expected = [
        sampling.sample_indices(sampling.batch_key(0, step), 1000, 2) for step in range(20, step)
    ]
    np.testing.assert_array_equal(np.concatenate(seen), expected)
    # What is compiled depends on the shape; a chunk of another length may have another.
    assert len(shapes) <= len(set(chunks))

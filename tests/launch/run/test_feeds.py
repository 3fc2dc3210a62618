from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from launch.run import feeds, learners


@pytest.mark.parametrize('on_cpu, pieces', [(True, [1, 1, 5, 5, 1, 1, 5, 5, 5, 1]), (False, [20, 10])])
def test_a_chunk_is_made_in_pieces_as_short_as_is_asked_for(on_cpu, pieces, monkeypatch):
    """An update takes a tenth of a second; the first one three, in which it is compiled."""
    now, made, allowed = [0.0], [], iter([0.5] * 4 + [0.1] * 2 + [0.5] * 9)

    def train(states, placed, updates, alive):
        now[0] += 0.0999 * updates if made else 3.0
        made.append(updates)
        return SimpleNamespace(step=states.step + updates)

    monkeypatch.setattr('launch.run.mapping.on_cpu', lambda mesh: on_cpu)
    monkeypatch.setattr('time.perf_counter', lambda: now[0])
    monkeypatch.setattr('jax.block_until_ready', lambda states: states)
    learner = SimpleNamespace(mesh=learners.make_mesh(1), train_on_device=train)
    advance, ticks = feeds.on_device(learner, {'reward': np.zeros(3)}), []

    def tick(steps):
        ticks.append(steps)
        return next(allowed)

    carry = {'states': SimpleNamespace(step=jnp.zeros((1,), jnp.int32))}
    carry, _ = advance(carry, 0, 30, np.ones(1, bool), tick)
    assert made == pieces and ticks == [0, *pieces]
    assert carry['states'].step[0] == 30

"""What every algorithm must do, tested once for all of algorithms.ALGORITHMS.

A new algorithm is in here by being registered. What its losses are is tested in a file of its own, and
which networks they see after a step of the same update is said in SEES_NEW.
"""

import functools
import inspect
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.algorithms.helpers import (
    CASES,
    cases_with,
    changed,
    hyperparameters,
    networks,
    targets,
)

# NETWORK_learning_rate moves NETWORK; these move more.
_CONSERVATIVE = {
    'actor_learning_rate': {'actor', 'temperature'},
    'critic_learning_rate': {'critic', 'multiplier'},
}
MOVES = {'cal_ql': _CONSERVATIVE, 'cql': _CONSERVATIVE}
# By algorithm and metric: the networks that are seen as the same update leaves them.
SEES_NEW = {
    'bcq': {'critic_loss': {'vae'}, 'actor_loss': {'vae', 'critic'}},
    'cql': {'actor_loss': {'temperature'}},
    'iq_learn': {'actor_loss': {'critic'}},
    'iql': {'critic_loss': {'value'}, 'actor_loss': {'value'}},
    'rebrac': {'actor_loss': {'critic'}, 'q_policy': {'critic'}},
    'sac': {'actor_loss': {'critic'}, 'q_policy': {'critic'}, 'temperature_loss': {'actor'}},
    'td3': {'actor_loss': {'critic'}, 'q_policy': {'critic'}},
    'td3_bc': {'actor_loss': {'critic'}, 'q_policy': {'critic'}},
    'xql': {'critic_loss': {'value'}, 'actor_loss': {'value'}},
}
# Those that draw noise in an update, some with one kind of actions alone; dropout is off here.
DRAWS = (
    'awac', 'bcq', 'cal_ql', 'cql', 'edac', 'fql', 'ifql', 'iq_learn-continuous', 'rebrac', 'sac', 'td3',
    'td3_bc', 'xql',
)  # fmt: skip
# Networks whose targets go towards them as they were before the update.
FOLLOWED_AS_OLD = {
    'fql': {'critic'}, 'hiql': {'value'}, 'ifql': {'critic'}, 'rebrac': {'actor'},
}  # fmt: skip

EVERY = pytest.mark.parametrize('case', CASES, ids='-'.join)


def rates(case) -> list[str]:
    return [name for name in hyperparameters(case) if name.endswith('learning_rate')]


def still_of(case) -> dict[str, float]:
    """Hyperparameters with which an update moves nothing."""
    return dict.fromkeys(rates(case), 0.0) | {'target_rate': 0.0, 'target_period': 9.0}


def moved_by(case, rate: str) -> set[str]:
    if rate == 'learning_rate':
        (only,) = networks(case.state())
        return {only}
    moved = MOVES.get(case.name, {}).get(rate, {rate.removesuffix('_learning_rate')})
    # Of discrete actions an algorithm may have a network less.
    return moved & set(networks(case.state())) if case.kind == 'discrete' else moved


def alike(draw):
    """A sampler whose draws (..., rows, size) are the same for all rows."""

    def sample(key, shape, *arguments, **named):
        one_row = shape if len(shape) < 2 else (*shape[:-2], 1, shape[-1])
        return jnp.broadcast_to(draw(key, one_row, *arguments, **named), shape)

    return sample


@functools.cache
def update_of(case, members: bool = False):
    """`update`, compiled, with noise that is the same for all rows of a batch."""

    def update(state, batch):
        with (
            mock.patch('jax.random.normal', alike(jax.random.normal)),
            mock.patch('jax.random.uniform', alike(jax.random.uniform)),
        ):
            return case.algorithm.update(state, batch)

    return jax.jit(jax.vmap(update, (0, None)) if members else update)


def assert_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_allclose(x, y, **tolerance)


@EVERY
def test_a_learning_rate_moves_its_own_networks_alone(case):
    for rate in (None, *rates(case)):
        state = case.state(**(still_of(case) | ({rate: 1e-3} if rate else {})))
        after = update_of(case)(state, case.batch())
        before, now = networks(state), networks(after)
        moved = {name for name in before if changed(before[name], now[name])}
        assert moved == (moved_by(case, rate) if rate else set())
        for field in targets(state):
            assert not changed(getattr(state, field), getattr(after, field))


@cases_with(lambda case: 'target_rate' in hyperparameters(case))
def test_targets_go_their_rate_towards_the_new_networks(case):
    state = case.state(target_rate=0.3)
    after = update_of(case)(state, case.batch())
    assert targets(state)
    for field, network in targets(state).items():
        followed = state if network in FOLLOWED_AS_OLD.get(case.name, ()) else after
        new, old = networks(followed)[network], getattr(state, field)
        expected = jax.tree.map(lambda new, old: 0.3 * new + 0.7 * old, new, old)
        assert_close(expected, getattr(after, field), rtol=1e-5, atol=1e-7)


@cases_with(lambda case: 'target_period' in hyperparameters(case))
def test_targets_are_replaced_once_a_period_and_untouched_between(case):
    state, batch = case.state(target_period=3.0), case.batch()
    assert targets(state)
    for step in range(1, 8):
        after = update_of(case)(state, batch)
        for field, network in targets(state).items():
            assert changed(networks(state)[network], networks(after)[network])
            source = networks(after)[network] if step % 3 == 0 else getattr(state, field)
            assert not changed(source, getattr(after, field))
        state = after


@EVERY
def test_each_loss_sees_the_parameters_that_the_table_says(case):
    """A metric depends on a network's learning rate if it was computed after that network's step."""
    batch = case.batch()
    names = [
        name for name in case.algorithm.METRICS
        if name.endswith('_loss') or name in ('q_data', 'q_policy')
    ]  # fmt: skip

    def metrics(**hparams):
        return update_of(case)(case.state(**(still_of(case) | hparams)), batch).metrics

    still, table = metrics(), SEES_NEW.get(case.name, {})
    for rate in rates(case):
        moving, moved = metrics(**{rate: 0.3}), moved_by(case, rate)
        for name in names:
            assert (moving[name] != still[name]) == bool(moved & table.get(name, set())), (name, rate)
    # Targets are seen as they were.
    moving = metrics(target_rate=0.9, target_period=1.0)
    assert all(moving[name] == still[name] for name in names)


def losses(case) -> list[str]:
    """Those that draw no noise; dropout, which is off, draws by a key."""
    functions = {name: getattr(case.algorithm, name, None) for name in case.algorithm.METRICS}
    return [
        name for name, function in functions.items()
        if function and list(inspect.signature(function).parameters)[3:] in ([], ['key'])
    ]  # fmt: skip


@cases_with(losses)
def test_the_update_descends_the_losses_at_these_parameters(case):
    state, batch = case.state(), case.batch()
    after = update_of(case)(state, batch)
    for name in losses(case):
        seen = state.replace(**{
            network: getattr(after, network) for network in SEES_NEW.get(case.name, {}).get(name, ())
        })
        function, own = getattr(case.algorithm, name), name.removesuffix('_loss')
        key = [jax.random.key(0)] * (len(inspect.signature(function).parameters) - 3)
        loss = jax.jit(function)(networks(state)[own], seen, batch, *key)
        loss = loss[0] if isinstance(loss, tuple) else loss
        assert after.metrics[name] == pytest.approx(float(loss), rel=1e-4)


@EVERY
def test_the_order_of_a_batch_does_not_matter(case):
    state, batch = case.state(), case.batch()
    after, again = (
        update_of(case)(state, each)
        for each in (batch, jax.tree.map(lambda array: array[::-1], batch))
    )
    for name in networks(state):
        # Adam's moments, that is the gradients; its steps hang on the signs of the smallest of them.
        moments = (getattr(learner, name).opt_state for learner in (after, again))
        assert_close(*moments, rtol=1e-6, atol=2e-6)
        steps = (getattr(learner, name).params for learner in (after, again))
        assert_close(*steps, rtol=0, atol=1e-5)
    assert_close(after.metrics, again.metrics, rtol=1e-4, atol=1e-5)


@EVERY
def test_metrics_are_finite_and_the_state_keeps_its_form(case):
    """So that updates can be scanned."""
    state = case.state()
    assert set(state.metrics) == set(case.algorithm.METRICS)
    after = update_of(case)(state, case.batch())
    assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, state)
    assert all(np.isfinite(value) and value.shape == () for value in after.metrics.values())
    assert after.step == state.step + 1 == 1
    if 'q_gap' in after.metrics:
        gap = after.metrics['q_policy'] - after.metrics['q_data']
        assert after.metrics['q_gap'] == pytest.approx(float(gap), rel=1e-4)


@EVERY
def test_noise_comes_from_the_key_and_the_step(case):
    state, batch = case.state(), case.batch()
    others = state.replace(key=jax.random.key(9)), state.replace(step=state.step + 9)
    plain, other_key, other_step = (update_of(case)(each, batch).metrics for each in (state, *others))
    draws = case.name in DRAWS or '-'.join(case) in DRAWS
    assert changed(plain, other_key) == changed(plain, other_step) == draws


@EVERY
def test_members_of_one_vmapped_run_equal_single_runs(case):
    """Of different seeds and hyperparameters, periods and delays among them."""
    varied = {'target_period': 2.0, 'policy_delay': 2.0}
    second = {
        name: varied.get(name, 0.9 * float(value))
        for name, value in vars(case.state().hparams).items()
    }
    singles = [case.state(seed=0), case.state(seed=1, **second)]
    members = jax.tree.map(lambda *leaves: jnp.stack(leaves), *singles)
    for step in range(3):
        batch = case.batch(seed=step)
        members = update_of(case, members=True)(members, batch)
        singles = [update_of(case)(state, batch) for state in singles]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *singles)
    assert_close(networks(members), networks(stacked), rtol=0, atol=1e-5)
    for field in targets(singles[0]):
        assert_close(getattr(members, field), getattr(stacked, field), rtol=0, atol=1e-5)
    assert_close(members.metrics, stacked.metrics, rtol=1e-3, atol=1e-5)
    assert_close(members.step, stacked.step)

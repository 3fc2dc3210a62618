"""How every algorithm must act, tested once for all that do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from tests.algorithms.helpers import cases_with, changed, networks, random_batch

ACTING = cases_with(lambda case: hasattr(case.algorithm, 'act'))


@functools.cache
def act_of(case):
    return jax.jit(case.algorithm.act)


@ACTING
def test_actions_have_their_form_and_depend_on_their_own_row_alone(case):
    state, key, reward = case.state(), jax.random.key(7), jnp.zeros(16)
    observation = random_batch(case.spec).observation
    # Far away, so that other actions are best there.
    other = (-9 * observation).at[3].set(observation[3])
    memory = case.algorithm.init_memory(state, 16) if hasattr(case.algorithm, 'init_memory') else ()
    action, later = act_of(case)(state, memory, observation, reward, key)
    among_others, _ = act_of(case)(state, memory, other, reward, key)
    assert jax.tree.structure(later) == jax.tree.structure(memory)
    np.testing.assert_allclose(among_others[3], action[3], rtol=1e-6)
    assert case.spec.discrete or changed(among_others, action)
    actions = [action]
    if hasattr(case.algorithm, 'explore'):
        actions.append(jax.jit(case.algorithm.explore)(state, observation, key))
        # Online it acts in one environment at a time, and what acts is kept.
        alone = jax.eval_shape(case.algorithm.explore, state, observation[0], key)
        assert alone.shape == action.shape[1:] and alone.dtype == action.dtype
        assert 'actor' in networks(state)
    for each in actions:
        if case.spec.discrete:
            assert each.shape == (16,) and each.dtype == jnp.int32
            assert each.min() >= 0 and each.max() < case.spec.action_size
        else:
            assert each.shape == (16, case.spec.action_size) and each.dtype == jnp.float32
            assert np.abs(each).max() <= 1


@cases_with(lambda case: hasattr(case.algorithm, 'claimed_value'))
def test_the_claim_is_the_smallest_critics_value_of_the_action_that_acts(case):
    state, batch, key = case.state(), case.batch(), jax.random.key(7)
    action, _ = act_of(case)(state, (), batch.observation, batch.reward, key)
    claimed = jax.jit(case.algorithm.claimed_value)(state, batch.observation, key)
    assert claimed.shape == (16,) and np.isfinite(claimed).all()
    q = np.asarray(state.critic.apply_fn(state.critic.params, batch.observation, action))
    np.testing.assert_allclose(claimed, q.min(axis=0) if q.ndim == 2 else q, rtol=1e-5, atol=1e-6)


@ACTING
def test_a_memory_has_a_row_for_each_environment_and_others_have_none(case):
    state, observation = case.state(), random_batch(case.spec, 3).observation
    remembers = hasattr(case.algorithm, 'init_memory')
    memory = case.algorithm.init_memory(state, 3) if remembers else ()
    _, later = jax.eval_shape(
        case.algorithm.act, state, memory, observation, jnp.zeros(3), jax.random.key(0)
    )
    for each in (memory, later):
        leaves = jax.tree.leaves(each)
        assert bool(leaves) == remembers and all(leaf.shape[0] == 3 for leaf in leaves)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import td3, td3_bc
from tests.algorithms.helpers import CONTINUOUS, changed, make_state, random_batch

update = jax.jit(td3_bc.update)


def state_with_distinct_targets(**hparams):
    state, other = make_state(td3_bc, CONTINUOUS, **hparams), make_state(td3_bc, CONTINUOUS, seed=1)
    return state.replace(
        target_actor_params=other.actor.params, target_critic_params=other.critic.params
    )


def policy_and_values(state, batch):
    action = state.actor.apply_fn(state.actor.params, batch.observation)
    q = state.critic.apply_fn(state.critic.params, batch.observation, action)
    return np.asarray(action, np.float64), np.asarray(q, np.float64)


@pytest.mark.parametrize('alpha', [0.0, 2.5, 40.0])
def test_actor_loss_is_equation_3_with_the_lambda_of_equation_5(alpha):
    state, batch = state_with_distinct_targets(alpha=alpha), random_batch(CONTINUOUS)
    action, q = policy_and_values(state, batch)
    cloning_error = np.mean((action - np.asarray(batch.action, np.float64)) ** 2)
    expected = -alpha / np.abs(q[0]).mean() * q[0].mean() + cloning_error
    loss, metrics = td3_bc.actor_loss(state.actor.params, state, batch)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert metrics['cloning_error'] == pytest.approx(cloning_error, rel=1e-5)
    assert metrics['q_policy'] == pytest.approx(q.min(axis=0).mean(), rel=1e-5)


def test_no_gradient_passes_through_lambda():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    weight = 2.5 / np.abs(policy_and_values(state, batch)[1][0]).mean()

    def with_constant_weight(params):
        action = state.actor.apply_fn(params, batch.observation)
        q = state.critic.apply_fn(state.critic.params, batch.observation, action)
        return -weight * jnp.mean(q[0]) + jnp.mean(jnp.square(action - batch.action))

    expected = jax.grad(with_constant_weight)(state.actor.params)
    gradient = jax.grad(lambda p: td3_bc.actor_loss(p, state, batch)[0])(state.actor.params)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_weight_of_the_value_does_not_depend_on_its_scale():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    scaled = jax.tree.map(jnp.copy, state.critic.params)
    output = scaled['params']['MLP_0']['Linear_2']['Dense_0']
    output.update({name: 100 * leaf for name, leaf in output.items()})
    other = state.replace(critic=state.critic.replace(params=scaled))
    gradient = jax.grad(lambda p, s: td3_bc.actor_loss(p, s, batch)[0])
    a, b = gradient(state.actor.params, state), gradient(state.actor.params, other)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-6)


def test_the_critics_are_td3s():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    theirs = make_state(td3, CONTINUOUS).replace(
        target_actor_params=state.target_actor_params,
        target_critic_params=state.target_critic_params,
    )
    # Compiled in full: only so are the two programs the same arithmetic.
    ours, theirs = jax.jit(td3_bc.update)(state, batch), jax.jit(td3.update)(theirs, batch)
    assert not changed(ours.critic, theirs.critic)
    for name in ('critic_loss', 'q_data', 'td_error'):
        assert ours.metrics[name] == theirs.metrics[name]


def test_policy_and_targets_move_at_every_second_update():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    for step in range(1, 5):
        after = update(state, batch)
        assert changed(state.critic.params, after.critic.params)
        for name in ('actor', 'target_actor_params', 'target_critic_params'):
            assert changed(getattr(state, name), getattr(after, name)) == (step % 2 == 0)
        state = after


def test_alpha_leads_from_cloning_to_the_critics_choice():
    batch = random_batch(CONTINUOUS, size=64)
    batch = batch._replace(action=jnp.full_like(batch.action, 0.3))

    rates = {'actor_learning_rate': 3e-3, 'critic_learning_rate': 0.0}
    start = make_state(td3_bc, CONTINUOUS, policy_delay=1.0, **rates)

    def learn(alpha):
        state = start.replace(hparams=start.hparams.replace(alpha=alpha))
        state = jax.lax.fori_loop(0, 300, lambda _, s: td3_bc.update(s, batch), state)
        action = state.actor.apply_fn(state.actor.params, batch.observation)
        q = state.critic.apply_fn(state.critic.params, batch.observation, action)
        return jnp.mean(jnp.square(action - batch.action)), jnp.mean(q[0])

    cloning_error, q = jax.jit(jax.vmap(learn))(jnp.array([0.0, 100.0]))
    assert cloning_error[0] < 1e-3
    assert cloning_error[1] > 0.1
    assert q[1] > q[0] + 0.01

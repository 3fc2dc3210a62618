import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import td3
from data.types import Spec, Transition
from tests.algorithms.helpers import CONTINUOUS, changed, make_state, random_batch

update = jax.jit(td3.update)

# Wide enough for both clips of the smoothed action to bite.
NOISE = 4 * jax.random.normal(jax.random.key(3), (16, 2))


def state_with_distinct_targets(**hparams):
    state, other = make_state(td3, CONTINUOUS, **hparams), make_state(td3, CONTINUOUS, seed=1)
    return state.replace(
        target_actor_params=other.actor.params, target_critic_params=other.critic.params
    )


def td_target(state, batch, noise, gamma, scale, clip):
    """r + gamma min_j Q_targ,j(s', clip(pi_targ(s') + clip(scale e))), in float64."""
    action = state.actor.apply_fn(state.target_actor_params, batch.next_observation)
    shift = np.clip(scale * np.asarray(noise, np.float64), -clip, clip)
    action = np.clip(np.asarray(action, np.float64) + shift, -1, 1)
    q = state.critic.apply_fn(
        state.target_critic_params, batch.next_observation, jnp.asarray(action, jnp.float32)
    )
    reward, ongoing = (np.asarray(a, np.float64) for a in (batch.reward, batch.discount))
    return reward + gamma * ongoing * np.asarray(q, np.float64).min(axis=0)


def test_critic_loss_is_equation_15():
    state = state_with_distinct_targets(gamma=0.9, policy_noise=0.3, noise_clip=0.7)
    # Far out, so that the target policy's actions are near the bounds.
    batch = random_batch(CONTINUOUS)
    batch = batch._replace(next_observation=8 * batch.next_observation)
    q = np.asarray(
        state.critic.apply_fn(state.critic.params, batch.observation, batch.action), np.float64
    )
    target = td_target(state, batch, NOISE, 0.9, 0.3, 0.7)
    expected = np.mean((q[0] - target) ** 2) + np.mean((q[1] - target) ** 2)
    loss, metrics = td3.critic_loss(state.critic.params, state, batch, NOISE)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert metrics['td_error'] == pytest.approx(np.abs(q - target).mean(), rel=1e-5)
    assert metrics['q_data'] == pytest.approx(q.min(axis=0).mean(), rel=1e-5)


def test_smoothing_clips_the_noise_and_then_the_action():
    noise = jnp.array([-9.0, -1.0, 0.5, 9.0])
    action = jnp.array([0.0, 0.3, 0.95, 0.8])
    smoothed = td3.smoothed(action, noise, jnp.float32(0.2), jnp.float32(0.5))
    np.testing.assert_allclose(smoothed, [-0.5, 0.1, 1.0, 1.0], rtol=1e-5)


def test_no_gradient_passes_through_the_target():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    # Targets that are the critics themselves, where a gradient would show.
    state = state.replace(target_critic_params=state.critic.params)
    target = jnp.asarray(td_target(state, batch, NOISE, 0.99, 0.2, 0.5), jnp.float32)

    def regression(params):
        q = state.critic.apply_fn(params, batch.observation, batch.action)
        return jnp.sum(jnp.mean(jnp.square(q - target), axis=1))

    expected = jax.grad(regression)(state.critic.params)
    gradient = jax.grad(lambda p: td3.critic_loss(p, state, batch, NOISE)[0])(state.critic.params)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_actor_loss_is_the_first_critics_value():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    action = state.actor.apply_fn(state.actor.params, batch.observation)
    q = np.asarray(
        state.critic.apply_fn(state.critic.params, batch.observation, action), np.float64
    )
    loss, metrics = td3.actor_loss(state.actor.params, state, batch)
    assert loss == pytest.approx(-q[0].mean(), rel=1e-5)
    assert metrics['q_policy'] == pytest.approx(q.min(axis=0).mean(), rel=1e-5)


def test_policy_and_targets_move_at_every_third_update_when_the_delay_is_three():
    state, batch = state_with_distinct_targets(policy_delay=3.0), random_batch(CONTINUOUS)
    for step in range(1, 8):
        after = update(state, batch)
        due = step % 3 == 0
        assert changed(state.critic.params, after.critic.params)
        for name in ('actor', 'target_actor_params', 'target_critic_params'):
            assert changed(getattr(state, name), getattr(after, name)) == due
        state = after
    assert state.critic.step == 7 and state.actor.step == 2


def test_the_policy_sees_the_new_critics_and_the_targets_the_new_networks():
    state, batch = state_with_distinct_targets(policy_delay=1.0), random_batch(CONTINUOUS)
    after = update(state, batch)
    half_way = state.replace(critic=after.critic)
    actor_loss = float(td3.actor_loss(state.actor.params, half_way, batch)[0])
    assert after.metrics['actor_loss'] == pytest.approx(actor_loss, rel=1e-5)
    gap = after.metrics['q_policy'] - after.metrics['q_data']
    assert after.metrics['q_gap'] == pytest.approx(float(gap))
    for name in ('actor', 'critic'):
        moved = jax.tree.map(
            lambda new, old: 0.005 * new + 0.995 * old,
            getattr(after, name).params,
            getattr(state, f'target_{name}_params'),
        )
        target = getattr(after, f'target_{name}_params')
        for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(target)):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('network', ['actor', 'critic'])
def test_a_learning_rate_moves_its_own_network_only(network):
    rates = {'actor_learning_rate': 0.0, 'critic_learning_rate': 0.0}
    rates[f'{network}_learning_rate'] = 1e-3
    state = make_state(td3, CONTINUOUS, policy_delay=1.0, **rates)
    after = update(state, random_batch(CONTINUOUS))
    for name in ('actor', 'critic'):
        before_params, after_params = getattr(state, name).params, getattr(after, name).params
        assert changed(before_params, after_params) == (name == network)


def test_the_order_of_a_batch_does_not_matter():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    shuffled = jax.tree.map(lambda array: array[::-1], batch)
    critic = jax.grad(lambda p, b, e: td3.critic_loss(p, state, b, e)[0])
    actor = jax.grad(lambda p, b: td3.actor_loss(p, state, b)[0])
    pairs = (
        (
            critic(state.critic.params, batch, NOISE),
            critic(state.critic.params, shuffled, NOISE[::-1]),
        ),
        (actor(state.actor.params, batch), actor(state.actor.params, shuffled)),
    )
    for a, b in pairs:
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
            np.testing.assert_allclose(x, y, atol=2e-6)


def test_the_claim_is_the_smallest_critics_value_of_the_action_that_acts():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    key = jax.random.key(0)
    action, _ = td3.act(state, (), batch.observation, batch.reward, key)
    q = state.critic.apply_fn(state.critic.params, batch.observation, action)
    claimed = td3.claimed_value(state, batch.observation, key)
    np.testing.assert_allclose(claimed, np.asarray(q).min(axis=0), rtol=1e-6)


def test_a_one_step_problem_is_solved():
    spec = Spec(2, 2, discrete=False)
    rng = np.random.default_rng(0)
    observation = rng.uniform(-1, 1, (2_000, 2)).astype(np.float32)
    action = rng.uniform(-1, 1, (2_000, 2)).astype(np.float32)
    best = 0.6 * observation[:, ::-1]
    data = Transition(
        observation=observation,
        action=action,
        reward=-np.sum((action - best) ** 2, axis=-1),
        discount=np.zeros(2_000, np.float32),
        next_observation=observation,
    )
    data = jax.tree.map(jnp.asarray, data)
    state = make_state(
        td3,
        spec,
        network={'hidden_sizes': (32, 32)},
        actor_learning_rate=1e-3,
        critic_learning_rate=3e-3,
    )

    def body(state, key):
        rows = jax.random.randint(key, (64,), 0, 2_000)
        return td3.update(state, jax.tree.map(lambda array: array[rows], data)), None

    train = jax.jit(lambda state, keys: jax.lax.scan(body, state, keys)[0])
    state = train(state, jax.random.split(jax.random.key(0), 1_500))
    action, _ = td3.act(state, (), data.observation, data.reward, jax.random.key(0))
    assert np.abs(action - best).mean() < 0.1
    claimed = td3.claimed_value(state, data.observation, jax.random.key(0))
    assert np.mean(claimed) == pytest.approx(0, abs=0.05)

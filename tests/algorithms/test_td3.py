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


def test_critic_loss_is_the_td_error_of_algorithm_1():
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


def test_an_update_gives_its_loss_standard_normal_noise():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    noise = jax.random.normal(jax.random.fold_in(state.key, state.step), batch.action.shape)
    loss, _ = td3.critic_loss(state.critic.params, state, batch, noise)
    metrics = update(state, batch).metrics
    assert metrics['critic_loss'] == pytest.approx(float(loss), rel=1e-5)


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

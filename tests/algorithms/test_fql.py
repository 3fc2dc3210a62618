import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import fql
from launch.configs import fql as config
from networks.flows import integrate
from tests.algorithms.helpers import CONTINUOUS, make_state, optimised, random_batch

update = jax.jit(fql.update)


def state_with_distinct_targets(**values):
    """Actions and flows large enough to be clipped."""
    network = {name: values.pop(name) for name in tuple(values) if name in fql.NETWORK}
    network = {'flow_steps': 4} | network
    state, other = (make_state(fql, CONTINUOUS, seed, network, **values) for seed in (0, 1))
    wild = jax.tree.map(lambda leaf: 2 * leaf, (state.actor.params, state.flow.params))
    return state.replace(
        actor=state.actor.replace(params=wild[0]), flow=state.flow.replace(params=wild[1]),
        target_critic_params=other.critic.params,
    )  # fmt: skip


def drawn(seed=3):
    return jax.random.normal(jax.random.key(seed), (16, 2))


def in_float64(network, params, *inputs):
    return np.asarray(network.apply_fn(params, *inputs), np.float64)


def one_step(state, observation, noise):
    return np.clip(in_float64(state.actor, state.actor.params, observation, noise), -1, 1)


@pytest.mark.parametrize('q_agg', ['mean', 'min'])
def test_critic_loss_backs_up_the_one_step_policy(q_agg):
    state, batch = state_with_distinct_targets(gamma=0.9, q_agg=q_agg), random_batch(CONTINUOUS)
    next_action = one_step(state, batch.next_observation, drawn())
    assert (np.abs(next_action) == 1).any() and (np.abs(next_action) < 1).any()
    next_q = in_float64(
        state.critic, state.target_critic_params, batch.next_observation, np.float32(next_action)
    )
    next_q = next_q.min(axis=0) if q_agg == 'min' else next_q.mean(axis=0)
    target = np.asarray(batch.reward) + 0.9 * np.asarray(batch.discount) * next_q
    q = in_float64(state.critic, state.critic.params, batch.observation, batch.action)
    loss, metrics = fql.critic_loss(state.critic.params, state, batch, drawn())
    assert loss == pytest.approx(np.mean((q - target) ** 2), rel=1e-5)
    assert metrics['td_error'] == pytest.approx(np.abs(q - target).mean(), rel=1e-5)
    assert metrics['q_data'] == pytest.approx(q.min(axis=0).mean(), rel=1e-4)


def test_flow_loss_is_flow_matching_of_the_datas_actions():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    noise, time = drawn(), jax.random.uniform(jax.random.key(4), (16, 1))
    x = time * batch.action + (1 - time) * noise
    velocity = in_float64(state.flow, state.flow.params, batch.observation, x, time)
    expected = np.mean((velocity - np.asarray(batch.action - noise, np.float64)) ** 2)
    loss, _ = fql.flow_loss(state.flow.params, state, batch, noise, time)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_actor_loss_distils_the_flow_and_follows_the_mean_critic():
    batch, noise, slopes = random_batch(CONTINUOUS), drawn(), {}
    graded = jax.jit(jax.value_and_grad(fql.actor_loss, has_aux=True))
    for normalize in (False, True):
        state = state_with_distinct_targets(alpha=3.0, normalize_q_loss=normalize)
        x = np.asarray(noise, np.float64)
        for step in range(4):
            inputs = jnp.asarray(x, jnp.float32), jnp.full((16, 1), step / 4)
            x = x + in_float64(state.flow, state.flow.params, batch.observation, *inputs) / 4
        assert (np.abs(x) > 1).any()
        action = in_float64(state.actor, state.actor.params, batch.observation, noise)
        error = np.mean((action - np.clip(x, -1, 1)) ** 2)
        clipped = np.float32(one_step(state, batch.observation, noise))
        q = in_float64(state.critic, state.critic.params, batch.observation, clipped)
        value = q.mean(axis=0)
        weight = 1 / np.abs(value).mean() if normalize else 1
        (loss, metrics), _ = graded(state.actor.params, state, batch, noise)
        assert loss == pytest.approx(3 * error - weight * value.mean(), rel=1e-4)
        assert metrics['distillation_error'] == pytest.approx(error, rel=1e-4)
        assert metrics['q_policy'] == pytest.approx(q.min(axis=0).mean(), rel=1e-4)

        alone = state.replace(hparams=state.hparams.replace(alpha=jnp.float32(0)))
        slopes[normalize] = graded(state.actor.params, alone, batch, noise)[1]
    # What is divided by is not differentiated.
    for plain, normalised in zip(*map(jax.tree.leaves, slopes.values())):
        np.testing.assert_allclose(normalised, weight * plain, rtol=1e-4, atol=1e-7)


def test_an_update_gives_its_losses_noise_and_times():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    after = update(state, batch)
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), 4)
    noises = [jax.random.normal(key, (16, 2)) for key in keys[:3]]
    time = jax.random.uniform(keys[3], (16, 1))
    expected = {
        'critic_loss': fql.critic_loss(state.critic.params, state, batch, noises[0]),
        'flow_loss': fql.flow_loss(state.flow.params, state, batch, noises[1], time),
        'actor_loss': fql.actor_loss(state.actor.params, state, batch, noises[2]),
    }
    for name, (loss, _) in expected.items():
        assert after.metrics[name] == pytest.approx(float(loss), rel=1e-4)


def test_layers_of_the_critics_alone_are_normalised():
    plain, normal = (state_with_distinct_targets(layer_norm=each) for each in (False, True))
    assert 'LayerNorm_0' in normal.critic.params['params']['MLP_0']
    for network in (plain.critic, normal.actor, normal.flow):
        assert 'LayerNorm_0' not in network.params['params']['MLP_0']


def test_rows_act_on_noise_of_their_own_and_explore_as_they_act():
    state = state_with_distinct_targets()
    same = jnp.ones((300, 4))
    action, _ = fql.act(state, (), same, jnp.zeros(300), jax.random.key(5))
    assert len(np.unique(np.asarray(action), axis=0)) > 100
    np.testing.assert_array_equal(fql.explore(state, same, jax.random.key(5)), action)


def test_with_a_large_alpha_the_policy_is_what_a_fixed_flow_makes_of_its_noise():
    start = make_state(
        fql, CONTINUOUS, network={'hidden_sizes': (32,), 'flow_steps': 3}, gamma=0.0,
        flow_learning_rate=0.0,
    )  # fmt: skip
    # Large actions pay, so that the critics have something to say.
    batch = random_batch(CONTINUOUS, size=128)
    batch = batch._replace(reward=batch.action.sum(axis=1))
    steps = 500

    def learn(alpha):
        def body(state, key):
            rate = 1e-2 * (1 - state.step / steps)
            hparams = state.hparams.replace(
                alpha=alpha, actor_learning_rate=rate, critic_learning_rate=rate
            )
            rows = jax.random.randint(key, (64,), 0, 128)
            rows = jax.tree.map(lambda array: array[rows], batch)
            return fql.update(state.replace(hparams=hparams), rows), None

        state, _ = jax.lax.scan(body, start, jax.random.split(jax.random.key(0), steps))
        noise = jax.random.normal(jax.random.key(1), (128, 2))
        velocity = functools.partial(state.flow.apply_fn, state.flow.params, batch.observation)
        cloned = jnp.clip(integrate(velocity, noise, 3), -1, 1)
        return jnp.abs(fql.one_step(state, batch.observation, noise) - cloned)

    close, far = optimised(jax.vmap(learn))(jnp.array([1e3, 0.1]))
    assert np.mean(close) < 0.12 and np.mean(far) > 0.5


def test_the_values_are_those_of_the_authors():
    """One of each table."""
    maze, hand, giant = map(
        config.get_config, ('antmaze-large-play', 'pen-expert', 'antmaze-giant-navigate')
    )
    assert maze.dataset == 'local/antmaze/large-play-v0' and not maze.cut_at_goal
    assert (maze.hparams.alpha, maze.reward_shift, maze.network.q_agg) == (3, -1, 'mean')
    assert hand.dataset == 'D4RL/pen/expert-v2'
    assert (hand.hparams.alpha, hand.reward_shift, hand.network.q_agg) == (3_000, 0, 'min')
    assert (giant.hparams.alpha, giant.hparams.gamma, giant.network.q_agg) == (10, 0.995, 'min')
    assert (maze.num_updates, hand.num_updates, giant.num_updates) == (500_000, 500_000, 1_000_000)
    for each in (maze, hand, giant):
        assert each.network.hidden_sizes == (512,) * 4 and not each.network.normalize_q_loss

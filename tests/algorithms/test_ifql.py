import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import ifql
from launch.configs import ifql as config
from tests.algorithms.helpers import CONTINUOUS, make_state, random_batch

update = jax.jit(ifql.update)
SMALL = {'flow_steps': 3, 'num_act_actions': 6}


def state_with_distinct_targets(**hparams):
    state, other = (make_state(ifql, CONTINUOUS, seed, SMALL, **hparams) for seed in (0, 1))
    return state.replace(target_critic_params=other.critic.params)


def in_float64(network, params, *inputs):
    return np.asarray(network.apply_fn(params, *inputs), np.float64)


@pytest.mark.parametrize('expectile', [0.5, 0.9])
def test_value_loss_is_the_expectile_of_the_target_critics(expectile):
    state, batch = state_with_distinct_targets(expectile=expectile), random_batch(CONTINUOUS)
    q = in_float64(state.critic, state.target_critic_params, batch.observation, batch.action)
    u = q.min(axis=0) - in_float64(state.value, state.value.params, batch.observation)
    assert (u < 0).any() and (u > 0).any()
    loss, _ = ifql.value_loss(state.value.params, state, batch)
    assert loss == pytest.approx(np.mean(np.abs(expectile - (u < 0)) * u**2), rel=1e-5)


def test_critic_loss_bootstraps_from_the_value_and_is_summed():
    state, batch = state_with_distinct_targets(gamma=0.9), random_batch(CONTINUOUS)
    next_v = in_float64(state.value, state.value.params, batch.next_observation)
    target = np.asarray(batch.reward) + 0.9 * np.asarray(batch.discount) * next_v
    q = in_float64(state.critic, state.critic.params, batch.observation, batch.action)
    loss, metrics = ifql.critic_loss(state.critic.params, state, batch)
    assert loss == pytest.approx(np.mean((q - target) ** 2, axis=1).sum(), rel=1e-5)
    assert metrics['q_data'] == pytest.approx(q.min(axis=0).mean(), rel=1e-4)
    assert metrics['td_error'] == pytest.approx(np.abs(q - target).mean(), rel=1e-5)


def test_an_update_gives_flow_matching_its_noise_and_times():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    keys = jax.random.split(jax.random.fold_in(state.key, state.step))
    noise, time = jax.random.normal(keys[0], (16, 2)), jax.random.uniform(keys[1], (16, 1))
    x = time * batch.action + (1 - time) * noise
    velocity = in_float64(state.actor, state.actor.params, batch.observation, x, time)
    expected = np.mean((velocity - np.asarray(batch.action - noise, np.float64)) ** 2)
    loss, _ = ifql.actor_loss(state.actor.params, state, batch, noise, time)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert update(state, batch).metrics['actor_loss'] == pytest.approx(expected, rel=1e-4)


def test_it_acts_on_the_smallest_critics_favourite_of_its_flows():
    state, batch, key = state_with_distinct_targets(), random_batch(CONTINUOUS), jax.random.key(7)
    # Flows that leave the box.
    wild = jax.tree.map(lambda leaf: 2 * leaf, state.actor.params)
    state = state.replace(actor=state.actor.replace(params=wild))
    flow, critic = jax.jit(state.actor.apply_fn), jax.jit(state.critic.apply_fn)
    actions, values = [], []
    for x in jax.random.normal(key, (6, 16, 2)):
        for step in range(3):
            x = x + flow(wild, batch.observation, x, jnp.full((16, 1), step / 3)) / 3
        actions.append(np.clip(x, -1, 1))
        values.append(critic(state.critic.params, batch.observation, actions[-1]).min(axis=0))
    assert (np.abs(actions) == 1).any()
    best = np.argmax(values, axis=0)
    assert len(set(best)) > 2
    action, _ = ifql.act(state, (), batch.observation, batch.reward, key)
    np.testing.assert_allclose(action, np.array(actions)[best, np.arange(16)], atol=1e-5)
    claimed = ifql.claimed_value(state, batch.observation, key)
    np.testing.assert_allclose(claimed, np.max(values, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(ifql.explore(state, batch.observation, key), action)


def test_layers_of_values_and_critics_alone_are_normalised():
    normal, plain = (
        make_state(ifql, CONTINUOUS, network=SMALL | {'layer_norm': each}) for each in (True, False)
    )
    for state, network, expected in (
        (normal, 'value', True), (normal, 'critic', True), (normal, 'actor', False),
        (plain, 'value', False), (plain, 'critic', False),
    ):  # fmt: skip
        assert ('LayerNorm_0' in getattr(state, network).params['params']['MLP_0']) == expected


def test_the_values_are_those_of_the_authors():
    """One of each table."""
    maze, hand, soccer = map(
        config.get_config, ('antmaze-large-play', 'door-cloned', 'antsoccer-arena-navigate')
    )
    assert (maze.dataset, hand.dataset) == ('local/antmaze/large-play-v0', 'D4RL/door/cloned-v2')
    assert (maze.reward_shift, hand.reward_shift, soccer.reward_shift) == (-1, 0, 0)
    assert (maze.num_updates, hand.num_updates, soccer.num_updates) == (500_000, 500_000, 1_000_000)
    assert (soccer.network.num_act_actions, soccer.hparams.gamma) == (64, 0.995)
    assert maze.network.num_act_actions == 32
    assert maze.hparams.expectile == hand.hparams.expectile == soccer.hparams.expectile == 0.9

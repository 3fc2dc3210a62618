import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import rebrac
from launch.configs import rebrac as config
from tests.algorithms.helpers import (
    CONTINUOUS,
    changed,
    make_state,
    random_batch_with_next_actions,
)

update, critic_loss = jax.jit(rebrac.update), jax.jit(rebrac.critic_loss)
BATCH = random_batch_with_next_actions(CONTINUOUS)
NOISE = np.random.default_rng(5).standard_normal(BATCH.action.shape).astype(np.float32)


def state_with_distinct_targets(**hparams):
    state, other = make_state(rebrac, CONTINUOUS, **hparams), make_state(rebrac, CONTINUOUS, seed=1)
    return state.replace(
        target_actor_params=other.actor.params, target_critic_params=other.critic.params
    )


def float64(tree):
    return jax.tree.map(lambda array: np.asarray(array, np.float64), tree)


def layers(params):
    """((kernel, bias), (scale, bias) of the normalisation or None) of each layer."""
    mlp = float64(params)['params']['MLP_0']
    for index in range(3):
        dense = mlp[f'Linear_{index}']['Dense_0']
        norm = mlp.get(f'LayerNorm_{index}')
        yield (dense['kernel'], dense['bias']), norm and (norm['scale'], norm['bias'])


def forward(layers, x):
    """A network of two hidden layers, each normalised after its activation if at all."""
    *hidden, ((kernel, bias), none) = layers
    assert none is None
    for (weights, offset), norm in hidden:
        x = np.maximum(x @ weights + offset, 0)
        if norm:
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
            x = x * norm[0] + norm[1]
    return x @ kernel + bias


def policy(params, observation):
    return np.tanh(forward(layers(params), observation))


def critics(params, observation, action):
    """(critics, batch)."""
    x = np.concatenate([observation, action], -1)
    each = [jax.tree.map(lambda leaf, index=index: leaf[index], params) for index in range(2)]
    return np.stack([forward(layers(one), x)[:, 0] for one in each])


def target(state, batch, beta):
    batch, noise = float64(batch), float64(NOISE)
    action = policy(state.target_actor_params, batch.next_observation)
    action = np.clip(action + np.clip(0.2 * noise, -0.5, 0.5), -1, 1)
    next_q = critics(state.target_critic_params, batch.next_observation, action).min(axis=0)
    distance = ((action - batch.next_action) ** 2).sum(axis=-1)
    penalised = next_q - beta * np.where(batch.next_action_known, distance, 0)
    return batch.reward + 0.99 * batch.discount * penalised


@pytest.mark.parametrize('beta', [0.0, 0.7])
def test_critic_loss_is_the_squared_error_to_the_penalised_target(beta):
    state = state_with_distinct_targets(critic_penalty=beta)
    # So that normalisation is not at its first scale and bias.
    params = jax.tree.map(lambda leaf: 1.1 * leaf + 0.05, state.critic.params)
    error = critics(params, *float64((BATCH.observation, BATCH.action))) - target(
        state, BATCH, beta
    )
    loss, metrics = critic_loss(params, state, BATCH, NOISE)
    assert loss == pytest.approx((error**2).mean(axis=1).sum(), rel=1e-5)
    assert metrics['td_error'] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    lost = (target(state, BATCH, 0) - target(state, BATCH, beta)).mean()
    assert metrics['target_penalty'] == pytest.approx(lost, rel=1e-5, abs=1e-7)
    assert (lost > 0.1) == (beta > 0)


def test_a_next_action_that_is_not_known_or_after_the_end_does_not_matter():
    state = state_with_distinct_targets(critic_penalty=0.7)
    known, discount = BATCH.next_action_known > 0, BATCH.discount > 0
    # All three kinds of row are there.
    assert known.any() and (~known & discount).any() and (~discount).any()
    everywhere = BATCH._replace(next_action_known=jnp.ones_like(BATCH.next_action_known))
    for rows, batch, matters in (
        (~known, BATCH, False), (~discount, everywhere, False), (known, BATCH, True),
    ):  # fmt: skip
        other = jnp.where(rows[:, None], batch.next_action + 0.5, batch.next_action)
        losses = [
            critic_loss(state.critic.params, state, each, NOISE)[0]
            for each in (batch, batch._replace(next_action=other))
        ]
        assert (losses[0] != losses[1]) == matters


def test_actor_loss_is_cloning_and_the_smaller_critics_normalised_value():
    state = state_with_distinct_targets(actor_penalty=0.3)
    observation, data = float64((BATCH.observation, BATCH.action))
    action = policy(state.actor.params, observation)
    q = critics(state.critic.params, observation, action).min(axis=0)
    distance = ((action - data) ** 2).sum(axis=-1)
    loss, metrics = rebrac.actor_loss(state.actor.params, state, BATCH)
    assert loss == pytest.approx((0.3 * distance - q / np.abs(q).mean()).mean(), rel=1e-5)
    assert metrics['cloning_error'] == pytest.approx(distance.mean(), rel=1e-5)
    assert metrics['q_policy'] == pytest.approx(q.mean(), rel=1e-5)


def test_no_gradient_passes_through_lambda():
    state = state_with_distinct_targets(actor_penalty=0.0)

    def value(params):
        action = state.actor.apply_fn(params, BATCH.observation)
        return state.critic.apply_fn(state.critic.params, BATCH.observation, action).min(axis=0)

    weight = 1 / np.abs(value(state.actor.params)).mean()
    expected = jax.grad(lambda params: -weight * value(params).mean())(state.actor.params)
    gradient = jax.grad(lambda params: rebrac.actor_loss(params, state, BATCH)[0])(
        state.actor.params
    )
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_policy_and_targets_move_at_the_first_update_and_every_second_after_it():
    state = state_with_distinct_targets()
    for step in range(4):
        after = update(state, BATCH)
        assert changed(state.critic.params, after.critic.params)
        for name in ('actor', 'target_actor_params', 'target_critic_params'):
            assert changed(getattr(state, name), getattr(after, name)) == (step % 2 == 0)
        # Of every update, as of one that is not due nothing else may be known.
        _, metrics = rebrac.actor_loss(state.actor.params, state.replace(critic=after.critic), BATCH)
        for name in ('actor_loss', 'cloning_error', 'q_policy'):
            assert after.metrics[name] == pytest.approx(float(metrics[name]), rel=1e-5)
        state = after


def test_layers_are_normalised_only_if_the_config_says_so():
    bare = make_state(rebrac, CONTINUOUS, network={'layer_norm': False})
    for state, expected in ((bare, False), (make_state(rebrac, CONTINUOUS), True)):
        norms = [norm for _, norm in layers(state.critic.params)]
        assert [norm is not None for norm in norms] == [expected, expected, False]
        assert all(norm is None for _, norm in layers(state.actor.params))


def test_the_values_are_those_of_the_authors_configs():
    """One of each table."""
    names = 'hopper-medium-replay', 'antmaze-large-play', 'pen-cloned'
    replay, maze, pen = map(config.get_config, names)
    assert replay.dataset == 'local/hopper/medium-replay-v0' and replay.batch_size == 1024
    assert (replay.hparams.actor_penalty, replay.hparams.critic_penalty) == (0.05, 0.5)
    assert replay.hparams.actor_learning_rate == replay.hparams.critic_learning_rate == 1e-3
    assert maze.dataset == 'local/antmaze/large-play-v0' and maze.batch_size == 256
    assert (maze.hparams.actor_penalty, maze.hparams.critic_penalty) == (0.002, 0.001)
    assert (maze.hparams.gamma, maze.hparams.critic_learning_rate) == (0.999, 5e-5)
    assert (maze.reward_scale, maze.reward_shift) == (100.0, 0.0)
    assert pen.dataset == 'D4RL/pen/cloned-v2' and pen.batch_size == 256
    assert (pen.hparams.actor_penalty, pen.hparams.critic_penalty) == (0.05, 0.5)
    assert pen.hparams.critic_learning_rate == 3e-4 and pen.hparams.gamma == 0.99

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import crl
from launch.configs import crl as config
from tests.algorithms.helpers import CONTINUOUS, changed, make_state, random_batch_with_goals


def state_of(**hparams):
    """Actions large enough to be clipped."""
    state = make_state(crl, CONTINUOUS, 0, {'vector_size': 8, 'hidden_sizes': (16,)}, **hparams)
    wild = jax.tree.map(lambda leaf: 3 * leaf, state.actor.params)
    return state.replace(actor=state.actor.replace(params=wild))


def vectors(state, observation, action):
    found = state.critic.apply_fn(state.critic.params, observation, jnp.float32(action))
    return [np.asarray(each, np.float64) for each in found]


def test_critic_loss_tells_each_goal_from_all_others():
    state, batch = state_of(), random_batch_with_goals(CONTINUOUS)
    phi, psi = vectors(state, batch.observation, batch.action)
    assert phi.shape == psi.shape == (2, 16, 8)
    total, right, own, others = 0.0, 0, [], []
    for i in range(16):
        logits = np.array([[phi[c, i] @ psi[c, j] / np.sqrt(8) for j in range(16)] for c in range(2)])
        for j in range(16):
            sign = 1 if i == j else -1
            total += np.log1p(np.exp(-sign * logits[:, j])).sum()
            (own if i == j else others).append(logits[:, j].mean())
        right += logits.mean(axis=0).argmax() == i
    loss, metrics = crl.critic_loss(state.critic.params, state, batch)
    assert loss == pytest.approx(total / (2 * 16 * 16), rel=1e-5)
    assert metrics['accuracy'] == pytest.approx(right / 16)
    assert metrics['logit_reached'] == pytest.approx(np.mean(own), rel=1e-4)
    assert metrics['logit_others'] == pytest.approx(np.mean(others), rel=1e-3, abs=1e-6)


def test_phi_reads_states_and_actions_and_psi_goals():
    state, batch = state_of(), random_batch_with_goals(CONTINUOUS)
    phi, psi = vectors(state, batch.observation, batch.action)
    other_goal = batch.observation.at[:, 2:].add(1)
    moved = vectors(state, other_goal, batch.action)
    np.testing.assert_array_equal(moved[0], phi)
    assert changed(moved[1], psi)
    other_state = vectors(state, batch.observation.at[:, :2].add(1), batch.action)
    other_action = vectors(state, batch.observation, -batch.action)
    for phi_there, psi_there in (other_state, other_action):
        np.testing.assert_array_equal(psi_there, psi)
        assert changed(phi_there, phi)


def test_actor_loss_follows_the_smaller_logit_and_clones():
    state, batch = state_of(cloning_weight=0.3), random_batch_with_goals(CONTINUOUS)
    mean = np.asarray(state.actor.apply_fn(state.actor.params, batch.actor_observation).mean, np.float64)
    assert (np.abs(mean) > 1).any() and (np.abs(mean) < 1).any()
    phi, psi = vectors(state, batch.actor_observation, np.clip(mean, -1, 1))
    q = (phi * psi).sum(axis=-1).min(axis=0) / np.sqrt(8)
    error = np.asarray(batch.action, np.float64) - mean
    log_prob = -0.5 * np.sum(error**2 + np.log(2 * np.pi), axis=1)
    graded = jax.jit(jax.value_and_grad(crl.actor_loss, has_aux=True))
    (loss, metrics), _ = graded(state.actor.params, state, batch)
    expected = -q.mean() / np.abs(q).mean() - 0.3 * log_prob.mean()
    assert loss == pytest.approx(expected, rel=1e-4)
    assert metrics['q_policy'] == pytest.approx(q.mean(), rel=1e-3, abs=1e-6)
    assert metrics['log_prob'] == pytest.approx(log_prob.mean(), rel=1e-4)

    # What is divided by is not differentiated.
    alone = state.replace(hparams=state.hparams.replace(cloning_weight=jnp.float32(0)))
    scale = np.abs(q).mean()

    def followed(params):
        policy = state.actor.apply_fn(params, batch.actor_observation)
        phi, psi = state.critic.apply_fn(
            state.critic.params, batch.actor_observation, jnp.clip(policy.mean, -1, 1)
        )
        return -jnp.mean(jnp.min(jnp.sum(phi * psi, axis=-1) / jnp.sqrt(8), axis=0)) / scale

    slopes = graded(alone.actor.params, alone, batch)[1], jax.grad(followed)(alone.actor.params)
    for found, expected in zip(*map(jax.tree.leaves, slopes)):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_the_policys_goals_are_its_own():
    state, batch = state_of(), random_batch_with_goals(CONTINUOUS)
    other = batch._replace(actor_observation=batch.actor_observation.at[:, 2:].add(1))
    losses = crl.critic_loss(state.critic.params, state, batch)[0], crl.actor_loss(
        state.actor.params, state, batch
    )[0]
    assert crl.critic_loss(state.critic.params, state, other)[0] == losses[0]
    assert crl.actor_loss(state.actor.params, state, other)[0] != losses[1]


def test_logits_become_how_likely_a_goal_is_after_an_action():
    """Two actions, two goals: f tends to log p(g | a) / p(g) but for the number of pairs."""
    rng = np.random.default_rng(0)
    state = state_of(critic_learning_rate=3e-3)
    update = jax.jit(crl.update)
    for step in range(250):
        action = rng.choice([-1.0, 1.0], 64)
        goal = np.where(rng.random(64) < 0.8, action, -action)
        observation = np.stack([np.zeros(64), np.zeros(64), goal, goal], axis=1).astype(np.float32)
        batch = random_batch_with_goals(CONTINUOUS, 64, seed=step)._replace(
            observation=observation, action=np.stack([action, action], axis=1).astype(np.float32)
        )
        state = update(state, batch)
    action, goal = np.array([1.0, 1.0]), np.float32([[0, 0, 1, 1], [0, 0, -1, -1]])
    phi, psi = vectors(state, goal, np.stack([action, action]))
    likely, unlikely = ((phi * psi).sum(axis=-1) / np.sqrt(8)).mean(axis=0)
    # log(0.8 / 0.5) and log(0.2 / 0.5), whose difference is log 4.
    assert likely - unlikely == pytest.approx(np.log(4), abs=0.35)


def test_weights_of_the_cloning_are_those_of_the_benchmark():
    weights = {name: config.get_config(name).hparams.cloning_weight for name in config.DOMAINS}
    assert weights['goals'] == 0.03 and weights['goals-antmaze-medium-navigate'] == 0.1
    assert weights['goals-cube-single-play'] == weights['goals-puzzle-3x3-play'] == 3.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import bcq
from tests.algorithms.helpers import CONTINUOUS, make_state, random_batch

update = jax.jit(bcq.update)
NETWORKS = ('vae', 'actor', 'critic')
SMALL = {'vae_hidden_sizes': (16, 16), 'num_backup_actions': 3, 'num_act_actions': 5}


def state_with_distinct_targets(**hparams):
    state = make_state(bcq, CONTINUOUS, network=SMALL, **hparams)
    other = make_state(bcq, CONTINUOUS, seed=1, network=SMALL)
    return state.replace(
        target_actor_params=other.actor.params, target_critic_params=other.critic.params
    )


def drawn(*shape):
    return jax.random.normal(jax.random.key(3), shape)


def critic(state, params, observation, action):
    return np.asarray(state.critic.apply_fn(params, observation, action), np.float64)


def propose(state, actor_params, observation, noise):
    """One perturbed action per state, the arithmetic in float64."""
    latent = jnp.clip(noise, -0.5, 0.5)
    action = state.vae.apply_fn(state.vae.params, observation, latent, method='decode')
    inputs = jnp.concatenate([observation, action], axis=1)
    direction = np.asarray(state.actor.apply_fn(actor_params, inputs), np.float64)
    phi = float(state.hparams.max_perturbation)
    return np.clip(np.asarray(action, np.float64) + phi * direction, -1, 1).astype(np.float32)


def test_vae_loss_is_the_weighted_evidence_bound():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    noise = drawn(16, 4)
    apply = state.vae.apply_fn
    posterior = apply(state.vae.params, batch.observation, batch.action, method='encode')
    mean, log_std = (np.asarray(a, np.float64) for a in (posterior.mean, posterior.log_std))
    latent = jnp.asarray(mean + np.exp(log_std) * np.asarray(noise), jnp.float32)
    decoded = apply(state.vae.params, batch.observation, latent, method='decode')
    error = np.mean((np.asarray(decoded, np.float64) - np.asarray(batch.action)) ** 2)
    kl = np.mean(-0.5 * (1 + 2 * log_std - mean**2 - np.exp(2 * log_std)))
    loss, metrics = bcq.vae_loss(state.vae.params, state, batch, noise)
    assert loss == pytest.approx(error + 0.5 * kl, rel=1e-5)
    assert metrics['kl'] == pytest.approx(kl, rel=1e-4)


@pytest.mark.parametrize('minimum_weight', [1.0, 0.75])
def test_critic_loss_is_the_td_error_of_equation_13(minimum_weight):
    state = state_with_distinct_targets(minimum_weight=minimum_weight, gamma=0.9)
    batch = random_batch(CONTINUOUS)
    noise = drawn(3, 16, 4)
    values = []
    for n in range(3):
        action = propose(state, state.target_actor_params, batch.next_observation, noise[n])
        q = critic(state, state.target_critic_params, batch.next_observation, action)
        values.append(minimum_weight * q.min(axis=0) + (1 - minimum_weight) * q.max(axis=0))
    target = np.asarray(batch.reward) + (
        0.9 * np.asarray(batch.discount) * np.max(values, axis=0)
    )
    error = critic(state, state.critic.params, batch.observation, batch.action) - target
    loss, metrics = bcq.critic_loss(state.critic.params, state, batch, noise)
    assert loss == pytest.approx(np.sum(np.mean(error**2, axis=1)), rel=1e-5)
    assert metrics['td_error'] == pytest.approx(np.abs(error).mean(), rel=1e-5)


def test_actor_loss_is_equation_12():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    noise = drawn(1, 16, 4)
    action = propose(state, state.actor.params, batch.observation, noise[0])
    q = critic(state, state.critic.params, batch.observation, action)
    loss, _ = bcq.actor_loss(state.actor.params, state, batch, noise)
    assert loss == pytest.approx(-q[0].mean(), rel=1e-4)


def test_all_proposals_in_one_call_are_the_proposals_one_by_one():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    noise = drawn(5, 16, 4)
    together = bcq.proposals(state.actor.params, state, batch.observation, noise)
    q = bcq.q_of_samples(state.critic.apply_fn, state.critic.params, batch.observation, together)
    for n in range(5):
        alone = propose(state, state.actor.params, batch.observation, noise[n])
        np.testing.assert_allclose(together[n], alone, rtol=1e-5, atol=1e-6)
        values = critic(state, state.critic.params, batch.observation, alone)
        np.testing.assert_allclose(q[:, n], values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('phi', [0.0, 0.05])
def test_no_proposal_is_moved_further_than_its_bound(phi):
    state = state_with_distinct_targets(max_perturbation=phi)
    batch = random_batch(CONTINUOUS)
    eager = jax.tree.map(lambda leaf: 1e3 * leaf, state.actor.params)
    noise = drawn(5, 16, 4)
    moved = bcq.proposals(eager, state, batch.observation, noise)
    still = state.replace(hparams=state.hparams.replace(max_perturbation=jnp.float32(0)))
    distance = jnp.abs(moved - bcq.proposals(eager, still, batch.observation, noise))
    assert distance.max() == pytest.approx(phi, abs=1e-6)


def test_an_update_gives_its_losses_standard_normal_noise():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    after = update(state, batch)
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), 4)
    shapes = ((16, 4), (3, 16, 4), (1, 16, 4))
    noises = [jax.random.normal(key, shape) for key, shape in zip(keys, shapes)]
    with_vae = state.replace(vae=after.vae)
    with_critic = with_vae.replace(critic=after.critic)
    expected = {
        'vae_loss': bcq.vae_loss(state.vae.params, state, batch, noises[0]),
        'critic_loss': bcq.critic_loss(state.critic.params, with_vae, batch, noises[1]),
        'actor_loss': bcq.actor_loss(state.actor.params, with_critic, batch, noises[2]),
    }
    for name, (loss, _) in expected.items():
        assert after.metrics[name] == pytest.approx(float(loss), rel=1e-4)


def test_it_acts_on_the_first_critics_favourite_and_claims_the_smallest_value():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    key = jax.random.key(7)
    taken, _ = bcq.act(state, (), batch.observation, batch.reward, key)
    claimed = bcq.claimed_value(state, batch.observation, key)
    noise = jax.random.normal(key, (5, 16, 4))
    actions = np.stack([
        propose(state, state.actor.params, batch.observation, noise[n]) for n in range(5)
    ])
    q = np.stack([critic(state, state.critic.params, batch.observation, a) for a in actions])
    for row in range(16):
        best = q[:, 0, row].argmax()
        np.testing.assert_allclose(taken[row], actions[best, row], rtol=1e-5, atol=1e-6)
        assert claimed[row] == pytest.approx(q[best, :, row].min(), rel=1e-4, abs=1e-5)


def test_proposals_stay_near_the_datas_actions():
    state = make_state(bcq, CONTINUOUS, network=SMALL, vae_learning_rate=1e-2)
    batch = random_batch(CONTINUOUS)
    # Two habits, of which a Gaussian would propose the middle.
    sign = jnp.where(batch.action[:, :1] > 0, 1.0, -1.0)
    batch = batch._replace(action=0.7 * sign * jnp.array([1.0, -1.0]))
    for _ in range(400):
        state = update(state, batch)
    assert state.metrics['reconstruction_error'] < 0.6
    actions = bcq.proposals(state.actor.params, state, batch.observation, drawn(20, 16, 4))
    np.testing.assert_allclose(actions[..., 0], -actions[..., 1], atol=0.3)

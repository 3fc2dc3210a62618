import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from algorithms import cql
from data.types import Spec
from tests.algorithms.helpers import CONTINUOUS, changed, make_state, random_batch

update = jax.jit(cql.update)
critic_loss = jax.jit(cql.critic_loss)
NETWORKS = ('temperature', 'actor', 'critic', 'multiplier')


def state_with_distinct_target(network=None, **hparams):
    network = {'num_sampled_actions': 3} | (network or {})
    state = make_state(cql, CONTINUOUS, network=network, **hparams)
    other = make_state(cql, CONTINUOUS, seed=1)
    raised = {
        name: getattr(state, name).replace(params=jnp.float32(value))
        for name, value in {'temperature': -0.5, 'multiplier': 0.4}.items()
    }
    return state.replace(target_critic_params=other.critic.params, **raised)


def critic(state, params, observation, action):
    return np.asarray(state.critic.apply_fn(params, observation, action), np.float64)


def sample(state, observation, noise):
    """The policy's actions and their log-density, the latter from its definition in float64."""
    policy = state.actor.apply_fn(state.actor.params, observation)
    mean, log_std = (np.asarray(a, np.float64) for a in (policy.mean, policy.log_std))
    noise = np.asarray(noise, np.float64)
    action = np.tanh(mean + np.exp(log_std) * noise)
    log_prob = -0.5 * noise**2 - 0.5 * np.log(2 * np.pi) - log_std - np.log(1 - action**2)
    return action, log_prob.sum(-1)


def drawn(state, batch):
    return cql.draw_noise(jax.random.key(3), state, batch)


def penalties(state, batch, noise):
    """Of each critic, one sampled action at a time."""
    observation, next_observation = batch.observation, batch.next_observation
    terms = []
    for n in range(state.num_sampled_actions):
        uniform_log_prob = np.full(len(observation), noise.uniform.shape[-1] * np.log(0.5))
        current = sample(state, observation, noise.current[n])
        following = sample(state, next_observation, noise.following[n])
        for action, log_prob in ((noise.uniform[n], uniform_log_prob), current, following):
            q = critic(state, state.critic.params, observation, jnp.asarray(action, jnp.float32))
            terms.append(q - log_prob)
    q_data = critic(state, state.critic.params, observation, batch.action)
    return (logsumexp(terms, axis=0) - q_data).mean(axis=1)


@pytest.mark.parametrize('lagrange', [False, True])
@pytest.mark.parametrize('max_backup', [False, True])
def test_critic_loss_is_equation_4(lagrange, max_backup):
    state = state_with_distinct_target(
        {'lagrange': lagrange, 'max_backup': max_backup}, cql_alpha=2.0, gamma=0.9
    )
    batch = random_batch(CONTINUOUS)
    noise = drawn(state, batch)
    assert len(noise.backup) == (3 if max_backup else 1)
    next_q = np.stack([
        critic(state, state.target_critic_params, batch.next_observation, jnp.float32(action))
        for action in (sample(state, batch.next_observation, n)[0] for n in noise.backup)
    ])
    target = np.asarray(batch.reward) + (
        0.9 * np.asarray(batch.discount) * next_q.max(axis=0).min(axis=0)
    )
    error = critic(state, state.critic.params, batch.observation, batch.action) - target
    penalty = penalties(state, batch, noise)
    weight = 2.0 * (np.exp(0.4) if lagrange else 1.0)
    expected = np.sum(np.mean(error**2, axis=1) + weight * penalty)
    loss, metrics = critic_loss(state.critic.params, state, batch, noise)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert metrics['conservative_penalty'] == pytest.approx(penalty.mean(), rel=1e-4)
    assert metrics['alpha'] == pytest.approx(weight)
    assert metrics['td_error'] == pytest.approx(np.abs(error).mean(), rel=1e-4)


def test_all_samples_in_one_call_are_the_samples_one_by_one():
    state, batch = state_with_distinct_target(), random_batch(CONTINUOUS)
    action = drawn(state, batch).uniform
    together = cql.q_of_samples(state.critic.apply_fn, state.critic.params, batch.observation, action)
    for n in range(3):
        alone = state.critic.apply_fn(state.critic.params, batch.observation, action[n])
        np.testing.assert_allclose(together[:, n], alone, rtol=1e-5, atol=1e-6)


def test_many_weighted_samples_give_the_integral_over_all_actions():
    spec = Spec(observation_size=4, action_size=1, discrete=False)
    samples = 10_000
    state = make_state(cql, spec, network={'num_sampled_actions': samples})
    # Steep enough that the weights matter.
    steep = jax.tree.map(lambda leaf: 3 * leaf, state.critic.params)
    batch = random_batch(spec, size=3)
    estimate, _ = cql.log_integral(steep, state, batch, drawn(state, batch))
    grid = jnp.linspace(-1, 1, 2_001)
    action = jnp.broadcast_to(grid[:, None, None], (2_001, 3, 1))
    q = np.asarray(cql.q_of_samples(state.critic.apply_fn, steep, batch.observation, action), np.float64)
    exact = np.log(np.trapezoid(np.exp(q), grid, axis=1))
    assert np.ptp(q, axis=1).max() > 1
    np.testing.assert_allclose(estimate - np.log(3 * samples), exact, atol=0.03)


def test_actor_and_temperature_losses_are_those_of_sac():
    state, batch = state_with_distinct_target(bc_warm_start_updates=0.0), random_batch(CONTINUOUS)
    noise = drawn(state, batch)
    action, log_prob = sample(state, batch.observation, noise.actor)
    q = critic(state, state.critic.params, batch.observation, jnp.float32(action)).min(axis=0)
    loss, _ = cql.actor_loss(state.actor.params, state, batch, noise)
    assert loss == pytest.approx(np.mean(np.exp(-0.5) * log_prob - q), rel=1e-4)
    loss, _ = cql.temperature_loss(state.temperature.params, state, batch, noise)
    assert loss == pytest.approx(0.5 * np.mean(log_prob - 2), rel=1e-4)


def test_the_warm_start_clones_the_data_and_ends():
    state, batch = state_with_distinct_target(bc_warm_start_updates=5.0), random_batch(CONTINUOUS)
    noise = drawn(state, batch)
    _, log_prob = sample(state, batch.observation, noise.actor)
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    likelihood = np.asarray(policy.log_prob(batch.action), np.float64)
    loss, _ = cql.actor_loss(state.actor.params, state.replace(step=jnp.int32(4)), batch, noise)
    assert loss == pytest.approx(np.mean(np.exp(-0.5) * log_prob - likelihood), rel=1e-4)
    later = state.replace(step=jnp.int32(5))
    never = later.replace(hparams=state.hparams.replace(bc_warm_start_updates=jnp.float32(0)))
    after, expected = (cql.actor_loss(s.actor.params, s, batch, noise)[0] for s in (later, never))
    assert after == expected and after != loss


def test_the_multiplier_grows_while_the_penalty_exceeds_its_target():
    batch = random_batch(CONTINUOUS)

    def multiplier_after(target_gap):
        state = state_with_distinct_target({'lagrange': True}, target_gap=target_gap)
        return float(update(state, batch).multiplier.params)

    assert multiplier_after(target_gap=-100.0) > 0.4 > multiplier_after(target_gap=100.0)


def test_the_multiplier_loss_is_its_share_of_the_lagrangian():
    state = state_with_distinct_target({'lagrange': True}, cql_alpha=2.0, target_gap=5.0)
    loss = cql.multiplier_loss(jnp.float32(0.4), state, jnp.float32(7.0))
    assert loss == pytest.approx(-np.exp(0.4) * (2 * 7 - 5))
    assert cql.multiplier_loss(jnp.float32(50.0), state, jnp.float32(7.0)) == -1e6 * 9


def test_an_update_gives_its_losses_the_noise_that_is_drawn():
    state, batch = state_with_distinct_target({'lagrange': True}), random_batch(CONTINUOUS)
    after = update(state, batch)
    noise = cql.draw_noise(jax.random.fold_in(state.key, state.step), state, batch)
    warmer = state.replace(temperature=after.temperature)
    expected = {
        'temperature_loss': cql.temperature_loss(state.temperature.params, state, batch, noise),
        'actor_loss': cql.actor_loss(state.actor.params, warmer, batch, noise),
        'critic_loss': critic_loss(state.critic.params, state, batch, noise),
    }
    for name, (loss, _) in expected.items():
        assert after.metrics[name] == pytest.approx(float(loss), rel=1e-4)


def test_without_the_lagrangian_the_multiplier_stays():
    state = state_with_distinct_target()
    after = update(state, random_batch(CONTINUOUS))
    assert changed(state.critic.params, after.critic.params)
    assert not changed(state.multiplier.params, after.multiplier.params)


def test_the_policy_that_acts_is_the_mode():
    state, batch = state_with_distinct_target(), random_batch(CONTINUOUS)
    action, _ = cql.act(state, (), batch.observation, batch.reward, jax.random.key(0))
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    np.testing.assert_allclose(action, np.tanh(policy.mean), rtol=1e-6)


def test_the_penalty_lowers_the_policys_values_against_the_datas():
    batch = random_batch(CONTINUOUS)

    def gap(alpha):
        state = state_with_distinct_target(cql_alpha=alpha, critic_learning_rate=1e-2)
        for _ in range(50):
            state = update(state, batch)
        return float(state.metrics['q_gap'])

    none, some, much = gap(0.0), gap(1.0), gap(10.0)
    assert none > some > much and much < 0

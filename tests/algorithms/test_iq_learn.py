import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from algorithms import iq_learn
from data.types import Transition
from tests.algorithms.helpers import CONTINUOUS, DISCRETE, make_state, optimised, random_batch
from tests.algorithms.tabular import random_problem

NOISE = tuple(jax.random.normal(jax.random.key(seed), (16, 2)) for seed in (3, 4))
HPARAMS = {'gamma': 0.9, 'temperature': 0.3, 'reward_bound': 0.7}


def state_of(spec, use_target, experts):
    network = {'use_target': use_target, 'experts': experts, 'num_critics': 2}
    state, other = (make_state(iq_learn, spec, seed, network, **HPARAMS) for seed in (0, 1))
    return state.replace(target_critic_params=other.critic.params)


def critics(state, params, observation, action):
    return np.asarray(state.critic.apply_fn(params, observation, jnp.asarray(action)), np.float64)


def value(state, params, observation, noise):
    """V of the smallest critic, in float64."""
    if state.actor is None:
        q = state.critic.apply_fn(params, observation, method='all_actions')
        q = np.asarray(q, np.float64).min(axis=0)
        return 0.3 * np.log(np.exp(q / 0.3).sum(axis=-1))
    policy = state.actor.apply_fn(state.actor.params, observation)
    mean, log_std, e = (np.asarray(a, np.float64) for a in (policy.mean, policy.log_std, noise))
    action = np.tanh(mean + np.exp(log_std) * e)
    log_prob = np.sum(
        -0.5 * e**2 - log_std - 0.5 * np.log(2 * np.pi) - np.log(1 - action**2), axis=-1
    )
    return critics(state, params, observation, np.float32(action)).min(axis=0) - 0.3 * log_prob


@pytest.mark.parametrize('spec', [CONTINUOUS, DISCRETE], ids=['continuous', 'discrete'])
@pytest.mark.parametrize(('use_target', 'experts'), [(True, 'all'), (False, 'rewarded')])
def test_critic_loss_is_equation_9(spec, use_target, experts):
    state, batch = state_of(spec, use_target, experts), random_batch(spec)
    noise = NOISE if state.actor else (None, None)
    ahead = state.target_critic_params if use_target else state.critic.params
    reward, ongoing = (np.asarray(a, np.float64) for a in (batch.reward, batch.discount))
    carried = 0.9 * ongoing * value(state, ahead, batch.next_observation, noise[1])
    found = critics(state, state.critic.params, batch.observation, batch.action) - carried
    expert = np.ones(16, bool) if experts == 'all' else reward > 0
    assert expert.sum() > 3
    difference = np.mean(value(state, state.critic.params, batch.observation, noise[0]) - carried)
    each = [-r[expert].mean() + difference + np.mean(r**2) / (4 * 0.7) for r in found]
    loss, metrics = jax.jit(iq_learn.critic_loss)(state.critic.params, state, batch, noise)
    assert loss == pytest.approx(np.mean(each), rel=1e-5)
    assert metrics['reward_expert'] == pytest.approx(found[:, expert].mean(), rel=1e-4)


def test_without_targets_gradients_flow_through_the_next_value():
    state, batch = state_of(DISCRETE, False, 'all'), random_batch(DISCRETE)
    leaves, tree = jax.tree.flatten(state.critic.params)
    rng = np.random.default_rng(0)
    way = tree.unflatten([rng.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves])

    def loss(step):
        params = jax.tree.map(lambda leaf, along: leaf + step * along, state.critic.params, way)
        return iq_learn.critic_loss(params, state, batch, (None, None))[0]

    slope = (jax.jit(loss)(1e-3) - jax.jit(loss)(-1e-3)) / 2e-3
    assert jax.jit(jax.grad(loss))(0.0) == pytest.approx(float(slope), rel=1e-2)


def test_of_an_experts_rows_what_is_left_is_cloning():
    """Without a bound on rewards the loss is -alpha log pi of the data, whatever comes next."""
    state, batch = state_of(DISCRETE, True, 'all'), random_batch(DISCRETE)
    state = state.replace(hparams=state.hparams.replace(reward_bound=jnp.inf))
    single = jax.tree.map(lambda leaf: jnp.stack([leaf[0]] * 2), state.critic.params)
    q = state.critic.apply_fn(single, batch.observation, method='all_actions')[0]
    log_probs = jax.nn.log_softmax(q / 0.3)[jnp.arange(16), batch.action]
    loss, _ = iq_learn.critic_loss(single, state, batch, (None, None))
    assert loss == pytest.approx(-0.3 * float(log_probs.mean()), rel=1e-4)


def test_actor_loss_is_sacs():
    state, batch = state_of(CONTINUOUS, True, 'all'), random_batch(CONTINUOUS)
    expected = -value(state, state.critic.params, batch.observation, NOISE[0]).mean()
    loss, _ = iq_learn.actor_loss(state.actor.params, state, batch, NOISE[0])
    assert loss == pytest.approx(expected, rel=1e-5)


def test_an_update_gives_its_losses_standard_normal_noise():
    state, batch = state_of(CONTINUOUS, False, 'all'), random_batch(CONTINUOUS)
    after = jax.jit(iq_learn.update)(state, batch)
    keys = jax.random.split(jax.random.fold_in(state.key, 0), 3)
    noise = [jax.random.normal(key, batch.action.shape) for key in keys]
    loss, _ = iq_learn.critic_loss(state.critic.params, state, batch, tuple(noise[:2]))
    assert after.metrics['critic_loss'] == pytest.approx(float(loss), rel=1e-5)
    seen = state.replace(critic=after.critic)
    loss, _ = iq_learn.actor_loss(state.actor.params, seen, batch, noise[2])
    assert after.metrics['actor_loss'] == pytest.approx(float(loss), rel=1e-5)


def test_discrete_actors_loss_is_what_the_softmax_has_of_it():
    state, batch = state_of(DISCRETE, False, 'all'), random_batch(DISCRETE)
    after = jax.jit(iq_learn.update)(state, batch)
    q = np.asarray(iq_learn.all_values(after.critic.params, state, batch.observation), np.float64)
    policy = np.exp(q / 0.3) / np.exp(q / 0.3).sum(-1, keepdims=True)
    of_softmax = np.mean(np.sum(policy * (0.3 * np.log(policy) - q), axis=-1))
    assert after.metrics['actor_loss'] == pytest.approx(of_softmax, rel=1e-4)


def test_on_a_small_problem_the_soft_policy_is_the_experts():
    """An expert that draws its actions, of which the data have the exact shares.

    The less rewards are bounded, the nearer; and whatever the bound, at the least of eq. 9.
    """
    problem, rng = random_problem(num_states=5, num_actions=3), np.random.default_rng(1)
    shares = rng.multinomial(12, [0.5, 0.3, 0.2], size=5)
    rows = np.indices(shares.shape).reshape(2, -1)
    state, action = (np.repeat(each, shares.ravel()) for each in rows)
    following = problem.next_state[state, action]
    data = Transition(
        observation=problem.observations[state],
        action=jnp.asarray(action, jnp.int32),
        reward=jnp.zeros(len(state)),
        discount=jnp.ones(len(state)),
        next_observation=problem.observations[following],
    )
    network = {'hidden_sizes': (32,), 'use_target': False, 'num_critics': 1}
    start = make_state(iq_learn, problem.spec, network=network, gamma=0.8, temperature=0.5)

    @optimised
    def learn(bound):
        def body(step, now):
            hparams = now.hparams.replace(
                reward_bound=bound, critic_learning_rate=1e-2 * (1 - step / 1_500)
            )
            return iq_learn.update(now.replace(hparams=hparams), data)

        learned = jax.lax.fori_loop(0, 1_500, body, start)
        return iq_learn.all_values(learned.critic.params, learned, problem.observations)

    def equation_9(table, bound):
        q = table.reshape(5, 3)
        v = 0.5 * logsumexp(q / 0.5, axis=1)
        found = q[state, action] - 0.8 * v[following]
        return np.mean(v[state] - q[state, action]) + np.mean(found**2) / (4 * bound)

    for bound, near in ((1e4, 0.005), (0.5, 0.3)):
        policy = jax.nn.softmax(learn(bound) / 0.5)
        np.testing.assert_allclose(policy, shares / 12, atol=near)
        least = minimize(equation_9, np.zeros(15), (bound,)).x.reshape(5, 3)
        np.testing.assert_allclose(policy, softmax(least / 0.5, axis=1), atol=0.01)
    assert np.abs(policy - shares / 12).max() > 0.03

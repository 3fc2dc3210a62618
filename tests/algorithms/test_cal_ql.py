import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from algorithms import cal_ql, cql
from data.types import Transition
from networks.optimization import descend
from tests.algorithms.helpers import CONTINUOUS, make_state, random_batch_with_returns

update = jax.jit(cal_ql.update)
critic_loss = jax.jit(cal_ql.critic_loss)
SMALL = {'num_sampled_actions': 3, 'actor_hidden_sizes': (16, 16)}


def state_of(network=None, **hparams):
    state = make_state(cal_ql, CONTINUOUS, network=SMALL | (network or {}), **hparams)
    raised = {
        name: getattr(state, name).replace(params=jnp.float32(value))
        for name, value in {'temperature': -0.5, 'multiplier': 0.4}.items()
    }
    target = make_state(cal_ql, CONTINUOUS, seed=1, network=SMALL).critic.params
    return state.replace(target_critic_params=target, **raised)


def critic(state, params, observation, action):
    q = state.critic.apply_fn(params, observation, jnp.asarray(action, jnp.float32))
    return np.asarray(q, np.float64)


def sample(state, observation, noise):
    """The policy's actions and their log-density, the latter from its definition in float64."""
    policy = state.actor.apply_fn(state.actor.params, observation)
    mean, log_std = (np.asarray(a, np.float64) for a in (policy.mean, policy.log_std))
    noise = np.asarray(noise, np.float64)
    action = np.tanh(mean + np.exp(log_std) * noise)
    log_prob = -0.5 * noise**2 - 0.5 * np.log(2 * np.pi) - log_std - np.log(1 - action**2)
    return action, log_prob.sum(-1)


def drawn(state, batch):
    return cal_ql.draw_noise(jax.random.key(3), state, batch)


@pytest.mark.parametrize(('lagrange', 'max_backup'), [(False, True), (True, False)])
def test_critic_loss_bounds_the_policys_actions_alone(lagrange, max_backup):
    state = state_of(
        {'lagrange': lagrange, 'max_backup': max_backup}, cql_alpha=2.0, gamma=0.9, target_gap=0.8
    )
    batch = random_batch_with_returns(CONTINUOUS)
    noise = drawn(state, batch)
    assert len(noise.backup) == (3 if max_backup else 1)
    next_q = np.max([
        critic(state, state.target_critic_params, batch.next_observation, action).min(axis=0)
        for action in (sample(state, batch.next_observation, n)[0] for n in noise.backup)
    ], axis=0)  # fmt: skip
    target = np.asarray(batch.reward) + 0.9 * np.asarray(batch.discount) * next_q
    returns, terms, bound = np.asarray(batch.return_to_go, np.float64), [], []
    for n in range(3):
        uniform_q = critic(state, state.critic.params, batch.observation, noise.uniform[n])
        terms.append(uniform_q - 2 * np.log(0.5))
        for observation, draw in (
            (batch.observation, noise.current[n]), (batch.next_observation, noise.following[n])
        ):  # fmt: skip
            action, log_prob = sample(state, observation, draw)
            q = critic(state, state.critic.params, batch.observation, action)
            terms.append(np.maximum(q, returns) - log_prob)
            bound.append(q < returns)
    assert 0 < np.mean(bound) < 1 and np.isinf(returns).any()
    q_data = critic(state, state.critic.params, batch.observation, batch.action)
    penalty = (logsumexp(terms, axis=0) - q_data).mean(axis=1)
    weight, gap = (2 * np.exp(0.4), 0.8) if lagrange else (2, 0)
    expected = np.sum(np.mean((q_data - target) ** 2, axis=1) + weight * (penalty - gap))
    loss, metrics = critic_loss(state.critic.params, state, batch, noise)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert metrics['conservative_penalty'] == pytest.approx(penalty.mean(), rel=1e-4)
    assert metrics['bound_rate'] == pytest.approx(np.mean(bound), abs=1e-6)


def test_actor_and_temperature_losses_are_those_of_sac():
    state, batch = state_of(), random_batch_with_returns(CONTINUOUS)
    noise = drawn(state, batch)
    action, log_prob = sample(state, batch.observation, noise.actor)
    q = critic(state, state.critic.params, batch.observation, action).min(axis=0)
    loss, _ = cal_ql.actor_loss(state.actor.params, state, batch, noise)
    assert loss == pytest.approx(np.mean(np.exp(-0.5) * log_prob - q), rel=1e-4)
    loss, _ = cal_ql.temperature_loss(state.temperature.params, state, batch, noise)
    assert loss == pytest.approx(0.5 * np.mean(log_prob - 2), rel=1e-4)


def test_the_multiplier_loss_is_its_share_of_the_lagrangian():
    state = state_of({'lagrange': True}, cql_alpha=2.0, target_gap=5.0)
    loss = cal_ql.multiplier_loss(jnp.float32(0.4), state, jnp.float32(7.0))
    assert loss == pytest.approx(-np.exp(0.4) * 2 * (7 - 5))
    assert cal_ql.multiplier_loss(jnp.float32(50.0), state, jnp.float32(7.0)) == -1e6 * 4


def test_without_a_reference_one_step_is_cqls():
    """Of all parameters, where the other options are alike: one next action, no gap, no clone, and an
    actor of CQL's that sees the temperature of before the update."""
    batch = random_batch_with_returns(CONTINUOUS)
    batch = batch._replace(return_to_go=jnp.full(16, -jnp.inf))
    plain = Transition(*batch[:-1])
    options = {'max_backup': False, 'lagrange': True}
    ours = state_of(options, target_gap=0.0, cql_alpha=3.0, actor_learning_rate=1e-3)
    unscaled = {'scale': jnp.float32(1), 'offset': jnp.float32(0)}
    params = {'params': ours.actor.params['params'] | unscaled}
    ours = ours.replace(actor=ours.actor.replace(params=params))
    theirs = make_state(
        cql, CONTINUOUS, network=options | {'num_sampled_actions': 3}, target_gap=0.0, cql_alpha=3.0,
        actor_learning_rate=1e-3, bc_warm_start_updates=0.0,
    )  # fmt: skip
    mlp = {'params': {'MLP_0': ours.actor.params['params']['MLP_0']}}
    theirs = theirs.replace(
        key=ours.key,
        actor=theirs.actor.replace(params=mlp),
        critic=theirs.critic.replace(params=ours.critic.params),
        temperature=ours.temperature,
        multiplier=ours.multiplier,
        target_critic_params=ours.target_critic_params,
    )
    after, expected = update(ours, batch), jax.jit(cql.update)(theirs, plain)
    assert after.metrics['bound_rate'] == 0

    def assert_close(a, b):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), a, b)

    for name in ('temperature', 'critic', 'multiplier'):
        assert_close(getattr(after, name).params, getattr(expected, name).params)
    assert_close(after.target_critic_params, expected.target_critic_params)
    noise = cql.draw_noise(jax.random.fold_in(theirs.key, theirs.step), theirs, plain)
    gradient_of = jax.jit(jax.grad(cql.actor_loss, has_aux=True))
    gradients, _ = gradient_of(theirs.actor.params, theirs, plain, noise)
    actor = descend(theirs.actor, gradients, jnp.float32(1e-3))
    # Ours learns two numbers besides.
    assert after.actor.params['params']['scale'] != 1 and after.actor.params['params']['offset'] != 0
    assert_close(after.actor.params['params']['MLP_0'], actor.params['params']['MLP_0'])
    assert_close(after.actor.opt_state.mu['params']['MLP_0'], actor.opt_state.mu['params']['MLP_0'])


def test_values_are_not_pushed_below_the_reference():
    """Under a heavy penalty CQL's values of the policy fall without end, these stay where they were."""
    def values_of_the_policy(reference):
        batch = random_batch_with_returns(CONTINUOUS)._replace(
            return_to_go=jnp.full(16, reference), discount=jnp.zeros(16)
        )
        state = state_of({'lagrange': False}, cql_alpha=10.0, critic_learning_rate=1e-2)
        for _ in range(60):
            state = update(state, batch)
        return float(state.metrics['q_policy'])

    unbounded, bounded = values_of_the_policy(-jnp.inf), values_of_the_policy(0.0)
    assert unbounded < bounded - 1


def test_the_scale_and_shift_of_log_std_begin_as_in_the_authors_code():
    state = state_of()
    params = state.actor.params['params']
    assert (params['scale'], params['offset']) == (1, -1)
    plain = {'params': params | {'scale': jnp.float32(0), 'offset': jnp.float32(-0.3)}}
    observation = random_batch_with_returns(CONTINUOUS).observation
    np.testing.assert_allclose(state.actor.apply_fn(plain, observation).log_std, -0.3, rtol=1e-6)

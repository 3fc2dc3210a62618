import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import bc, iql
from data.types import Spec, Transition
from tests.algorithms.helpers import (
    CONTINUOUS,
    DISCRETE,
    changed,
    make_state,
    optimised,
    random_batch,
)

SPECS = pytest.mark.parametrize('spec', [CONTINUOUS, DISCRETE], ids=['continuous', 'discrete'])


update = jax.jit(iql.update)


def outputs(state, batch):
    """What the networks say, in float64: V(s), V(s'), Q_targ(s, a), Q(s, a)."""
    value = state.value.apply_fn
    critic = state.critic.apply_fn
    arrays = (
        value(state.value.params, batch.observation),
        value(state.value.params, batch.next_observation),
        critic(state.target_critic_params, batch.observation, batch.action),
        critic(state.critic.params, batch.observation, batch.action),
    )
    return [np.asarray(array, np.float64) for array in arrays]


def state_with_distinct_targets(spec, **hparams):
    state = make_state(iql, spec, **hparams)
    other = make_state(iql, spec, seed=1)
    return state.replace(target_critic_params=other.critic.params)


@SPECS
@pytest.mark.parametrize('expectile', [0.5, 0.7, 0.95])
def test_value_loss_is_equation_5(spec, expectile):
    state, batch = state_with_distinct_targets(spec, expectile=expectile), random_batch(spec)
    v, _, target_q, _ = outputs(state, batch)
    u = target_q.min(axis=0) - v
    expected = np.mean(np.abs(expectile - (u < 0)) * u**2)
    loss, _ = iql.value_loss(state.value.params, state, batch)
    assert loss == pytest.approx(expected, rel=1e-5)


@SPECS
def test_critic_loss_is_equation_6(spec):
    state, batch = state_with_distinct_targets(spec, gamma=0.9), random_batch(spec)
    _, next_v, _, q = outputs(state, batch)
    target = np.asarray(batch.reward) + 0.9 * np.asarray(batch.discount) * next_v
    expected = np.mean((q[0] - target) ** 2) + np.mean((q[1] - target) ** 2)
    loss, _ = iql.critic_loss(state.critic.params, state, batch)
    assert loss == pytest.approx(expected, rel=1e-5)


@SPECS
def test_actor_loss_is_equation_7_with_clipped_weights(spec):
    state, batch = state_with_distinct_targets(spec, inverse_temperature=500.0), random_batch(spec)
    v, _, target_q, _ = outputs(state, batch)
    weight = np.minimum(np.exp(500.0 * (target_q.min(axis=0) - v)), 100.0)
    assert (weight == 100).any() and (weight < 100).any()
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    if spec.discrete:
        logits = np.asarray(policy.logits, np.float64)
        log_prob = (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[
            np.arange(16), np.asarray(batch.action)
        ]
    else:
        mean, log_std = (np.asarray(a, np.float64) for a in (policy.mean, policy.log_std))
        z = (np.asarray(batch.action) - mean) / np.exp(log_std)
        log_prob = np.sum(-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi), axis=-1)
    loss, _ = iql.actor_loss(state.actor.params, state, batch, jax.random.key(0))
    assert loss == pytest.approx(-np.mean(weight * log_prob), rel=1e-4)


@SPECS
def test_at_inverse_temperature_zero_the_policy_is_cloned(spec):
    state, batch = state_with_distinct_targets(spec, inverse_temperature=0.0), random_batch(spec)
    clone = make_state(bc, spec)
    ours, _ = iql.actor_loss(state.actor.params, state, batch, jax.random.key(0))
    theirs, _ = bc.actor_loss(state.actor.params, clone, batch, jax.random.key(0))
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def test_the_actors_learning_rate_falls_to_zero_on_a_cosine():
    batch = random_batch(CONTINUOUS)

    def size_of_step(step):
        state = make_state(iql, CONTINUOUS, actor_decay_updates=100.0)
        state = state.replace(step=jnp.int32(step))
        after = update(state, batch)
        old, new = (jax.tree.leaves(s.actor.params)[0] for s in (state, after))
        return float(jnp.abs(new - old).max())

    full = size_of_step(0)
    assert full == pytest.approx(3e-4, rel=1e-2)
    assert size_of_step(25) == pytest.approx(full * 0.5 * (1 + np.cos(np.pi / 4)), rel=1e-2)
    assert size_of_step(100) < 1e-9
    assert size_of_step(150) < 1e-9


@SPECS
def test_the_gap_is_between_values_of_the_same_32_rows(spec):
    state, batch = make_state(iql, spec), random_batch(spec, size=40)
    after = update(state, batch)
    observation = batch.observation[:32]
    action, _ = iql.act(state, (), observation, batch.reward[:32], jax.random.key(0))
    q_policy, q_data = (
        np.asarray(state.critic.apply_fn(state.critic.params, observation, a)).min(axis=0)
        for a in (action, batch.action[:32])
    )
    claimed = iql.claimed_value(state, observation, jax.random.key(0))
    np.testing.assert_allclose(claimed, q_policy, rtol=1e-5)
    assert after.metrics['q_policy'] == pytest.approx(q_policy.mean(), rel=1e-4)
    assert after.metrics['q_data'] == pytest.approx(q_data.mean(), rel=1e-4)
    assert after.metrics['q_gap'] == pytest.approx(q_policy.mean() - q_data.mean(), rel=1e-3)


def test_dropout_changes_the_actor_alone_and_never_the_policy_that_acts():
    batch = random_batch(CONTINUOUS)
    dry = make_state(iql, CONTINUOUS)
    wet = make_state(iql, CONTINUOUS, network={'dropout_rate': 0.5})
    assert not changed(dry.actor.params, wet.actor.params)
    dry_after, wet_after = update(dry, batch), update(wet, batch)
    for name, differ in {'actor': True, 'value': False, 'critic': False}.items():
        # Adam's first moments are the gradients.
        a, b = (jax.tree.leaves(getattr(s, name).opt_state.mu) for s in (dry_after, wet_after))
        assert all(np.allclose(x, y, rtol=1e-4, atol=1e-8) for x, y in zip(a, b)) != differ
    act = iql.act(wet, (), batch.observation, batch.reward, jax.random.key(0))[0]
    again = iql.act(wet, (), batch.observation, batch.reward, jax.random.key(1))[0]
    np.testing.assert_array_equal(act, again)


def empirical_mdp(num_states=5, num_actions=3, steps=6_000, seed=0):
    """Transitions of a random policy in a random MDP, and the model that they imply."""
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.full(num_states, 0.3), (num_states, num_actions))
    reward = rng.uniform(0, 1, (num_states, num_actions))
    behaviour = rng.dirichlet(np.ones(num_actions) * 2, num_states)
    s = rng.integers(num_states, size=steps)
    a = np.array([rng.choice(num_actions, p=behaviour[i]) for i in s])
    s2 = np.array([rng.choice(num_states, p=transition[i, j]) for i, j in zip(s, a)])
    one_hot = np.eye(num_states, dtype=np.float32)
    data = Transition(
        observation=one_hot[s],
        action=a.astype(np.int32),
        reward=reward[s, a].astype(np.float32),
        discount=np.ones(steps, np.float32),
        next_observation=one_hot[s2],
    )
    counts = np.zeros((num_states, num_actions, num_states))
    np.add.at(counts, (s, a, s2), 1)
    visits = counts.sum(-1)
    assert visits.min() > 20
    model = counts / visits[..., None]
    return data, model, reward, visits / visits.sum(-1, keepdims=True)


def solve(model, reward, gamma, backup):
    """V by iterating v <- backup(q)."""
    v = np.zeros(len(reward))
    for _ in range(500):
        v = backup(reward + gamma * model @ v)
    return v


def test_expectiles_span_the_behaviours_value_and_the_optimal_one():
    data, model, reward, behaviour = empirical_mdp()
    gamma = 0.8
    v_behaviour = solve(model, reward, gamma, lambda q: (behaviour * q).sum(-1))
    v_optimal = solve(model, reward, gamma, lambda q: q.max(-1))
    spread = np.mean(v_optimal - v_behaviour)
    assert spread > 0.3
    spec = Spec(len(reward), reward.shape[1], discrete=True)
    data = jax.tree.map(jnp.asarray, data)
    expectiles = jnp.array([0.5, 0.9, 0.99])

    start = make_state(iql, spec, network={'hidden_sizes': (32,)}, gamma=gamma, target_rate=0.05)

    def learn(expectile):
        state = start.replace(hparams=start.hparams.replace(expectile=expectile))

        def body(state, key):
            # Decaying steps let the stochastic regression settle.
            hparams = state.hparams
            decay = 1 - state.step / 6_000
            rows = jax.random.randint(key, (256,), 0, len(data.reward))
            batch = jax.tree.map(lambda array: array[rows], data)
            state = state.replace(
                hparams=hparams.replace(
                    value_learning_rate=3e-3 * decay, critic_learning_rate=3e-3 * decay
                )
            )
            return iql.update(state, batch), None

        state, _ = jax.lax.scan(body, state, jax.random.split(jax.random.key(0), 6_000))
        return state.value.apply_fn(state.value.params, jnp.eye(spec.observation_size))

    v = np.asarray(optimised(jax.vmap(learn))(expectiles))
    np.testing.assert_allclose(v[0], v_behaviour, atol=0.1 * spread)
    assert np.mean(v[0]) < np.mean(v[1]) < np.mean(v[2])
    np.testing.assert_allclose(v[2], v_optimal, atol=0.15 * spread)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import sac
from data.types import Spec, Transition
from tests.algorithms.helpers import CONTINUOUS, changed, make_state, random_batch

update = jax.jit(sac.update)

NOISE = jax.random.normal(jax.random.key(3), (16, 2))


def state_with_distinct_targets(**hparams):
    state, other = make_state(sac, CONTINUOUS, **hparams), make_state(sac, CONTINUOUS, seed=1)
    return state.replace(target_critic_params=other.critic.params)


def actions_and_log_probs(state, observation, noise):
    """tanh(mu + sigma e) and its log-density with the literal correction, in float64."""
    policy = state.actor.apply_fn(state.actor.params, observation)
    mean, log_std, noise = (np.asarray(a, np.float64) for a in (policy.mean, policy.log_std, noise))
    action = np.tanh(mean + np.exp(log_std) * noise)
    gaussian = -0.5 * noise**2 - log_std - 0.5 * np.log(2 * np.pi)
    return action, np.sum(gaussian - np.log(1 - action**2), axis=-1)


def values(state, params, observation, action):
    action = jnp.asarray(action, jnp.float32)
    return np.asarray(state.critic.apply_fn(params, observation, action), np.float64)


def td_target(state, batch, noise, gamma, temperature):
    action, log_prob = actions_and_log_probs(state, batch.next_observation, noise)
    q = values(state, state.target_critic_params, batch.next_observation, action).min(axis=0)
    reward, ongoing = (np.asarray(a, np.float64) for a in (batch.reward, batch.discount))
    return reward + gamma * ongoing * (q - temperature * log_prob)


def test_critic_loss_is_equation_5():
    state = state_with_distinct_targets(gamma=0.9, initial_temperature=0.3)
    batch = random_batch(CONTINUOUS)
    q = values(state, state.critic.params, batch.observation, batch.action)
    target = td_target(state, batch, NOISE, 0.9, 0.3)
    expected = 0.5 * np.mean((q[0] - target) ** 2) + 0.5 * np.mean((q[1] - target) ** 2)
    loss, metrics = sac.critic_loss(state.critic.params, state, batch, NOISE)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert metrics['td_error'] == pytest.approx(np.abs(q - target).mean(), rel=1e-5)
    assert metrics['q_data'] == pytest.approx(q.min(axis=0).mean(), rel=1e-5)


def test_no_gradient_passes_through_the_target():
    state, batch = make_state(sac, CONTINUOUS), random_batch(CONTINUOUS)
    target = jnp.asarray(td_target(state, batch, NOISE, 0.99, 1.0), jnp.float32)

    def regression(params):
        q = state.critic.apply_fn(params, batch.observation, batch.action)
        return 0.5 * jnp.sum(jnp.mean(jnp.square(q - target), axis=1))

    expected = jax.grad(regression)(state.critic.params)
    gradient = jax.grad(lambda p: sac.critic_loss(p, state, batch, NOISE)[0])(state.critic.params)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_actor_loss_is_equation_9():
    state, batch = state_with_distinct_targets(initial_temperature=0.3), random_batch(CONTINUOUS)
    action, log_prob = actions_and_log_probs(state, batch.observation, NOISE)
    q = values(state, state.critic.params, batch.observation, action).min(axis=0)
    loss, metrics = sac.actor_loss(state.actor.params, state, batch, NOISE)
    assert loss == pytest.approx(np.mean(0.3 * log_prob - q), rel=1e-5)
    assert metrics['entropy'] == pytest.approx(-log_prob.mean(), rel=1e-5)
    assert metrics['q_policy'] == pytest.approx(q.mean(), rel=1e-5)


def test_temperature_loss_is_equation_18():
    state = state_with_distinct_targets(initial_temperature=0.3, target_entropy_per_dimension=-1.5)
    batch = random_batch(CONTINUOUS)
    _, log_prob = actions_and_log_probs(state, batch.observation, NOISE)
    loss, metrics = sac.temperature_loss(state.temperature.params, state, batch, NOISE)
    assert loss == pytest.approx(np.mean(-0.3 * (log_prob - 3.0)), rel=1e-5)
    assert metrics['temperature'] == pytest.approx(0.3, rel=1e-6)
    # d/d(log alpha) of -alpha x is -alpha x itself.
    gradient = jax.grad(lambda p: sac.temperature_loss(p, state, batch, NOISE)[0])
    assert gradient(state.temperature.params) == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize('target, rises', [(0.9, True), (-4.0, False)])
def test_the_temperature_moves_against_the_distance_to_the_target_entropy(target, rises):
    # A new policy's entropy lies between: at most log 2 per dimension.
    state = make_state(sac, CONTINUOUS, target_entropy_per_dimension=target)
    after = update(state, random_batch(CONTINUOUS))
    assert (after.temperature.params > state.temperature.params) == rises


def test_an_update_gives_its_losses_standard_normal_noise():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    after = update(state, batch)
    keys = jax.random.split(jax.random.fold_in(state.key, 0), 3)
    noises = [jax.random.normal(key, batch.action.shape) for key in keys]
    with_critic = state.replace(critic=after.critic)
    with_actor = with_critic.replace(actor=after.actor)
    expected = {
        'critic_loss': sac.critic_loss(state.critic.params, state, batch, noises[0]),
        'actor_loss': sac.actor_loss(state.actor.params, with_critic, batch, noises[1]),
        'temperature_loss': sac.temperature_loss(
            state.temperature.params, with_actor, batch, noises[2]
        ),
    }
    for name, (loss, _) in expected.items():
        assert after.metrics[name] == pytest.approx(float(loss), rel=1e-5)


def test_the_policy_that_acts_is_the_mode():
    state, batch = state_with_distinct_targets(), random_batch(CONTINUOUS)
    action, _ = sac.act(state, (), batch.observation, batch.reward, jax.random.key(0))
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    np.testing.assert_allclose(action, np.tanh(policy.mean), rtol=1e-5, atol=1e-6)


def test_a_one_step_problem_is_solved_at_the_target_entropy():
    spec = Spec(1, 2, discrete=False)
    best = np.array([0.3, -0.2])
    rng = np.random.default_rng(0)
    action = rng.uniform(-1, 1, (2_000, 2)).astype(np.float32)
    data = Transition(
        observation=np.ones((2_000, 1), np.float32),
        action=action,
        reward=-4 * np.sum((action - best) ** 2, axis=-1),
        discount=np.zeros(2_000, np.float32),
        next_observation=np.ones((2_000, 1), np.float32),
    )
    data = jax.tree.map(jnp.asarray, data)
    rates = {f'{name}_learning_rate': 3e-3 for name in ('actor', 'critic', 'temperature')}

    start = make_state(sac, spec, network={'hidden_sizes': (32, 32)}, **rates)

    def learn(initial_temperature):
        temperature = start.temperature.replace(params=jnp.log(initial_temperature))
        state = start.replace(temperature=temperature)

        def body(state, key):
            rows = jax.random.randint(key, (64,), 0, 2_000)
            state = sac.update(state, jax.tree.map(lambda array: array[rows], data))
            return state, state.metrics

        state, metrics = jax.lax.scan(body, state, jax.random.split(jax.random.key(0), 1_500))
        action, _ = sac.act(state, (), data.observation[:1], data.reward[:1], state.key)
        return action[0], jax.tree.map(lambda values: jnp.mean(values[-200:]), metrics)

    # From either side of the temperature at the optimum, a Gaussian of variance alpha / 8.
    temperature = 8 * np.exp(-2) / (2 * np.pi * np.e)
    actions, metrics = jax.jit(jax.vmap(learn))(jnp.array([0.2, 0.02]))
    np.testing.assert_allclose(actions, np.tile(best, (2, 1)), atol=0.1)
    np.testing.assert_allclose(metrics['entropy'], -2, atol=0.2)
    np.testing.assert_allclose(metrics['temperature'], temperature, rtol=0.5)


RLPD = {
    'num_critics': 5, 'num_target_critics': 2, 'layer_norm': True, 'actor_q': 'mean',
    'entropy_in_backup': False, 'fresh_entropy': False, 'policy_delay': 3,
}  # fmt: skip


def rlpd_state(**hparams):
    state, other = (make_state(sac, CONTINUOUS, seed, RLPD, **hparams) for seed in (0, 1))
    return state.replace(target_critic_params=other.critic.params)


def normalised(params, critic, observation, action):
    """Q of one critic with normalised layers, written out in float64."""
    layers = jax.tree.map(lambda each: np.asarray(each[critic], np.float64), params['params']['MLP_0'])
    x = np.concatenate([observation, action], -1).astype(np.float64)
    for layer in range(2):
        dense, norm = layers[f'Linear_{layer}']['Dense_0'], layers[f'LayerNorm_{layer}']
        x = x @ dense['kernel'] + dense['bias']
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        x = np.maximum(x * norm['scale'] + norm['bias'], 0)
    dense = layers['Linear_2']['Dense_0']
    return (x @ dense['kernel'] + dense['bias'])[:, 0]


def test_rlpds_target_is_the_least_of_a_subset_of_normalised_critics_without_entropy():
    """Algorithm 1 of Ball et al. 2023."""
    state, batch = rlpd_state(gamma=0.9, initial_temperature=0.3), random_batch(CONTINUOUS)
    action, _ = actions_and_log_probs(state, batch.next_observation, NOISE)
    target_q = [
        normalised(state.target_critic_params, critic, batch.next_observation, action)
        for critic in (3, 1)
    ]
    reward, ongoing = (np.asarray(a, np.float64) for a in (batch.reward, batch.discount))
    target = reward + 0.9 * ongoing * np.min(target_q, axis=0)
    q = [normalised(state.critic.params, i, batch.observation, batch.action) for i in range(5)]
    expected = np.sum(0.5 * np.mean(np.square(q - target), axis=1))
    subset = jnp.array([3, 1])
    loss, _ = sac.critic_loss(state.critic.params, state, batch, NOISE, subset)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_rlpds_policy_climbs_the_mean_of_all_critics():
    state, batch = rlpd_state(initial_temperature=0.3), random_batch(CONTINUOUS)
    action, log_prob = actions_and_log_probs(state, batch.observation, NOISE)
    q = [normalised(state.critic.params, i, batch.observation, action) for i in range(5)]
    loss, metrics = sac.actor_loss(state.actor.params, state, batch, NOISE)
    assert loss == pytest.approx(np.mean(0.3 * log_prob - np.mean(q, axis=0)), rel=1e-4)
    assert metrics['q_policy'] == pytest.approx(np.mean(np.min(q, axis=0)), rel=1e-4)


def test_an_update_draws_which_critics_make_its_target_and_a_policy_moves_with_the_last():
    state, batch = rlpd_state(), random_batch(CONTINUOUS)
    every = jnp.array([(i, j) for i in range(5) for j in range(i)])

    @jax.jit
    def expected(before, seen, noises):
        def critic_loss(subset):
            return sac.critic_loss(before.critic.params, before, batch, noises[0], subset)[0]

        return jax.vmap(critic_loss)(every), {
            'actor_loss': sac.actor_loss(before.actor.params, seen, batch, noises[1])[0],
            'temperature_loss': sac.temperature_loss(
                before.temperature.params, seen, batch, noises[1]
            )[0],
        }

    before, subsets = state, []
    for step in range(6):
        after = update(before, batch)
        key = jax.random.fold_in(before.key, step)
        noises = [jax.random.normal(each, NOISE.shape) for each in jax.random.split(key, 3)]
        # Whether it moves or not, what the policy's losses were is measured, with the new critics.
        of_subsets, losses = expected(before, before.replace(critic=after.critic), noises)
        (found,) = np.flatnonzero(np.isclose(of_subsets, after.metrics['critic_loss'], rtol=1e-6))
        subsets.append(found)
        for name, loss in losses.items():
            assert after.metrics[name] == pytest.approx(float(loss), rel=1e-4)
        assert changed(before.critic.params, after.critic.params)
        assert changed(before.target_critic_params, after.target_critic_params)
        moved = [changed(getattr(before, name).params, getattr(after, name).params)
                 for name in ('actor', 'temperature')]  # fmt: skip
        assert moved == [step % 3 == 2] * 2
        before = after
    assert len(set(subsets)) > 2

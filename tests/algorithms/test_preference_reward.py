import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

from algorithms import preference_reward
from data.types import SegmentPair, Spec
from tests.algorithms.helpers import CONTINUOUS, DISCRETE, make_state, optimised, random_pairs

SPECS = pytest.mark.parametrize('spec', [CONTINUOUS, DISCRETE], ids=['continuous', 'discrete'])


def logits(rewards, mask) -> np.ndarray:
    """G1 - G2 of rewards (networks, batch, 2, steps), float64."""
    returns = np.sum(np.asarray(rewards, np.float64) * np.asarray(mask), axis=-1)
    return returns[..., 0] - returns[..., 1]


@SPECS
def test_the_loss_is_bradley_and_terrys_cross_entropy(spec):
    state, batch = make_state(preference_reward, spec), random_pairs(spec)
    shape = batch.mask.shape
    rows = [array.reshape(-1, *array.shape[3:]) for array in (batch.observation, batch.action)]
    rewards = preference_reward.rewards_of(state, *rows)
    assert rewards.shape == (3, np.prod(shape)) and np.abs(rewards).max() <= 1
    logit = logits(rewards.reshape(-1, *shape), batch.mask)
    # P[s1 > s2] of eq. 1, and mu.
    first, label = 1 / (1 + np.exp(-logit)), np.asarray(batch.label, np.float64)
    expected = -np.mean(label * np.log(first) + (1 - label) * np.log(1 - first))
    loss, metrics = preference_reward.reward_loss(state.reward.params, state, batch)
    assert loss == pytest.approx(expected, rel=1e-5)
    decided = label != 0.5
    agreed = (logit.mean(axis=0) > 0) == (label == 1)
    assert metrics['agreement'] == pytest.approx(np.mean(agreed[decided]))
    spread = np.asarray(rewards, np.float64).std(axis=0).reshape(shape)
    expected = np.mean(spread[np.asarray(batch.mask)])
    assert metrics['disagreement'] == pytest.approx(expected, rel=1e-4)


def test_the_gradient_is_that_of_the_formula():
    """Of two linear rewards tanh(w o): the errors of the probabilities, times what moves the returns."""
    batch, weights = random_pairs(CONTINUOUS), np.float32([[0.3, -0.2, 0.5, 0.1], [0, 0.4, -0.1, 0.2]])
    state = make_state(preference_reward, CONTINUOUS)
    state = state.replace(
        reward=state.reward.replace(apply_fn=lambda params, o, a: jnp.einsum('no,bo->nb', params, o))
    )
    gradient, _ = jax.grad(preference_reward.reward_loss, has_aux=True)(weights, state, batch)
    observation, mask = np.asarray(batch.observation, np.float64), np.asarray(batch.mask)
    rewards = np.tanh(np.einsum('no,bsko->nbsk', np.float64(weights), observation))
    slope = np.einsum('nbsk,bsko->nbso', (1 - rewards**2) * mask, observation)
    error = scipy.special.expit(logits(rewards, mask)) - np.asarray(batch.label, np.float64)
    expected = np.mean(error[..., None] * (slope[:, :, 0] - slope[:, :, 1]), axis=1) / len(weights)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


@SPECS
def test_what_is_padding_does_not_matter(spec):
    state, batch = make_state(preference_reward, spec), random_pairs(spec)
    hidden = ~np.asarray(batch.mask)[..., None]
    other = batch._replace(observation=jnp.where(hidden, 7.0, batch.observation))
    losses = [
        preference_reward.reward_loss(state.reward.params, state, each)[0] for each in (batch, other)
    ]
    assert losses[0] == losses[1]


def test_a_pair_without_a_better_segment_pulls_the_returns_together():
    state = make_state(preference_reward, DISCRETE)
    batch = random_pairs(DISCRETE)._replace(label=jnp.full(8, 0.5))
    loss, metrics = preference_reward.reward_loss(state.reward.params, state, batch)
    assert loss > np.log(2) and metrics['agreement'] == 0


def test_a_linear_reward_is_recovered_up_to_its_shift():
    """From how often 500 pairs of segments in six states are preferred either way."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(-0.5, 0.5, (6, 3))
    states, actions = rng.integers(6, size=(500, 2, 4)), rng.integers(3, size=(500, 2, 4))
    returns = truth[states, actions].sum(axis=-1)
    batch = SegmentPair(
        observation=jnp.eye(6)[states],
        action=jnp.asarray(actions, jnp.int32),
        mask=jnp.ones(states.shape, bool),
        label=jnp.asarray(scipy.special.expit(returns[:, 0] - returns[:, 1]), jnp.float32),
    )
    network = {'hidden_sizes': (32,), 'num_rewards': 2}
    state = make_state(
        preference_reward, Spec(6, 3, discrete=True), network=network, learning_rate=1e-2
    )
    learn = optimised(
        lambda state: jax.lax.fori_loop(0, 400, lambda _, s: preference_reward.update(s, batch), state)
    )
    where = jnp.repeat(jnp.eye(6), 3, axis=0), jnp.tile(jnp.arange(3, dtype=jnp.int32), 6)
    for found in np.asarray(preference_reward.rewards_of(learn(state), *where)):
        centred = found - found.mean() + truth.mean()
        np.testing.assert_allclose(centred, truth.reshape(-1), atol=0.05)

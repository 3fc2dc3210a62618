import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

from algorithms import cpl
from data.types import SegmentPair, Spec
from tests.algorithms.helpers import CONTINUOUS, DISCRETE, make_state, optimised, random_pairs
from tests.algorithms.tabular import random_problem

SPECS = pytest.mark.parametrize('spec', [CONTINUOUS, DISCRETE], ids=['continuous', 'discrete'])
PLAIN = {'dropout_rate': 0.0}


def log_probs(state, batch) -> np.ndarray:
    """Of the batch's actions, float64 (batch, 2, steps), zero where there is no step."""
    policy = state.actor.apply_fn(state.actor.params, batch.observation)
    action, mask = np.asarray(batch.action), np.asarray(batch.mask)
    if action.dtype == np.int32:
        found = scipy.special.log_softmax(np.asarray(policy.logits, np.float64), axis=-1)
        found = np.take_along_axis(found, action[..., None], axis=-1)[..., 0]
    else:
        found = -np.sum((np.asarray(policy, np.float64) - action) ** 2, axis=-1)
    return found * mask


@SPECS
def test_the_loss_is_contrastive_with_a_bias(spec):
    state = make_state(cpl, spec, network=PLAIN, temperature=0.3, bias=0.4, bc_updates=0.0)
    batch = random_pairs(spec)
    first, second = np.moveaxis(0.3 * log_probs(state, batch).sum(axis=-1), -1, 0)
    label = np.asarray(batch.label, np.float64)
    better = np.exp(first) / (np.exp(first) + np.exp(0.4 * second))
    worse = np.exp(second) / (np.exp(second) + np.exp(0.4 * first))
    expected = -np.mean(label * np.log(better) + (1 - label) * np.log(worse))
    loss, metrics = cpl.actor_loss(state.actor.params, state, batch, jax.random.key(0))
    assert loss == metrics['contrastive'] == pytest.approx(expected, rel=1e-5)
    decided = label != 0.5
    assert metrics['agreement'] == pytest.approx(np.mean((first > second)[decided] == label[decided]))


@SPECS
def test_the_first_updates_clone_all_segments(spec):
    state, batch = make_state(cpl, spec, network=PLAIN, bc_updates=2.0), random_pairs(spec)
    cloning = -log_probs(state, batch).sum() / np.asarray(batch.mask).sum()
    for step, name in ((0, 'cloning'), (1, 'cloning'), (2, 'contrastive')):
        loss, metrics = cpl.actor_loss(
            state.actor.params, state.replace(step=jnp.int32(step)), batch, jax.random.key(0)
        )
        assert loss == metrics[name]
        assert metrics['cloning'] == pytest.approx(cloning, rel=1e-5)


@SPECS
def test_what_is_padding_does_not_matter(spec):
    state, batch = make_state(cpl, spec, network=PLAIN), random_pairs(spec)
    hidden = ~np.asarray(batch.mask)[..., None]
    other = batch._replace(observation=jnp.where(hidden, 7.0, batch.observation))
    losses = [
        cpl.actor_loss(state.actor.params, state, each, jax.random.key(0)) for each in (batch, other)
    ]
    assert losses[0] == losses[1]


def soft_optimum(task, gamma: float, temperature: float) -> np.ndarray:
    """The best policy with entropy in the objective, (S, A), float64: pi* = exp(A* / alpha)."""
    v = np.zeros(len(task.reward))
    for _ in range(300):
        q = task.reward + gamma * v[task.next_state]
        v = temperature * scipy.special.logsumexp(q / temperature, axis=1)
    return np.exp((q - v[:, None]) / temperature)


def test_the_optimal_policy_of_a_table_is_found_up_to_the_temperature():
    """From how often people who regret compare two segments of three steps either way."""
    task, temperature = random_problem(num_states=4, num_actions=3, seed=1), 0.5
    best = soft_optimum(task, 0.9, temperature)
    rng = np.random.default_rng(0)
    states, actions = rng.integers(4, size=(300, 2, 3)), rng.integers(3, size=(300, 2, 3))
    regretless = temperature * np.log(best)[states, actions].sum(axis=-1)
    batch = SegmentPair(
        observation=jnp.eye(4)[states],
        action=jnp.asarray(actions, jnp.int32),
        mask=jnp.ones(states.shape, bool),
        label=jnp.asarray(scipy.special.expit(regretless[:, 0] - regretless[:, 1]), jnp.float32),
    )
    state = make_state(
        cpl, Spec(4, 3, discrete=True), network=PLAIN | {'hidden_sizes': (32,)},
        temperature=temperature, bias=1.0, bc_updates=0.0, learning_rate=1e-2,
    )  # fmt: skip
    learn = optimised(
        lambda state: jax.lax.fori_loop(0, 800, lambda _, s: cpl.update(s, batch), state)
    )
    policy = learn(state)
    found = jax.nn.softmax(policy.actor.apply_fn(policy.actor.params, jnp.eye(4)).logits)
    np.testing.assert_allclose(found, best, atol=0.03)
    assert np.ptp(best) > 0.2

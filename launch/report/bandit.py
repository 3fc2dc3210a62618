"""What trying policies online is worth: a bandit pulls them, and the best so far is deployed.

Jackson et al. 2025, "A Clean Slate for Offline RL" (https://arxiv.org/abs/2504.11453). The policies of a
sweep are arms, and pull t = 1, 2, ... runs one episode of the arm with the highest

    m_i + sqrt(alpha log t / n_i)

where m_i is the mean of the n_i scores that arm i has given so far; arms without any come first. After
every pull the arm with the highest m_i is the one that would be deployed, and what counts is its true
score: the mean of all its episodes, most of which the bandit has not seen.

As in the authors' code, alpha = 2, and what it weighs is added to normalised scores (random 0, expert
100), on which it is a point or two: once each arm has had its pull the bandit goes mostly by the means,
and seldom comes back to a good policy whose first episode failed. There an arm without a pull has the
mean 0, and is deployed before arms with negative scores; here only an arm that was tried is deployed,
and of several with the highest value either choice takes any.
"""

from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

ALPHA = 2.0


class Trial(NamedTuple):
    """Policies by their indices, int32 (..., pulls).

    Attributes:
        pulled: whose episode each pull was.
        deployed: whose mean was the highest after it.
    """

    pulled: jax.Array
    deployed: jax.Array


def expected_scores(
    scores: np.ndarray, num_pulls: int, num_policies: int, num_trials: int, seed: int
) -> np.ndarray:
    """True scores of the policy that would be deployed after each pull, float64 (trials, pulls).

    Args:
        scores: of every policy's episodes, finite, (policies, episodes).
        num_pulls: of a trial.
        num_policies: drawn for a trial without replacement; all, if there are no more.
        num_trials: independent ones.
        seed: of all that chance decides.
    """
    chex.assert_rank(scores, 2)
    chex.assert_tree_all_finite(scores)
    tried = trials(
        jnp.asarray(scores, jnp.float32), jax.random.key(seed), num_pulls,
        min(num_policies, len(scores)), num_trials,
    )  # fmt: skip
    return np.asarray(scores, np.float64).mean(axis=1)[np.asarray(tried.deployed)]


@partial(jax.jit, static_argnames=('num_pulls', 'num_policies', 'num_trials'))
def trials(
    scores: jax.Array, key: jax.Array, num_pulls: int, num_policies: int, num_trials: int
) -> Trial:
    """Independent trials, (trials, pulls), each of so many of the policies, drawn without replacement.

    `scores` are as in `expected_scores`.
    """

    def one(key):
        of_arms, of_pulls = jax.random.split(key)
        arms = jax.random.choice(of_arms, len(scores), (num_policies,), replace=False)
        return trial(scores, arms, of_pulls, num_pulls)

    return jax.vmap(one)(jax.random.split(key, num_trials))


def trial(scores: jax.Array, arms: jax.Array, key: jax.Array, num_pulls: int) -> Trial:
    """So many pulls.

    Args:
        scores: of every policy's episodes, (policies, episodes).
        arms: the policies that may be tried, int32 (arms,).
        key: of what chance decides.
        num_pulls: in all.
    """
    chex.assert_rank([scores, arms], [2, 1])

    def pull(tried, at):
        means, counts = tried
        t, key = at
        of_arm, of_episode, of_best = jax.random.split(key, 3)
        bonus = jnp.sqrt(ALPHA * jnp.log(t) / jnp.maximum(counts, 1))
        arm = _highest(of_arm, jnp.where(counts > 0, means + bonus, jnp.inf))
        episode = jax.random.randint(of_episode, (), 0, scores.shape[1])
        counts = counts.at[arm].add(1)
        # So that the mean of equal scores is that score.
        means = means.at[arm].add((scores[arms[arm], episode] - means[arm]) / counts[arm])
        best = _highest(of_best, jnp.where(counts > 0, means, -jnp.inf))
        return (means, counts), Trial(arms[arm], arms[best])

    untried = jnp.zeros(len(arms)), jnp.zeros(len(arms), jnp.int32)
    at = jnp.arange(1, num_pulls + 1), jax.random.split(key, num_pulls)
    return jax.lax.scan(pull, untried, at)[1]


def _highest(key: jax.Array, values: jax.Array) -> jax.Array:
    """The index of the highest value, of several any."""
    lots = jax.random.uniform(key, values.shape)
    return jnp.argmax(jnp.where(values == values.max(), lots, -1.0))

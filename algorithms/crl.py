"""Contrastive RL  (Eysenbach, Zhang, Levine & Salakhutdinov 2022, https://arxiv.org/abs/2206.07568).

Which goals does an action lead to? Those that the data reach after it are told from those that they
reach after other actions: a classification, without rewards and without bootstrapping. The logit of
the classifier, f(s, a, g), is then log p(g | s, a) / p(g) but for a constant, p(g | s, a) being how
often, discounted, the behaviour comes by g after a. Among the actions in s that of the largest f is the
one that most likely leads to g.

    f(s, a, g) = phi(s, a)^T psi(g) / sqrt(d)                                             (section 4)
    L_f(theta) = -E[ log sigma(f(s, a, g+)) + log(1 - sigma(f(s, a, g-))) ]          (section 4, NCE)
    L_pi(phi)  = -E[ f(s, pi(s, g), g) ] / E[ |f| ] - alpha E[ log pi(a | s, g) ]       (section 4.4)

g+ is a state of the same episode, ahead of s by a geometric distribution of 1 - gamma; g- are those of
all others in the batch, of which the loss has every pair. This file follows OGBench's code
(seohongpark/ogbench, impls/agents/crl.py): two classifiers, whose smaller logit the policy maximises,
DDPG with a cloning term; pi is a Gaussian of standard deviation 1, of which f sees the mean, clipped
to the box; its goals are uniformly from the rest of the episode; no gradient through E[|f|]; L_f is the
mean over all pairs, of which far more are of g- than of g+. phi and psi normalise their layers after
the activation, which is gelu everywhere. Both losses see the parameters that an update finds. Other
than there, weights start uniform in +-1/sqrt(fan-in).
"""

from typing import Annotated

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import GoalTransition, Spec
from networks.goals import ActionGoalVectors, product, products
from networks.optimization import adam, descend
from networks.policies import UnitGaussianPolicy
from networks.values import ensemble

NAME = 'CRL'
ACTIONS = ('continuous',)
BATCH = GoalTransition
METRICS = (
    'critic_loss', 'actor_loss', 'logit_reached', 'logit_others', 'accuracy', 'q_policy',
    'log_prob',
)  # fmt: skip
NETWORK = {
    'hidden_sizes': 'tuple of int [1, 1e5]',
    'vector_size': 'int [1, 1e5]',  # d, of phi and psi
    'num_critics': 'int [1, 1e4]',
    'layer_norm': 'bool',  # of phi and psi
}


class Hyperparameters(struct.PyTreeNode):
    gamma: Annotated[jax.Array, '[0, 1]']  # of the geometric distribution of reached goals
    cloning_weight: Annotated[jax.Array, '[0, inf)']  # alpha
    actor_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's
    critic_learning_rate: Annotated[jax.Array, '[0, inf)']  # Adam's


class CRLState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    critic: TrainState
    metrics: dict[str, jax.Array]


def init(key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict) -> CRLState:
    """NETWORK says what it reads of `config`."""
    key, actor_key, critic_key = jax.random.split(key, 3)
    observation, action = jnp.zeros((1, spec.observation_size)), jnp.zeros((1, spec.action_size))
    policy = UnitGaussianPolicy(config.hidden_sizes, spec.action_size)
    vectors = ensemble(ActionGoalVectors, config.num_critics)(
        config.hidden_sizes, config.vector_size, 'after' if config.layer_norm else ''
    )
    return CRLState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(policy.apply, policy.init(actor_key, observation)),
        critic=adam(vectors.apply, vectors.init(critic_key, observation, action)),
        metrics={name: jnp.zeros(()) for name in METRICS},
    )


def critic_loss(params, state: CRLState, batch: GoalTransition) -> tuple[jax.Array, dict]:
    """Each item's own goal told from those of all others  (NCE), averaged over pairs and critics."""
    phi, psi = state.critic.apply_fn(params, batch.observation, batch.action)
    logit = products(phi, psi)
    chex.assert_shape(logit, (len(phi), *2 * batch.reward.shape))
    own = jnp.eye(logit.shape[-1])
    loss = jnp.mean(optax.sigmoid_binary_cross_entropy(logit, own))
    logit = jnp.mean(logit, axis=0)
    return loss, {
        'critic_loss': loss,
        'logit_reached': jnp.sum(own * logit) / jnp.sum(own),
        'logit_others': jnp.sum((1 - own) * logit) / jnp.sum(1 - own),
        'accuracy': jnp.mean(jnp.argmax(logit, axis=1) == jnp.arange(len(logit))),
    }


def actor_loss(params, state: CRLState, batch: GoalTransition) -> tuple[jax.Array, dict]:
    """The smaller logit of the policy's actions, normalised, and cloning."""
    policy = state.actor.apply_fn(params, batch.actor_observation)
    action = jnp.clip(policy.mode(), -1, 1)
    vectors = state.critic.apply_fn(state.critic.params, batch.actor_observation, action)
    q = jnp.min(product(*vectors), axis=0)
    log_prob = policy.log_prob(batch.action)
    chex.assert_equal_shape((q, log_prob))
    scale = jax.lax.stop_gradient(jnp.mean(jnp.abs(q)) + 1e-6)
    loss = -jnp.mean(q) / scale - state.hparams.cloning_weight * jnp.mean(log_prob)
    return loss, {'actor_loss': loss, 'q_policy': jnp.mean(q), 'log_prob': jnp.mean(log_prob)}


def update(state: CRLState, batch: GoalTransition) -> CRLState:
    """One gradient step of the classifiers and of the policy."""
    hparams = state.hparams
    critic_gradients, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        state.critic.params, state, batch
    )
    actor_gradients, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        state.actor.params, state, batch
    )
    return state.replace(
        step=state.step + 1,
        actor=descend(state.actor, actor_gradients, hparams.actor_learning_rate),
        critic=descend(state.critic, critic_gradients, hparams.critic_learning_rate),
        metrics=critic_metrics | actor_metrics,
    )


def act(state: CRLState, memory: tuple, observation: jax.Array, reward: jax.Array, key: jax.Array):
    """The policy's mean, clipped to the box."""
    policy = state.actor.apply_fn(state.actor.params, observation)
    return jnp.clip(policy.mode(), -1, 1), memory

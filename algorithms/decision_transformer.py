"""Decision Transformer: offline RL as the modelling of sequences.

Chen et al. 2021, "Decision Transformer: Reinforcement Learning via Sequence Modeling",
https://arxiv.org/abs/2106.01345.

A trajectory is a sequence of returns-to-go, observations and actions,

    tau = (R_1, s_1, a_1, R_2, s_2, a_2, ..., R_T, s_T, a_T),    R_t = sum_{t' >= t} r_t'    (section 3)

and a causal transformer predicts each action from the last K triples up to its observation. At test
time it is asked for a return: R_1 is that target, and each reward received is subtracted from it.

    L(theta) = E[ || a_t - pi_theta(R_{<=t}, s_{<=t}, a_{<t}) ||^2 / dim(A) ]           (Algorithm 1)

with cross-entropy in its place for discrete actions; the expectation is over all steps of all windows
in a batch. No values, no bootstrapping: nothing is extrapolated, and nothing is stitched together.

Where paper and code differ, this follows the code that produced the D4RL numbers
(kzl/decision-transformer, gym/): weight decay reaches every parameter, biases, normalisations and
embeddings included; dropout also falls on the embedded tokens; the embeddings of tokens are PyTorch's
linear layers, that of timesteps N(0, 1); the learning rate warms up linearly and stays. Its D4RL runs
have 3 layers: `network.num_layers`. Three small things are ours: the transformer's initialisation is
GPT-2's, smaller on the residual branches, where the code has N(0, 0.02) throughout; one dropout rate
serves everywhere (theirs stays 0.1 on the embedded tokens); and observations are standardised with
1e-3 added to the standard deviations (theirs: 1e-6).
"""

from typing import Annotated, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.train_state import TrainState
from ml_collections import ConfigDict

from data.types import Sequence, Spec
from networks.distributions import Categorical
from networks.gpt2 import GPT2
from networks.mlp import Linear
from networks.optimization import adam

NAME = 'Decision Transformer'
ACTIONS = ('continuous', 'discrete')
BATCH = Sequence
METRICS = ('actor_loss', 'gradient_norm', 'learning_rate')
NETWORK = {
    'context': 'int [1, 1e5]', 'embedding_size': 'int [1, 1e5]', 'num_layers': 'int [1, 1e4]',
    'num_heads': 'int [1, 1e4]', 'dropout_rate': '[0, 1)', 'max_timestep': 'int [1, 1e7]',
}  # fmt: skip


class Hyperparameters(struct.PyTreeNode):
    return_scale: Annotated[jax.Array, '(0, inf)']  # divides returns-to-go before they are embedded
    learning_rate: Annotated[jax.Array, '[0, inf)']  # AdamW's, after the warm-up
    weight_decay: Annotated[jax.Array, '[0, inf)']  # AdamW's
    warmup_updates: Annotated[jax.Array, '[0, inf)']  # the learning rate grows linearly for so many
    max_gradient_norm: Annotated[jax.Array, '(0, inf]']  # longer gradients are shortened to this
    target_return: Annotated[jax.Array, '(-inf, inf)']  # R_1, in the environment's units, of `act`


class DecisionTransformerState(struct.PyTreeNode):
    step: jax.Array
    key: jax.Array
    hparams: Hyperparameters
    actor: TrainState
    metrics: dict[str, jax.Array]
    spec: Spec = struct.field(pytree_node=False)
    context: int = struct.field(pytree_node=False)


def init(
    key: jax.Array, spec: Spec, hparams: Hyperparameters, config: ConfigDict
) -> DecisionTransformerState:
    """NETWORK says what it reads of `config`."""
    key, actor_key = jax.random.split(key)
    model = TrajectoryTransformer(
        spec, config.embedding_size, config.num_layers, config.num_heads, config.dropout_rate,
        config.max_timestep,
    )  # fmt: skip
    window = _window(_empty_memory(spec, 1, config.context))
    return DecisionTransformerState(
        step=jnp.zeros((), jnp.int32),
        key=key,
        hparams=hparams,
        actor=adam(model.apply, model.init(actor_key, window)),
        metrics={name: jnp.zeros(()) for name in METRICS},
        spec=spec,
        context=config.context,
    )


def actor_loss(params, state: DecisionTransformerState, batch: Sequence, key: jax.Array) -> jax.Array:
    """Mean error of the actions predicted, over dimensions and steps; `key` draws the dropout."""
    scaled = batch._replace(return_to_go=batch.return_to_go / state.hparams.return_scale)
    prediction = state.actor.apply_fn(params, scaled, training=True, rngs={'dropout': key})
    if state.spec.discrete:
        error = -Categorical(prediction).log_prob(batch.action)
    else:
        chex.assert_equal_shape((prediction, batch.action))
        error = jnp.mean(jnp.square(prediction - batch.action), axis=-1)
    chex.assert_equal_shape((error, batch.mask))
    return jnp.sum(jnp.where(batch.mask, error, 0.0)) / jnp.sum(batch.mask)


class TrajectoryTransformer(nn.Module):
    """Windows of K steps to what predicts each of their actions, (batch, K, action_size).

    That is the action itself, in (-1, 1), or logits if actions are discrete.
    """

    spec: Spec
    embedding_size: int
    num_layers: int
    num_heads: int
    dropout_rate: float
    max_timestep: int  # later timesteps share the embedding of this one

    @nn.compact
    def __call__(self, batch: Sequence, training: bool = False) -> jax.Array:
        size, steps = self.embedding_size, batch.mask.shape[1]
        action = nn.Embed(self.spec.action_size, size) if self.spec.discrete else Linear(size)
        timesteps = nn.Embed(
            self.max_timestep + 1, size, embedding_init=nn.initializers.normal(1.0)
        )(jnp.minimum(batch.timestep, self.max_timestep))
        triples = [
            Linear(size)(batch.return_to_go[..., None]) + timesteps,
            Linear(size)(batch.observation) + timesteps,
            action(batch.action) + timesteps,
        ]
        tokens = jnp.stack(triples, axis=2).reshape(-1, 3 * steps, size)
        mask = jnp.repeat(batch.mask, 3, axis=1)
        features = GPT2(self.num_layers, self.num_heads, self.dropout_rate, nn.relu)(
            nn.LayerNorm(1e-5)(tokens), mask, training
        )
        # What follows an observation is its action.
        prediction = Linear(self.spec.action_size)(features[:, 1::3])
        return prediction if self.spec.discrete else jnp.tanh(prediction)


def update(state: DecisionTransformerState, batch: Sequence) -> DecisionTransformerState:
    """One step of AdamW on clipped gradients."""
    hparams = state.hparams
    key = jax.random.fold_in(state.key, state.step)
    loss, gradients = jax.value_and_grad(actor_loss)(state.actor.params, state, batch, key)
    norm = optax.tree.norm(gradients)
    shorter = jnp.minimum(1.0, hparams.max_gradient_norm / (norm + 1e-6))
    gradients = jax.tree.map(lambda gradient: shorter * gradient, gradients)
    learning_rate = hparams.learning_rate * jnp.minimum(
        1.0, (state.step + 1) / hparams.warmup_updates
    )
    return state.replace(
        step=state.step + 1,
        actor=_adamw(state.actor, gradients, learning_rate, hparams.weight_decay),
        metrics={'actor_loss': loss, 'gradient_norm': norm, 'learning_rate': learning_rate},
    )


def _adamw(network: TrainState, gradients, learning_rate: jax.Array, decay: jax.Array) -> TrainState:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2) of all parameters."""
    directions, opt_state = network.tx.update(gradients, network.opt_state, network.params)
    params = jax.tree.map(
        lambda param, direction: param - learning_rate * (direction + decay * param),
        network.params, directions,
    )  # fmt: skip
    return network.replace(step=network.step + 1, params=params, opt_state=opt_state)


class Memory(NamedTuple):
    """The last K steps of each environment, the newest one last.

    Attributes:
        observation, action, return_to_go: (environments, K, ...); actions not taken yet are zeros.
        steps: int32 (environments,), steps taken in the episode.
    """

    observation: jax.Array
    action: jax.Array
    return_to_go: jax.Array
    steps: jax.Array


def _empty_memory(spec: Spec, num_envs: int, context: int) -> Memory:
    action = jnp.zeros((num_envs, context, spec.action_size))
    if spec.discrete:
        action = jnp.zeros((num_envs, context), jnp.int32)
    return Memory(
        observation=jnp.zeros((num_envs, context, spec.observation_size)),
        action=action,
        return_to_go=jnp.zeros((num_envs, context)),
        steps=jnp.zeros(num_envs, jnp.int32),
    )


def _window(memory: Memory) -> Sequence:
    """The context as a batch of windows, whose last step is the newest."""
    context = memory.return_to_go.shape[1]
    timestep = memory.steps[:, None] - context + jnp.arange(context)
    return Sequence(
        observation=memory.observation,
        action=memory.action,
        return_to_go=memory.return_to_go,
        timestep=jnp.maximum(timestep, 0),
        mask=timestep >= 0,
    )


def init_memory(state: DecisionTransformerState, num_envs: int) -> Memory:
    """A context without steps."""
    return _empty_memory(state.spec, num_envs, state.context)


def act(
    state: DecisionTransformerState,
    memory: Memory,
    observation: jax.Array,
    reward: jax.Array,
    key: jax.Array,
) -> tuple[jax.Array, Memory]:
    """The action predicted for the return that is still to come, and the longer context."""
    hparams = state.hparams
    left = memory.return_to_go[:, -1] - reward / hparams.return_scale
    target = hparams.target_return / hparams.return_scale
    memory = Memory(
        observation=_append(memory.observation, observation),
        action=_append(memory.action, jnp.zeros_like(memory.action[:, 0])),
        return_to_go=_append(memory.return_to_go, jnp.where(memory.steps == 0, target, left)),
        steps=memory.steps + 1,
    )
    prediction = state.actor.apply_fn(state.actor.params, _window(memory))[:, -1]
    action = Categorical(prediction).mode() if state.spec.discrete else prediction
    return action, memory._replace(action=memory.action.at[:, -1].set(action))


def _append(rows: jax.Array, new: jax.Array) -> jax.Array:
    return jnp.concatenate([rows[:, 1:], new[:, None]], axis=1)

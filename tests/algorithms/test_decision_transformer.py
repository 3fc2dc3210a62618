import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl import flags
from ml_collections import ConfigDict, config_flags

from algorithms import decision_transformer
from data import sampling, sequences
from data.types import Sequence
from launch.configs import decision_transformer as config_file
from tests.algorithms.helpers import CONTINUOUS, DISCRETE, make_state, optimised, random_windows

NETWORK = {
    'context': 5, 'embedding_size': 16, 'num_layers': 2, 'num_heads': 1, 'dropout_rate': 0.0,
    'max_timestep': 50,
}  # fmt: skip
SPECS = pytest.mark.parametrize('spec', [CONTINUOUS, DISCRETE], ids=['continuous', 'discrete'])


def learner(spec, seed=0, network=None, **hparams):
    hparams = {'target_return': 6.0, 'return_scale': 2.0, 'warmup_updates': 4.0} | hparams
    return make_state(decision_transformer, spec, seed, NETWORK | (network or {}), **hparams)


@jax.jit
def predict(state, batch):
    return state.actor.apply_fn(state.actor.params, batch)


actor_loss = jax.jit(decision_transformer.actor_loss)


@SPECS
def test_the_loss_is_the_mean_error_of_the_steps_that_there_are(spec):
    state, batch = learner(spec), random_windows(spec)
    found = actor_loss(state.actor.params, state, batch, jax.random.key(0))
    scaled = batch._replace(return_to_go=batch.return_to_go / 2.0)
    prediction = np.asarray(predict(state, scaled), np.float64)
    errors = []
    for window, step in np.argwhere(batch.mask):
        action, guess = np.asarray(batch.action[window, step]), prediction[window, step]
        if spec.discrete:
            errors.append(np.log(np.exp(guess).sum()) - guess[action])
        else:
            errors.append(np.mean((guess - action) ** 2))
    assert len(errors) == 6 * 5 - 3
    np.testing.assert_allclose(found, np.mean(errors), rtol=1e-5)


def test_updates_are_adamw_on_clipped_gradients_after_a_warm_up():
    state = learner(CONTINUOUS, max_gradient_norm=0.05, weight_decay=0.1, learning_rate=0.01)
    reference = optax.chain(
        optax.clip_by_global_norm(0.05),
        optax.adamw(lambda count: 0.01 * jnp.minimum(1, (count + 1) / 4), weight_decay=0.1),
    )

    @jax.jit
    def expected(params, opt_state, batch):
        gradients = jax.grad(decision_transformer.actor_loss)(
            params, state, batch, jax.random.key(0)
        )
        changes, opt_state = reference.update(gradients, opt_state, params)
        return optax.apply_updates(params, changes), opt_state

    params, update = state.actor.params, jax.jit(decision_transformer.update)
    opt_state = jax.jit(reference.init)(params)
    for step in range(6):
        batch = random_windows(CONTINUOUS, seed=step)
        params, opt_state = expected(params, opt_state, batch)
        state = update(state, batch)
        assert state.metrics['gradient_norm'] > 0.05
        assert state.metrics['learning_rate'] == pytest.approx(0.01 * min(1, (step + 1) / 4))
    for ours, theirs in zip(jax.tree.leaves(state.actor.params), jax.tree.leaves(params)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@SPECS
@pytest.mark.parametrize('step', range(5))
def test_the_future_changes_no_prediction_bit_for_bit(spec, step):
    state, batch = learner(spec), random_windows(spec)
    other = random_windows(spec, seed=1)
    # Of this step itself, the action comes after its prediction.
    changed = Sequence(
        observation=batch.observation.at[:, step + 1 :].set(other.observation[:, step + 1 :]),
        action=batch.action.at[:, step:].set(other.action[:, step:]),
        return_to_go=batch.return_to_go.at[:, step + 1 :].set(99.0),
        timestep=batch.timestep.at[:, step + 1 :].set(7),
        mask=batch.mask,
    )
    before, after = predict(state, batch), predict(state, changed)
    there = np.asarray(batch.mask)
    past = there & (np.arange(5) <= step)
    np.testing.assert_array_equal(before[past], after[past])
    if step < 4:
        assert not np.any(np.all(before[there & ~past] == after[there & ~past], axis=-1))


@SPECS
def test_what_lies_under_the_padding_does_not_matter(spec):
    state, batch = learner(spec), random_windows(spec)
    hidden = ~batch.mask
    junk = batch._replace(
        observation=jnp.where(hidden[..., None], 1e4, batch.observation),
        return_to_go=jnp.where(hidden, -1e4, batch.return_to_go),
        timestep=jnp.where(hidden, 49, batch.timestep),
        action=jnp.where(hidden.reshape(hidden.shape + (1,) * (batch.action.ndim - 2)), 2, batch.action),
    )
    mask = np.asarray(batch.mask)
    np.testing.assert_array_equal(predict(state, batch)[mask], predict(state, junk)[mask])
    losses = [
        actor_loss(state.actor.params, state, each, jax.random.key(0)) for each in (batch, junk)
    ]
    assert losses[0] == losses[1]


@SPECS
def test_the_rolling_context_acts_like_the_whole_window(spec):
    """Three environments, twelve steps, a context of five."""
    state = learner(spec)
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((12, 3, 4), np.float32)
    rewards = np.vstack([np.zeros((1, 3)), rng.standard_normal((11, 3))]).astype(np.float32)
    memory, act = decision_transformer.init_memory(state, 3), jax.jit(decision_transformer.act)
    actions = []
    for now in range(12):
        action, memory = act(state, memory, observations[now], rewards[now], jax.random.key(0))
        actions.append(np.asarray(action))
        begin = max(0, now - 4)
        to_go = (6.0 - np.cumsum(rewards, axis=0)) / 2.0
        # The action that is asked for is not there yet.
        taken = np.stack([*actions[begin:now], np.zeros_like(actions[0])], axis=1)
        window = Sequence(
            observation=np.moveaxis(observations[begin : now + 1], 0, 1),
            action=taken,
            return_to_go=to_go[begin : now + 1].T,
            timestep=np.tile(np.arange(begin, now + 1), (3, 1)),
            mask=np.ones((3, now + 1 - begin), bool),
        )
        whole = np.asarray(predict(state, window))[:, -1]
        expected = whole.argmax(axis=-1) if spec.discrete else whole
        np.testing.assert_allclose(action, expected, rtol=1e-4, atol=1e-5)
    assert len({tuple(np.ravel(action)) for action in actions}) > 1


def test_it_learns_ten_episodes_by_heart():
    lengths, rng = [20] * 10, np.random.default_rng(0)
    size = sum(lengths)
    ends = np.cumsum(lengths)
    timestep = np.concatenate([np.arange(n) for n in lengths]).astype(np.int32)
    steps = jax.tree.map(jnp.asarray, sequences.Steps(
        observation=rng.standard_normal((size, 4), np.float32),
        action=rng.uniform(-0.9, 0.9, (size, 2)).astype(np.float32),
        return_to_go=rng.random(size, np.float32),
        timestep=timestep,
        remaining=(np.repeat(ends, lengths) - np.arange(size)).astype(np.int32),
    ))  # fmt: skip
    state = learner(
        CONTINUOUS, network={'embedding_size': 32, 'context': 8},
        learning_rate=3e-3, weight_decay=0.0, warmup_updates=50.0, max_gradient_norm=1.0,
    )  # fmt: skip

    @optimised
    def train(state):
        def body(state, _):
            key = sampling.batch_key(0, state.step)
            batch = sampling.sample(
                steps, key, 64, gather=partial(sequences.windows, context=8)
            )
            state = decision_transformer.update(state, batch)
            return state, state.metrics['actor_loss']

        return jax.lax.scan(body, state, length=800)

    _, losses = train(state)
    assert losses[-20:].mean() < 0.01 * losses[0]


def parsed(*arguments) -> ConfigDict:
    """The config of a command line, by the way that every program reads it."""
    arguments = ['program', f'--config={config_file.__file__}:mujoco', *arguments]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file('config', flag_values=values, sys_argv=arguments)
    values(arguments)
    return values.config


@pytest.mark.parametrize('dataset, targets', [
    ('local/hopper/medium-v0', (3600.0, 1800.0)),
    ('local/halfcheetah/medium-v0', (12000.0, 6000.0)),
    ('mujoco/walker2d/expert-v0', (5000.0, 2500.0)),
    ('D4RL/hopper-medium-v2', (3600.0, 1800.0)),
    ('mujoco/ant/expert-v0', ()),
])  # fmt: skip
def test_targets_are_those_of_the_datasets_body(dataset, targets):
    assert parsed(f'--config.dataset={dataset}').target_returns == targets
    config = config_file.get_config('mujoco')
    config.dataset = dataset
    assert config.target_returns == config.to_dict()['target_returns'] == targets
    assert json.loads(config.to_json_best_effort())['target_returns'] == list(targets)
    assert ConfigDict(config) == config.copy_and_resolve_references() == config


@pytest.mark.parametrize('order', [1, -1])
def test_targets_of_the_command_line_replace_them(order):
    arguments = ('--config.dataset=mujoco/ant/expert-v0', '--config.target_returns=(100.0,)')
    config = parsed(*arguments[::order])
    assert (config.dataset, config.target_returns) == ('mujoco/ant/expert-v0', (100.0,))


def test_targets_that_are_set_stay_and_leave_the_dataset_alone():
    assigned, updated = (config_file.get_config('mujoco') for _ in range(2))
    assigned.target_returns = (1.0,)
    updated.update_from_flattened_dict({'target_returns': (1.0,)})
    for config in (assigned, updated):
        assert config.dataset == 'local/hopper/medium-v0'
        config.dataset = 'local/halfcheetah/medium-v0'
        assert config.target_returns == (1.0,)

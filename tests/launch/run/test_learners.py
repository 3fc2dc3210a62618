import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import ALGORITHMS
from data import batches, sampling
from data.problem import Preprocessing
from data.types import NextActionTransition, ReturnTransition, Spec
from launch.run import feeds, learners, mapping, speed
from tests.data.helpers import problem
from tests.launch.helpers import learner_of, small_config

SPECS = [Spec(4, 2, discrete=False), Spec(4, 3, discrete=True)]


def build(algorithm, spec, preprocessing=None, **values):
    config = small_config('', algorithm, **values)
    task = problem(spec)
    if preprocessing is not None:
        task = task._replace(preprocessing=preprocessing)
    return learner_of(config, task), config


def train(learner, spec, updates=30):
    data = speed.random_data(learner.form, spec, 500)
    return trained(learner, learner.init(), data, updates)


def trained(learner, states, data, updates, alive=None):
    placed = learners.place(data, learner.mesh)
    return learner.train_on_device(states, placed, updates, alive, measured=False)


def leaves(states, member):
    data = jax.tree.map(
        lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x,
        states,
    )
    return [np.asarray(leaf)[member] for leaf in jax.tree.leaves(data)]


def assert_members_equal(states, member, others, other, rtol=1e-4, atol=1e-5):
    for a, b in zip(leaves(states, member), leaves(others, other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


# What is trained as a transition or as a window, and either kind of actions.
@pytest.mark.parametrize(
    ('algorithm', 'spec'), [('iql', SPECS[0]), ('decision_transformer', SPECS[1])], ids=['iql', 'dt']
)
def test_members_over_two_devices_equal_single_runs_and_those_fed_from_the_host(algorithm, spec):
    assert len(jax.local_devices()) == 2
    learner, config = build(algorithm, spec, num_seeds=3)
    assert list(learner.seeds) == [0, 1, 2, 2]
    states = train(learner, spec, updates=12)
    assert len(states.step.sharding.device_set) == 2
    assert_members_equal(states, 2, states, 3, rtol=0, atol=0)

    alone, _ = build(algorithm, spec, seed=1)
    assert_members_equal(states, 1, train(alone, spec, updates=12), 0)

    fed, data = learner.init(), speed.random_data(learner.form, spec, 500)
    for each in sampling.host_batches(
        data, learner.seeds, config.batch_size, (0, 4, 8), 4, batches.gatherer(learner.form)
    ):
        fed = learner.train_on_batches(fed, each, 0, 4, measured=False)
    for member in range(3):
        assert_members_equal(states, member, fed, member, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('on_cpu', [True, False], ids=['one after another', 'side by side'])
def test_members_learn_the_same_from_data_that_lie_in_parts(on_cpu, monkeypatch):
    """Bit for bit, and also where a device has nobody who is alive."""
    monkeypatch.setattr('launch.run.mapping.on_cpu', lambda mesh: on_cpu)
    spec, alive = SPECS[0], np.array([0, 0, 1, 1], bool)
    learner, config = build('bc', spec, num_seeds=4)
    data, carry = speed.random_data(learner.form, spec, 501), {}
    for where in ('device', 'split'):
        advance = feeds.of(where, learner, data, config.batch_size)
        states = advance({'states': learner.init()}, 0, 3, np.ones(4, bool), lambda _: 0.0)[0]
        carry[where], _ = advance(states, 3, 3, alive, lambda _: 0.0)
    for member in range(4):
        one, other = carry['device']['states'], carry['split']['states']
        assert one.step[member] == (6 if alive[member] else 3)
        assert_members_equal(one, member, other, member, rtol=0, atol=0)


def test_the_pieces_that_updates_are_made_in_change_nothing():
    """Not even a bit, nor do those whose metrics are not measured, but for the metrics."""
    spec = SPECS[0]
    learner, _ = build('iql', spec, num_seeds=2)
    data = learners.place(speed.random_data(learner.form, spec, 500), learner.mesh)
    states = learner.init()
    for updates in (1, 7, 3):
        states = learner.train_on_device(states, data, updates, measured=False)
    assert not any(np.any(each) for each in states.metrics.values())
    states = learner.train_on_device(states, data, 1)
    whole = learner.train_on_device(learner.init(), data, 12)
    assert all(np.all(each) for each in whole.metrics.values())
    for member in range(2):
        assert_members_equal(states, member, whole, member, rtol=0, atol=0)


def test_an_absurd_learning_rate_ruins_its_own_member_only():
    values = {'sweep.critic_learning_rate': (3e-4, 1e30)}
    spec = SPECS[0]
    states = train(build('iql', spec, **values)[0], spec)
    assert list(learners.all_finite(states, 2)) == [True, False]
    alone = train(build('iql', spec)[0], spec)
    assert_members_equal(states, 0, alone, 0)


@pytest.mark.parametrize('on_cpu', [True, False], ids=['one after another', 'side by side'])
def test_members_that_are_not_alive_stay_as_they_are_and_change_nobody(on_cpu, monkeypatch):
    """Eight over two devices; the first device has one that is alive, the second two."""
    monkeypatch.setattr('launch.run.mapping.on_cpu', lambda mesh: on_cpu)
    spec, alive = SPECS[0], np.array([0, 0, 1, 0, 1, 0, 0, 1], bool)
    learner, config = build('bc', spec, num_seeds=8)
    assert mapping.width(alive, learner.mesh) == (4 if on_cpu else 2)
    data = speed.random_data(learner.form, spec, 500)
    begun, every = learner.init(), trained(learner, learner.init(), data, 12)
    some = trained(learner, learner.init(), data, 12, alive)
    fed, = (learner.train_on_batches(learner.init(), each, 0, 12, alive, False) for each in
            sampling.host_batches(data, learner.seeds, config.batch_size, [0], 12))  # fmt: skip
    for member in range(8):
        expected = every if alive[member] else begun
        rtol, atol = (0, 0) if on_cpu or not alive[member] else (1e-5, 1e-6)
        assert_members_equal(some, member, expected, member, rtol, atol)
        assert_members_equal(fed, member, expected, member, max(rtol, 1e-6), 1e-6)


@pytest.mark.parametrize(
    ('alive', 'width'),
    [([1] * 6, 3), ([1, 1, 0, 1, 0, 0], 3), ([1, 0, 0, 1, 0, 0], 1), ([0] * 6, 0)],
)
def test_the_width_halves_as_members_diverge(alive, width, monkeypatch):
    mesh = learners.make_mesh(6)
    assert mapping.width(np.array(alive, bool), mesh) == 3
    monkeypatch.setattr('launch.run.mapping.on_cpu', lambda mesh: False)
    assert mapping.width(np.array(alive, bool), mesh) == width


def test_observations_and_rewards_are_preprocessed_in_training_and_acting():
    spec = SPECS[0]
    maps = Preprocessing(
        jnp.array([1.0, -2, 0, 3]), jnp.array([2.0, 1, 0.5, 4]), jnp.float32(3), jnp.float32(-1)
    )
    raw = speed.random_transitions(spec, 500)
    learner, _ = build('iql', spec, preprocessing=maps)
    states = trained(learner, learner.init(), raw, 20)
    plain, _ = build('iql', spec)
    expected = trained(plain, plain.init(), maps.transition(raw), 20)
    assert_members_equal(states, 0, expected, 0)

    observation = raw.observation[:5][None]
    keys, rewards = learner.keys(), np.zeros((1, 5))
    action, _ = learner.act(states, (), observation, rewards, keys, 0)
    mapped, _ = plain.act(states, (), np.asarray(maps.observation(observation)), rewards, keys, 0)
    np.testing.assert_allclose(action, mapped, atol=1e-6)


@pytest.mark.parametrize(
    ('kind', 'n_step', 'chunk'), [(ReturnTransition, 1, 1), (NextActionTransition, 5, 2)]
)
def test_batches_are_the_same_wherever_the_data_lie(kind, n_step, chunk, monkeypatch):
    """A sum over all that is in the last of four batches, for three members."""
    algorithm = ALGORITHMS['td3_bc']

    def update(state, batch):
        fields = [field.ravel() for field in batch]
        total = sum(jnp.sum(field * jnp.sin(1 + jnp.arange(field.size))) for field in fields)
        return state.replace(step=state.step + 1, metrics=dict.fromkeys(state.metrics, total))

    monkeypatch.setattr(algorithm, 'update', update)
    monkeypatch.setattr(algorithm, 'BATCH', kind, raising=False)
    gammas = {'sweep.gamma': (0.3, 0.6, 0.9)} if n_step > 1 else {'num_seeds': 3}
    learner, config = build('td3_bc', SPECS[0], n_step=n_step, chunk=chunk, **gammas)
    data, found = speed.random_data(learner.form, SPECS[0], 2_001), []
    for where in ('device', 'split', 'host'):
        advance = feeds.of(where, learner, data, config.batch_size)
        carry, _ = advance({'states': learner.init()}, 0, 4, np.ones(3, bool), lambda _: 0.0)
        found.append(carry['states'].metrics['critic_loss'][:3])
    assert len(set(map(float, found[0]))) == 3
    np.testing.assert_allclose(found[1:], found[:1] * 2, rtol=1e-5)


def test_targets_over_n_steps_have_the_discount_of_their_member(monkeypatch):
    algorithm = ALGORITHMS['td3_bc']

    def update(state, batch):
        metrics = dict.fromkeys(state.metrics, jnp.sum(batch.reward))
        return state.replace(step=state.step + 1, metrics=metrics)

    monkeypatch.setattr(algorithm, 'update', update)
    gammas = (0.3, 0.9)
    learner, config = build('td3_bc', SPECS[0], n_step=4, **{'sweep.gamma': gammas})
    data = speed.random_data(learner.form, SPECS[0], 2_000)
    states = learner.train_on_device(learner.init(), learners.place(data, learner.mesh), 1)
    rows = sampling.sample_indices(sampling.batch_key(0, 0), 2_000, config.batch_size)
    for gamma, found in zip(gammas, states.metrics['critic_loss'], strict=True):
        # Episodes have 1,000 steps.
        expected = [
            gamma**k * data.steps.reward[row + k]
            for row in np.asarray(rows) for k in range(4) if row // 1_000 == (row + k) // 1_000
        ]  # fmt: skip
        np.testing.assert_allclose(found, np.sum(expected, dtype=np.float64), rtol=1e-4)

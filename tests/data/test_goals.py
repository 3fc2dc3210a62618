"""Relabelled goals: where they are from, how often, and what a batch makes of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from scipy import stats

from data import batches, goals, sampling, splitting
from data.batches import Form
from data.goals import Goals
from data.problem import Preprocessing, identity
from data.types import GoalTransition, SubgoalTransition, Transition
from tests.data.test_transforms import dataset

LENGTHS = [3, 1, 7, 5]
STEPS = sum(LENGTHS)
FINAL = np.repeat(np.cumsum(LENGTHS) - 1, LENGTHS)
MIXED = Goals('geometric', current=0.2, random=0.3, actor_random=0.4, gamma=0.8)
FORMS = {
    'one goal': Form(goals=MIXED),
    'two goals': Form(GoalTransition, goals=MIXED._replace(future='uniform')),
    'subgoals': Form(SubgoalTransition, goals=MIXED, subgoal_steps=2),
}
forms = pytest.mark.parametrize('form', FORMS.values(), ids=FORMS)
SPLIT = PartitionSpec('member')


def log():
    """Four episodes; a state's second number is that of its step. One terminates, rewards are noise."""
    made = dataset([0.0] * 4, LENGTHS)
    made.transitions.discount[10] = 0
    made.transitions.reward[:] = np.random.default_rng(0).standard_normal(STEPS)
    return made


def drawn_from(form, number, seed=0):
    return jax.tree.map(np.asarray, batches.drawer(form)(jax.random.key(seed), STEPS, number))


def batch_of(form, number=4_000, seed=0):
    data = batches.sampled_from(log(), form, 0.9)
    return batches.gatherer(form)(data, drawn_from(form, number, seed))


def numbers(observation, half):
    """The number of the step whose state is in a half of observations [state, goal]."""
    return np.asarray(observation)[:, 1 + 2 * half].astype(int)


@forms
def test_the_host_a_device_and_devices_with_parts_gather_the_same(form):
    data = batches.sampled_from(log(), form, 0.9)
    drawn = jax.tree.map(lambda *each: np.stack(each), drawn_from(form, 32), drawn_from(form, 32, 1))
    gather = batches.gatherer(form)
    expected = gather(data, drawn)
    assert all(isinstance(array, np.ndarray) for array in jax.tree.leaves(expected))
    on_device = jax.jit(gather)(*jax.tree.map(jnp.asarray, (data, drawn)))

    mesh = Mesh(np.array(jax.local_devices()[:2]), ('member',))
    laid = splitting.split(data, NamedSharding(mesh, SPLIT))
    assert batches.count(laid) == batches.count(data) == STEPS
    across = batches.gatherer(form, partial(splitting.rows, num_steps=STEPS, axis='member'))

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(SPLIT, SPLIT), out_specs=SPLIT, check_vma=False)
    def taken(parts, drawn):
        return jax.lax.map(partial(across, parts), drawn)

    for found in (on_device, taken(laid.parts, drawn)):
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@forms
def test_batches_are_a_function_of_seed_and_step_on_host_and_device(form):
    data = batches.sampled_from(log(), form, 0.9)
    gather, draw, seeds = batches.gatherer(form), batches.drawer(form), np.uint32([3, 4])
    options = {'gather': gather, 'num_steps': STEPS, 'draw': draw}
    (two,) = sampling.host_batches(data, seeds, 16, [7], 2, **options)
    (later,) = sampling.host_batches(data, seeds, 16, [8], 1, **options)
    on_device = jax.tree.map(jnp.asarray, data)

    @jax.jit
    def one(seed, step):
        key = sampling.batch_key(seed, step)
        return sampling.sample(on_device, key, 16, STEPS, gather, draw)

    for found, again, alone in zip(two, later, one(4, 8)):
        np.testing.assert_array_equal(found[:, 1], again[:, 0])
        np.testing.assert_array_equal(found[1, 1], alone)
    # Of the steps that a batch without goals has.
    plain = sampling.sample(on_device.steps, sampling.batch_key(4, 8), 16)
    np.testing.assert_array_equal(plain.action, two.action[1, 1])


@pytest.mark.parametrize('future', ['geometric', 'uniform'])
def test_goals_of_the_episode_come_after_the_step_but_for_its_last(future):
    batch = batch_of(Form(goals=Goals(future, gamma=0.8)))
    step, goal = numbers(batch.observation, 0), numbers(batch.observation, 1)
    assert np.all(goal <= FINAL[step])
    np.testing.assert_array_equal(goal == step, step == FINAL[step])
    assert np.all(goal >= np.minimum(step + 1, FINAL[step]))
    # All that there are.
    assert len(set(zip(step, goal))) == sum(max(FINAL[row] - row, 1) for row in range(STEPS))


@forms
def test_a_step_that_is_the_goal_is_rewarded_and_ends_and_no_other(form):
    batch, steps = batch_of(form), log().transitions
    step, goal = numbers(batch.observation, 0), numbers(batch.observation, 1)
    np.testing.assert_array_equal(batch.reward, np.where(step == goal, 0, -1))
    np.testing.assert_array_equal(batch.discount, step != goal)
    np.testing.assert_array_equal(batch.action, steps.action[step])
    np.testing.assert_array_equal(batch.observation[:, :2], steps.observation[step])
    np.testing.assert_array_equal(batch.observation[:, 2:], steps.observation[goal])
    np.testing.assert_array_equal(batch.next_observation[:, :2], steps.next_observation[step])
    np.testing.assert_array_equal(batch.next_observation[:, 2:], steps.observation[goal])
    assert batch.reward.dtype == batch.discount.dtype == np.float32


def placed(future, room, number=100_000, gamma=0.8):
    """How far ahead goals are of a step with so many after it."""
    relabelling = Goals(future, gamma=gamma)
    chosen = goals.draw(jax.random.key(1), 1, number, relabelling, for_actor=False).goal
    step = np.full(number, 5, np.int32)
    return np.asarray(
        goals._placed(jax.tree.map(np.asarray, chosen), step, step + room, future == 'uniform')
    ) - 5  # fmt: skip


@pytest.mark.parametrize('room', [4, 40])
@pytest.mark.parametrize('gamma', [0.8, 0.0])
def test_geometric_goals_are_as_far_as_the_formula_says_cut_at_the_end(room, gamma):
    found = np.bincount(placed('geometric', room, gamma=gamma), minlength=room + 1)
    ahead = np.arange(1, room + 1)
    expected = (1 - gamma) * gamma ** (ahead - 1.0)
    # All that would be beyond the end.
    expected[-1] = gamma ** (room - 1.0)
    assert found[0] == 0 and expected.sum() == pytest.approx(1)
    often = expected * found.sum() > 5
    assert stats.chisquare(
        np.append(found[1:][often], found[1:][~often].sum() + 1e-9),
        found.sum() * np.append(expected[often], expected[~often].sum()) + 1e-9, sum_check=False,
    ).pvalue > 1e-3  # fmt: skip


def test_uniform_goals_are_equally_often_each_step_of_the_rest():
    found = np.bincount(placed('uniform', 7), minlength=8)
    assert found[0] == 0 and stats.chisquare(found[1:]).pvalue > 1e-3


def test_shares_are_those_of_the_config():
    relabelling = Goals('geometric', current=0.2, random=0.3, actor_random=0.4, gamma=0.9)
    number = 100_000
    drawn = goals.draw(jax.random.key(2), 10, number, relabelling, for_actor=True)
    chosen, actor = drawn.goal, drawn.actor_goal
    random = np.asarray(chosen.elsewhere) >= 0
    error = 4 * np.sqrt(0.25 / number)
    assert np.mean(random) == pytest.approx(0.3, abs=error)
    assert np.mean(np.asarray(chosen.ahead) == 0) == pytest.approx(0.2, abs=error)
    assert not np.any(random & (np.asarray(chosen.ahead) == 0))
    assert np.mean(np.asarray(actor.elsewhere) >= 0) == pytest.approx(0.4, abs=error)
    assert np.asarray(actor.ahead).min() > 0
    # Of all steps, whichever the item's is; and the policy's are not the critics'.
    where = np.asarray(chosen.elsewhere)[random]
    assert stats.chisquare(np.bincount(where, minlength=10)).pvalue > 1e-3
    table = np.histogram2d(where, np.asarray(drawn.step)[random], 10)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    both = random & (np.asarray(actor.elsewhere) >= 0)
    same = np.asarray(chosen.elsewhere == actor.elsewhere)[both]
    assert np.mean(same) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ('relabelling', 'where'),
    [(Goals('uniform', current=1.0), 'here'), (Goals('uniform', random=1.0), 'anywhere')],
)
def test_shares_of_one_leave_nothing_to_others(relabelling, where):
    batch = batch_of(Form(goals=relabelling), 400)
    step, goal = numbers(batch.observation, 0), numbers(batch.observation, 1)
    if where == 'here':
        np.testing.assert_array_equal(step, goal)
    else:
        assert set(goal) == set(range(STEPS)) and len(set(zip(step, goal))) > 150


def test_subgoals_are_some_steps_ahead_and_waypoints_not_beyond_the_goal():
    form, steps = FORMS['subgoals'], log().transitions
    batch, drawn = batch_of(form), drawn_from(form, 4_000)
    step, own = numbers(batch.observation, 0), numbers(batch.actor_observation, 1)
    subgoal = np.minimum(step + 2, FINAL[step])
    anywhere = drawn.actor_goal.elsewhere >= 0
    assert 0 < anywhere.mean() < 1
    for name in ('actor_observation', 'subgoal_observation'):
        np.testing.assert_array_equal(numbers(getattr(batch, name), 0), step)
    np.testing.assert_array_equal(numbers(batch.subgoal_observation, 1), subgoal)
    waypoint = np.where(anywhere, subgoal, np.minimum(subgoal, own))
    np.testing.assert_array_equal(batch.waypoint_observation[:, :2], steps.observation[waypoint])
    np.testing.assert_array_equal(numbers(batch.waypoint_observation, 1), own)
    assert np.all(own[~anywhere] <= FINAL[step[~anywhere]])


@forms
def test_states_and_goals_are_standardised_alike(form):
    mean, std = np.float32([1.0, -2.0]), np.float32([2.0, 0.5])
    maps = Preprocessing(np.tile(mean, 2), np.tile(std, 2), np.float32(3), np.float32(0))
    gathered = batch_of(form, 50)
    plain = batches.finished(gathered, form, identity(4), 0.9)
    batch = batches.finished(gathered, form, maps, 0.9)
    assert isinstance(batch, form.kind)
    for name in form.kind._fields:
        before, after = getattr(plain, name), getattr(batch, name)
        if name.endswith('observation'):
            halves = np.split(np.asarray(before), 2, axis=-1)
            expected = np.concatenate([(half - mean) / std for half in halves], axis=-1)
            np.testing.assert_allclose(after, expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(after, 3 * before if name == 'reward' else before)


def test_the_value_of_a_goal_is_by_how_far_it_is():
    """Value iteration on a chain, from relabelled batches alone, whatever the log's rewards."""
    form, gamma = Form(Transition, goals=Goals('geometric', current=0.2, random=0.3, gamma=0.9)), 0.9
    batch = batch_of(form, 6_000)
    step, goal = numbers(batch.observation, 0), numbers(batch.observation, 1)
    following = numbers(batch.next_observation, 0)
    value = np.full((STEPS + 1, STEPS), -1 / (1 - gamma))
    for _ in range(max(LENGTHS)):
        value[step, goal] = batch.reward + gamma * batch.discount * value[following, goal]
    for at in range(STEPS):
        for to in range(at, FINAL[at] + 1):
            expected = -(1 - gamma ** (to - at)) / (1 - gamma)
            assert value[at, to] == pytest.approx(expected, abs=1e-5), (at, to)

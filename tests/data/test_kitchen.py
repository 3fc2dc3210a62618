"""Data of a scripted arm in the Franka kitchen."""

import itertools
import types

import jax
import numpy as np
import pytest

from data import environments, inspection, loading
from data.recipes import chores, kitchen
from tests.data import helpers

pytest.importorskip('gymnasium_robotics')

COMPLETE = ('microwave', 'kettle', 'light switch', 'slide cabinet')
MIXED = ('microwave', 'kettle', 'bottom burner', 'light switch')


def collected(name, size, seed=0):
    return list(kitchen._episodes(None, size, seed, name))


def test_a_seed_determines_the_episodes():
    one, other, again = (collected('complete', 25, seed)[0] for seed in (0, 1, 0))
    fields = [vars(each) for each in (one, again)]
    jax.tree.map(np.testing.assert_array_equal, *fields)
    assert np.any(one.actions != other.actions)
    assert np.any(one.observations['observation'] != other.observations['observation'])


def test_complete_episodes_do_the_four_subtasks_and_end(storage):
    whole, cut = helpers.built('local/kitchen/complete-230-v0').iterate_episodes()
    assert whole.terminations[-1] and 120 < len(whole) <= 230 and len(cut) == 230 - len(whole)
    assert cut.truncations[-1] and not cut.terminations.any()
    for episode in (whole, cut):
        reached = episode.observations['achieved_goal']
        distances = [
            np.linalg.norm(reached[name] - episode.observations['desired_goal'][name], axis=1)
            for name in COMPLETE
        ]
        done = np.maximum.accumulate(np.array(distances) < 0.3, axis=1).sum(axis=0)
        np.testing.assert_array_equal(episode.rewards, np.diff(done))
        np.testing.assert_array_equal(reached['microwave'][:, 0], episode.infos['qpos'][:, 22])
        np.testing.assert_array_equal(reached['kettle'], episode.infos['qpos'][:, 23:30])
        inside = np.abs(episode.actions) < 1
        assert inside.mean() > 0.9 and np.abs(episode.actions).max() <= 1
        noise = (episode.actions - episode.infos['intention'])[inside]
        assert 0.08 < noise.std() < 0.11 and abs(noise.mean()) < 0.02
    assert whole.rewards.sum() == 4

    found = loading.load('local/kitchen/complete-230-v0')
    assert 'no reference scores: returns, no scores' not in inspection.warnings(found)
    faced = found.problem
    assert faced.spec == (59 + 2 * 11, 9, False) and faced.scores == (0.0, 4.0)
    assert environments.time_limit(faced.env_spec) == 280
    assert faced.env_spec.kwargs['tasks_to_complete'] == list(COMPLETE)


def test_what_arms_set_out_to_do():
    rng = np.random.default_rng(0)
    orders = {name: [kitchen._order(name, rng) for _ in range(400)] for name in kitchen._TASKS}
    assert all(tuple(order) == COMPLETE for order in orders['complete'])
    for name, tasks in (('partial', COMPLETE), ('mixed', MIXED)):
        for order in orders[name]:
            assert len(set(order)) == 4 and 'hinge cabinet' not in order[:-1]
        assert {order[0] for order in orders[name]} == set(chores.CHORES) - {'hinge cabinet'}
        share = np.mean([set(order) == set(tasks) for order in orders[name]])
        assert share == 0 if name == 'mixed' else 0.01 < share < 0.06


def test_an_episode_of_mixed_that_does_it_all_by_chance_is_collected_anew(monkeypatch):
    sequences = []

    def episode(name, sequence):
        sequences.append(sequence.entropy)
        return types.SimpleNamespace(terminations=np.array([False, len(sequences) < 3]))

    monkeypatch.setattr(kitchen, '_episode', episode)
    (kept,) = kitchen._block('mixed', 5, 7)
    assert not kept.terminations.any() and sequences == [(5, 7, 0), (5, 7, 1), (5, 7, 2)]
    sequences.clear()
    (kept,) = kitchen._block('partial', 5, 7)
    assert kept.terminations.any() and len(sequences) == 1


def test_a_chore_that_is_not_done_is_tried_again():
    class Arm:
        place = np.full(3, 9.0)
        went = []

        def handle(self, chore):
            return np.zeros(3)

        def done(self, name):
            return len(self.went) >= {'kettle': 140, 'top burner': 150, 'microwave': 160}[name]

        def towards(self, place, chore, closed):
            self.went.append(chore.handle)

    arm = Arm()
    for _ in chores.intentions(arm, ['kettle', 'top burner', 'microwave']):
        pass
    # Three stretches of 40 steps and 15 to leave, 5 until it is done and 15; then nothing is left to do.
    turns = [(handle, len(list(steps))) for handle, steps in itertools.groupby(arm.went)]
    assert turns == [('kettle_site', 155), ('microhandle_site', 20)]


def test_the_hand_goes_where_it_is_sent_and_stays_there():
    env, arm = kitchen._made('complete')
    env.reset(seed=0)
    chore = chores.CHORES['slide cabinet']
    place = np.array([-0.3, 0.4, 2.3])
    far = np.linalg.norm(place - arm.place)
    for step in range(30):
        env.step(arm.towards(place, chore, closed=True))
        if step == 2:
            # No faster than it may, on a way that is nearly straight.
            assert far - 3 * chores._SPEED < np.linalg.norm(place - arm.place) < far - chores._SPEED
    np.testing.assert_allclose(arm.place, place, atol=0.01)
    fingers = env.unwrapped.data.qpos[7:9]
    np.testing.assert_allclose(fingers, 0, atol=0.002)
    held = env.unwrapped.data.site('end_effector').xmat.reshape(3, 3)
    np.testing.assert_allclose(held, chores._held(0.0, 0.0), atol=0.05)
    for pitch, yaw, points in ((-90, 0, (0, 0, -1)), (0, 90, (-1, 0, 0)), (0, -90, (1, 0, 0))):
        axes = chores._held(pitch, yaw)
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
        assert np.linalg.det(axes) == pytest.approx(1)
        np.testing.assert_allclose(axes[:, 2], points, atol=1e-12)

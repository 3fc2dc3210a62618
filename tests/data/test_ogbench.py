"""OGBench's manipulation data, from its environments and experts."""

import minari
import numpy as np
import pytest

from data import environments, inspection, loading, recipes
from data.recipes import ogbench
from data.types import DatasetError

utils = pytest.importorskip('ogbench.utils')

STEPS = 40
# By world: a task, and where its parts are when it is solved.
SOLVED = {
    'cube-single': (2, [(0.5, 0.0, 0.02)], {}, ()),
    'cube-double': (2, [(0.35, 0.1, 0.02), (0.5, 0.1, 0.02)], {}, ()),
    # The cube, two buttons' joints, the drawer and the window.
    'scene': (1, [(0.35, 0.05, 0.02)], {23: -0.16, 24: 0.2}, (1, 1)),
    'puzzle-3x3': (1, [], {}, (1, 1, 0, 1, 0, 1, 0, 1, 1)),
}


def collected(name, size=STEPS, seed=0):
    return list(ogbench._episodes(None, size, seed, name))


@pytest.mark.parametrize('name', SOLVED)
def test_a_seed_determines_the_episodes(name):
    before = np.random.get_state()[1]  # noqa: NPY002
    (one,) = collected(name)
    (other,) = collected(name, seed=1)
    (again,) = collected(name)
    for field in ('observations', 'actions'):
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
        assert np.any(getattr(one, field) != getattr(other, field))
    assert one.infos.keys() == again.infos.keys()
    for key in one.infos:
        np.testing.assert_array_equal(one.infos[key], again.infos[key])
    # Whoever else draws from it is not disturbed.
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize('name', SOLVED)
def test_episodes_hold_what_the_experts_did_and_where(name):
    (episode,) = collected(name)
    assert not episode.rewards.any() and not episode.terminations.any()
    assert episode.truncations.tolist() == [False] * (STEPS - 1) + [True]
    assert episode.actions.shape == episode.infos['oracle_action'].shape == (STEPS, 5)
    # The arm's joints come first, in both.
    np.testing.assert_allclose(episode.observations[:, :6], episode.infos['qpos'][:, :6])
    noise = episode.actions - episode.infos['oracle_action']
    assert 0.01 < np.abs(noise).mean() < 0.2 and np.abs(episode.actions).max() <= 1
    buttons = len(SOLVED[name][3])
    assert ('button_states' in episode.infos) == bool(buttons)
    if buttons:
        # One-hot, beside position and velocity of each; in scene before those of drawer and window.
        end = -4 if name == 'scene' else None
        shown = episode.observations[:, :end][:, -4 * buttons :].reshape(-1, buttons, 4)
        np.testing.assert_array_equal(shown[..., 1], episode.infos['button_states'])


def test_episodes_have_a_thousand_steps_and_are_prefixes_of_larger_datasets(monkeypatch):
    monkeypatch.setattr(ogbench, 'EPISODE_STEPS', 30)
    small, large = collected('cube-single', 40), collected('cube-single', 70)
    assert [len(each) for each in small] == [30, 10] and [len(each) for each in large] == [30, 30, 10]
    np.testing.assert_array_equal(small[0].observations, large[0].observations)
    np.testing.assert_array_equal(small[1].observations, large[1].observations[:11])


def test_a_cube_that_left_the_table_makes_for_another_attempt(monkeypatch):
    def seen(*places):
        qpos = np.zeros((len(places), 25))
        qpos[:, 14:17] = places
        return ogbench._in_sight(qpos)

    assert seen((0.4, 0.0, 0.02), (0.33, -0.35, 0.066))
    assert not seen((0.4, 0.0, 0.02), (0.4, 0.29, 0.02))
    assert not seen((0.33, -0.35, 0.02)) and not seen((0.33, -0.35, 0.1))

    attempts = []
    monkeypatch.setattr(ogbench, '_in_sight', lambda qpos: attempts.append(qpos) or len(attempts) > 1)
    (kept,) = ogbench._block('scene', 0, 3, 0)
    assert len(attempts) == 2 and np.any(attempts[0] != attempts[1])
    np.testing.assert_array_equal(kept.infos['qpos'], attempts[1])


def as_solved(name, episode, steps):
    """The episode with the parts of a task where it wants them, at some of the observations."""
    _, cubes, joints, buttons = SOLVED[name]
    for step in steps:
        for index, place in enumerate(cubes):
            episode.infos['qpos'][step, 14 + 7 * index : 17 + 7 * index] = place
        for joint, place in joints.items():
            episode.infos['qpos'][step, joint] = place
        if buttons:
            episode.infos['button_states'][step] = buttons
    return episode


@pytest.mark.parametrize('name', SOLVED)
def test_transitions_are_relabelled_as_ogbench_does_it(name, tmp_path):
    task, *_ = SOLVED[name]
    episodes = [
        as_solved(name, collected(name)[0], (7, 8, 9, 20)),
        as_solved(name, collected(name, 20, seed=1)[0], (0, 19, 20)),
    ]
    recipe = recipes.RECIPES[f'local/ogbench/{name}-play-task{task}-v0']
    pieces = list(recipe.episodes.relabel(episodes))

    # OGBench's file has an action beside every observation.
    file = {
        'observations': np.concatenate([each.observations for each in episodes]),
        'actions': np.concatenate([np.pad(each.actions, ((0, 1), (0, 0))) for each in episodes]),
        'terminals': np.concatenate([np.arange(len(each) + 1) == len(each) for each in episodes]),
    } | {
        key: np.concatenate([each.infos[key] for each in episodes])
        for key in ('qpos', 'button_states')
        if key in episodes[0].infos
    }
    np.savez(tmp_path / 'data.npz', **file)
    theirs = utils.load_dataset(tmp_path / 'data.npz', add_info=True)
    env = environments.make(recipe.eval_env_spec)
    assert env.unwrapped._reward_task_id == task
    utils.relabel_dataset(recipe.eval_env_spec.id, env, theirs)

    assert sum(map(len, pieces)) == len(theirs['rewards']) == 60
    assert np.flatnonzero(theirs['masks'] == 0).tolist() == [7, 8, 9, 20, 40, 59]
    for ours, field in (
        ([each.observations[:-1] for each in pieces], 'observations'),
        ([each.observations[1:] for each in pieces], 'next_observations'),
        ([each.actions for each in pieces], 'actions'),
        ([each.rewards for each in pieces], 'rewards'),
        ([1.0 - each.terminations for each in pieces], 'masks'),
    ):
        np.testing.assert_array_equal(np.concatenate(ours).astype(np.float32), theirs[field])
    assert theirs['rewards'].min() < 0 and theirs['rewards'].max() == 0
    assert [len(each) for each in pieces] == [8, 1, 1, 11, 19, 1, 19]


def test_a_task_is_made_from_the_play_episodes_of_its_size_and_seed(storage):
    recipes.build('local/ogbench/cube-single-play-task3-20-v0', seed=1)
    play, task = (
        minari.load_dataset(f'local/ogbench/cube-single-play-{name}-v0') for name in ('20', 'task3-20')
    )
    (episode,), (made,) = play.iterate_episodes(), task.iterate_episodes()
    (again,) = collected('cube-single', 20, seed=1)
    np.testing.assert_array_equal(episode.observations, again.observations)
    np.testing.assert_array_equal(episode.observations, made.observations)
    assert not episode.rewards.any() and (made.rewards == -1).all()

    for name, env_id in (('20', 'cube-single'), ('task3-20', 'cube-single-singletask-task3')):
        found = loading.load(f'local/ogbench/cube-single-play-{name}-v0')
        assert 'no reference scores: returns, no scores' not in inspection.warnings(found)
        faced = found.problem
        assert (faced.env_spec.id, environments.time_limit(faced.env_spec)) == (f'{env_id}-v0', 200)
        assert faced.score_by_success and faced.scores is None and faced.spec == (28, 5, False)

    with pytest.raises(DatasetError, match='task2-20-v0 with seed 0 is made from .*play-20.* seed 1'):
        recipes.build('local/ogbench/cube-single-play-task2-20-v0')
    assert not list((storage / 'local/ogbench').glob('cube*task2*'))


def test_ids_of_tasks_have_sizes_and_others_are_refused():
    sized = recipes.resolve('local/ogbench/scene-play-task5-2m-v0')
    assert (sized.size, sized.unit) == (2_000_000, 'steps')
    assert sized.episodes.dataset_id == 'local/ogbench/scene-play-2m-v0'
    assert sized.eval_env_spec.id == 'scene-singletask-task5-v0'
    for wrong in ('cube-single-play-task6', 'cube-single-play-50k-task2', 'cube-triple-play', 'play'):
        with pytest.raises(DatasetError, match='cube-single-play-task5-v0, ') as raised:
            recipes.resolve(f'local/ogbench/{wrong}-v0')
        assert len(str(raised.value).splitlines()) == 1

"""The ant, the mazes that it walks, and the datasets of its journeys."""

import itertools
import json

import gymnasium as gym
import numpy as np
import pytest

from data import environments, recipes
from data.recipes import ants, journeys, ogbench_mazes, pointmaze
from data.recipes.journeys import Plan
from data.types import DatasetError
from tests.data import helpers

D4RL = 'umaze', 'umaze-diverse', 'medium-play', 'medium-diverse', 'large-play', 'large-diverse'


@pytest.fixture(autouse=True)
def few_lanes(monkeypatch):
    monkeypatch.setattr(journeys, '_LANES', 2)
    journeys._worlds.cache_clear()


def turned(angle, vector):
    """A vector of the plane, or a quaternion of which these are (w, z), turned about the vertical."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) @ vector


def test_what_an_ant_sees_does_not_depend_on_its_heading():
    rng = np.random.default_rng(0)
    for angle in rng.uniform(-np.pi, np.pi, 5):
        qpos, qvel, direction = rng.normal(size=15), rng.normal(size=14), rng.normal(size=2)
        qpos[3:7] /= np.linalg.norm(qpos[3:7])
        other, velocity = qpos.copy(), qvel.copy()
        # The product of the rotation by an angle about the vertical with the quaternion.
        other[[3, 6]] = turned(angle / 2, qpos[[3, 6]])
        other[[4, 5]] = turned(angle / 2, qpos[[4, 5]])
        other[:2], velocity[:2] = rng.normal(size=2), turned(angle, qvel[:2])
        seen = ants.in_heading_frame(qpos, qvel, direction)
        again = ants.in_heading_frame(other, velocity, turned(angle, direction))
        np.testing.assert_allclose(again, seen, atol=1e-6)
        assert seen.shape == (28,) and np.linalg.norm(seen[1:4]) == pytest.approx(1.0)
        mirrored = np.concatenate([qpos[:3], -qpos[3:7], qpos[7:]])
        np.testing.assert_allclose(ants.in_heading_frame(mirrored, qvel, direction), seen, atol=1e-6)


def test_an_ant_that_looks_ahead_sees_the_world_as_it_is():
    qpos, qvel = np.arange(15.0), np.arange(14.0)
    qpos[3:7] = 1, 0, 0, 0
    seen = ants.in_heading_frame(qpos, qvel, np.array([0.6, 0.8]))
    np.testing.assert_allclose(seen, [2, 1, 0, 0, *qpos[7:], *qvel, 0.6, 0.8], rtol=1e-6)
    qpos[3:7] = np.sqrt(0.5), 0, 0, np.sqrt(0.5)
    seen = ants.in_heading_frame(qpos, qvel, np.array([0.6, 0.8]))
    # It looks along y: what is ahead is at its x.
    np.testing.assert_allclose(seen[[12, 13, -2, -1]], [1, 0, 0.8, -0.6], atol=1e-6)


def test_an_ant_is_paid_for_its_way_and_ends_on_its_back():
    env = gym.make(environments.ANT_ID)
    assert env.observation_space.shape == (28,) and env.action_space.shape == (8,)
    base, directions = env.unwrapped, set()
    first, _ = env.reset(seed=3)
    np.testing.assert_array_equal(env.reset(seed=3)[0], first)
    for _ in range(205):
        before, direction = base.data.qpos[:2].copy(), base._direction.copy()
        directions.add(tuple(direction))
        *_, reward, terminated, truncated, _ = env.step(np.zeros(8))
        velocity = (base.data.qpos[:2] - before) @ direction / 0.1
        assert reward == pytest.approx(velocity + 0.5) and not (terminated or truncated)
    assert len(directions) == 3
    assert all(np.hypot(*each) == pytest.approx(1) for each in directions)
    qpos = base.data.qpos.copy()
    qpos[2:7] = 0.6, 0, 1, 0, 0
    base.set_state(qpos, base.data.qvel)
    assert ants.upside_down(qpos) and env.step(np.zeros(8))[2]


def test_plans_take_the_shortest_ways():
    """Against distances by squaring the matrix of neighbours, between all pairs of a maze's cells."""
    maze = pointmaze.maze_map('large')
    plan = Plan(maze, lambda cell: np.array(cell, np.float64))
    beside = np.abs(plan.centres[:, None] - plan.centres).sum(axis=2) == 1
    steps = np.where(np.eye(len(beside), dtype=bool), 0.0, np.where(beside, 1.0, np.inf))
    for _ in range(6):
        steps = (steps[:, :, None] + steps).min(axis=1)
    assert np.isfinite(steps).all()
    for here, there in itertools.permutations(range(len(plan.cells)), 2):
        after = plan._after(here, there)
        assert beside[here, after] and steps[after, there] == steps[here, there] - 1


def test_plans_lead_to_the_destination_itself_and_out_of_walls():
    maze = [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    plan = Plan(maze, lambda cell: (4.0 * cell[1], 4.0 * cell[0]))
    np.testing.assert_allclose(plan.direction(np.array([3.0, 4.0]), np.array([9.0, 5.0])), [1, 0])
    np.testing.assert_allclose(plan.direction(np.array([7.0, 5.0]), np.array([9.0, 5.0])), [1, 0])
    # Somebody in the wall is in the cell beside it.
    assert plan.cells[plan.cell(np.array([8.5, 7.5]))] == (1, 2)
    assert np.isfinite(plan.direction(np.array([9.0, 5.0]), np.array([9.0, 5.0]))).all()


@pytest.mark.parametrize('name', D4RL)
def test_d4rls_mazes_begin_and_end_where_d4rls_do(name):
    recipe = recipes.resolve(f'local/antmaze/{name}-v0')
    maze, _, kind = name.partition('-')
    assert (recipe.size, recipe.unit) == (1_000_000, 'steps')
    assert recipe.references() == {'ref_min_score': 0.0, 'ref_max_score': 1.0}
    collecting, judging = (
        np.array(spec.kwargs['maze_map'], object) for spec in (recipe.env_spec, recipe.eval_env_spec)
    )
    assert recipe.eval_env_spec.max_episode_steps == (700 if maze == 'umaze' else 1_000)
    assert np.argwhere(judging == 'r').tolist() == [[1, 1]]
    goal = {'umaze': [3, 1], 'medium': [6, 6], 'large': [7, 9]}[maze]
    assert np.argwhere(judging == 'g').tolist() == np.argwhere(collecting == 'g').tolist() == [goal]
    starts = {'': 1, 'play': 4 if maze == 'medium' else 7, 'diverse': 0}[kind]
    assert (collecting == 'r').sum() == starts
    np.testing.assert_array_equal(judging == 1, np.array(pointmaze.maze_map(maze), object) == 1)


def test_evaluation_begins_at_the_start_and_ends_at_the_goal():
    env = environments.make(recipes.resolve('local/antmaze/umaze-v0').eval_env_spec)
    starts, goals = zip(*(
        (seen['achieved_goal'], seen['desired_goal'])
        for seen in (env.reset(seed=seed)[0] for seed in range(5))
    ))  # fmt: skip
    np.testing.assert_allclose(goals, [[-4, -4]] * 5)
    assert np.abs(np.array(starts) - [-4, 4]).max() <= 0.1 and len(np.unique(starts, axis=0)) == 5
    assert env.observation_space['observation'].shape == (27,) and env.unwrapped.ant_env.dt == 0.1
    data = env.unwrapped.data
    for distance, there in ((0.7, False), (0.2, True)):
        qpos = data.qpos.copy()
        qpos[:2] = -4, -4 + distance
        env.unwrapped.ant_env.set_state(qpos, np.zeros(14))
        _, reward, terminated, truncated, _ = env.step(np.zeros(8))
        assert (reward, terminated, truncated) == (float(there), there, False)


def check_ends_at_the_goal(dataset, goal):
    """Rewards are 1, and episodes terminate, exactly where the ant is at the goal."""
    for episode in dataset.iterate_episodes():
        there = np.linalg.norm(episode.infos['qpos'][1:, :2] - goal, axis=1) <= 0.45
        np.testing.assert_array_equal(episode.rewards, there)
        np.testing.assert_array_equal(episode.terminations, there)
        assert not there[:-1].any() and episode.truncations[-1] == (not there[-1])
        seen = episode.observations
        np.testing.assert_array_equal(
            np.concatenate([seen['achieved_goal'], seen['observation']], axis=1),
            np.concatenate([episode.infos['qpos'], episode.infos['qvel']], axis=1),
        )
        assert np.all(seen['desired_goal'] == goal)
        assert np.all(np.abs(episode.actions) <= 1) and episode.infos['intention'].shape[1] == 8


@pytest.mark.parametrize(('name', 'goal'), [('umaze-600', (-4, -4)), ('medium-play-300', (10, -10))])
def test_ants_journeys_in_d4rls_mazes(storage, monkeypatch, name, goal):
    dataset = helpers.built(f'local/antmaze/{name}-v0')
    check_ends_at_the_goal(dataset, goal)
    assert dataset.total_steps == int(name.rpartition('-')[2])
    noise = np.concatenate([
        (each.actions - each.infos['intention'])[np.abs(each.actions) < 1]
        for each in dataset.iterate_episodes()
    ])  # fmt: skip
    # A little less, because the largest deviations are clipped.
    assert 0.12 < noise.std() < 0.2
    first = helpers.contents(dataset.id)
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(storage / 'again'))
    second = helpers.contents(helpers.built(dataset.id).id)
    assert first.keys() == second.keys()
    for key, values in first.items():
        np.testing.assert_array_equal(values, second[key])


def test_the_ant_that_ships_gets_to_the_goal(storage):
    """What its table says of it: some metres in ten steps, and hardly a fall."""
    row = ants.walker()
    assert row.noisy_speed > 0.1 and row.noisy_falls < 1 and 'DirectionalAnt' in row.command
    episodes = list(helpers.built('local/antmaze/umaze-400-v0').iterate_episodes())
    assert episodes[0].terminations[-1] and 100 < len(episodes[0]) < 300


def test_points_journeys_and_their_tasks(storage):
    """In OGBench's environment, whose resets draw from numpy's global generator."""
    base = helpers.built('local/ogbench/pointmaze-medium-navigate-1500-v0', seed=2)
    assert base.storage.metadata['score_by_success'] is True
    assert json.loads(base.storage.metadata['eval_env_spec'])['id'] == 'pointmaze-medium-v0'
    episodes = list(base.iterate_episodes())
    assert [len(each) for each in episodes] == [1_000, 500]
    for each in episodes:
        assert not each.rewards.any() and not each.terminations.any() and each.truncations[-1]
        moved = np.any(np.diff(each.infos['destination'], axis=0), axis=1)
        # Another destination is drawn where the last one is reached, and only there.
        distance = np.linalg.norm(each.observations[1:] - each.infos['destination'][:-1], axis=1)
        np.testing.assert_array_equal(moved, distance <= 1.0)
        np.testing.assert_allclose(np.linalg.norm(each.infos['intention'], axis=1), 1, rtol=1e-6)
    task = helpers.built('local/ogbench/pointmaze-medium-navigate-task1-1500-v0', seed=2)
    assert json.loads(task.storage.metadata['eval_env_spec'])['id'] == (
        'pointmaze-medium-singletask-task1-v0'
    )
    pieces = list(task.iterate_episodes())
    assert sum(map(len, pieces)) == 1_500
    for each in pieces:
        # The goal of the first task is in row 6, column 6.
        solved = np.linalg.norm(each.observations[:-1] - [20, 20], axis=1) <= 1.0
        np.testing.assert_array_equal(each.rewards, solved - 1.0)
        np.testing.assert_array_equal(each.terminations, solved)


def test_nothing_but_the_seed_decides_where_ogbenchs_ants_go():
    recipe = recipes.resolve('local/ogbench/antmaze-medium-navigate-v0')
    seen = []
    for stranger in (0, 1):
        np.random.seed(stranger)  # noqa: NPY002
        journeys._worlds.cache_clear()
        with environments.make(recipe.env_spec) as env:
            seen.append(next(recipe.episodes(env, 120, 5)))
    first, second = seen
    np.testing.assert_array_equal(first.observations, second.observations)
    np.testing.assert_array_equal(first.actions, second.actions)
    np.testing.assert_array_equal(first.observations[:, :15], first.infos['qpos'])
    assert not first.rewards.any() and first.observations.shape == (121, 29)


def test_destinations_are_where_ways_meet_turn_or_end():
    maze = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 1, 1, 0, 1], [1] * 5])
    passages = [
        cell for cell in zip(*np.where(maze == 0)) if ogbench_mazes._is_passage(maze, cell)
    ]
    assert passages == [(1, 2), (2, 3)]


@pytest.mark.parametrize(
    'name',
    ['antmaze/umaze-play', 'antmaze/huge-play', 'ogbench/antmaze-medium-navigate-task6',
     'ogbench/pointmaze-teleport-navigate', 'antmaze/medium-play-0k'],
)  # fmt: skip
def test_other_mazes_are_refused(storage, name):
    with pytest.raises(DatasetError, match=f'local/{name}-v0.*local/antmaze/medium-play-v0'):
        recipes.build(f'local/{name}-v0')

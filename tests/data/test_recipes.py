import json
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import minari
import numpy as np
import pytest

from data import environments, recipes
from data.recipes import icu_sepsis, pointmaze
from data.recipes.recipe import rollout
from data.recipes.waypoints import WaypointController
from data.types import DatasetError
from tests.data import helpers

SEPSIS = 'local/icu-sepsis/clinician-40-v0'
MAZE = 'local/pointmaze/umaze-1k-v0'


@pytest.fixture(autouse=True)
def quick_references(monkeypatch):
    monkeypatch.setattr(pointmaze, 'REFERENCE_EPISODES', 1)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_sizes_in_ids():
    assert recipes.resolve('local/pointmaze/umaze-v0').size == 1_000_000
    assert recipes.resolve('local/pointmaze/umaze-50k-v0').size == 50_000
    assert recipes.resolve('local/hopper/random-2m-v0').size == 2_000_000
    sized = recipes.resolve('local/icu-sepsis/clinician-2k-v0')
    assert (sized.size, sized.unit) == (2_000, 'episodes')
    assert sized.dataset_id == 'local/icu-sepsis/clinician-2k-v0'


@pytest.mark.parametrize('name', ['local/no/such-v0', 'local/pointmaze/umaze-0k-v0', 'umaze'])
def test_an_unknown_recipe_lists_the_known_ones(storage, name):
    with pytest.raises(DatasetError, match=f'{name}.*local/icu-sepsis/clinician-v0.*hopper/random'):
        recipes.build(name)


@pytest.mark.parametrize(
    'dataset_id', [SEPSIS, MAZE, 'local/crossroads/stitch-40-v0', 'local/hopper/random-200-v0']
)
def test_a_seed_determines_the_data(storage, monkeypatch, dataset_id):
    builds = []
    for directory, seed in (('first', 0), ('second', 0), ('third', 1)):
        monkeypatch.setenv('MINARI_DATASETS_PATH', str(storage / directory))
        helpers.built(dataset_id, seed)
        builds.append(helpers.contents(dataset_id))
    first, second, third = builds
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])
    name = 'episode_0/rewards' if dataset_id == MAZE else 'episode_0/observations'
    assert not np.array_equal(first[name], third[name])


@pytest.mark.parametrize('dataset_id', [SEPSIS, MAZE, 'local/halfcheetah/random-200-v0'])
def test_it_is_an_ordinary_minari_dataset_with_complete_metadata(storage, dataset_id):
    dataset = helpers.built(dataset_id, seed=5)
    recipe = recipes.resolve(dataset_id)
    metadata = dataset.storage.metadata
    assert dataset_id in minari.list_local_datasets()
    assert dataset.env_spec.id == recipe.env_spec.id
    assert dataset._eval_env_spec.kwargs == recipe.eval_env_spec.kwargs
    assert metadata['ref_min_score'] < metadata['ref_max_score']
    assert metadata['seed'] == 5
    assert metadata['data_format'] == 'hdf5'
    for name in ('algorithm_name', 'description', 'author', 'code_permalink', 'requirements'):
        assert metadata[name]
    total = 0
    for episode in dataset.iterate_episodes():
        total += len(episode)
        assert dataset.action_space.contains(episode.actions[0])
        assert episode.terminations[-1] or episode.truncations[-1]
        assert not (episode.terminations[:-1].any() or episode.truncations[:-1].any())
    assert total == dataset.total_steps
    assert recipe.size == (total if recipe.unit == 'steps' else dataset.total_episodes)


def test_a_built_dataset_is_left_alone(storage, monkeypatch):
    recipes.build(SEPSIS)
    monkeypatch.setattr(recipes, '_write', None)
    recipes.build(SEPSIS)


def test_an_exception_leaves_nothing(storage, monkeypatch):
    def interrupted(env, size, seed):
        yield from recipe.episodes(env, 3, seed)
        raise KeyboardInterrupt

    recipe = recipes.RECIPES['local/icu-sepsis/clinician-v0']
    monkeypatch.setitem(recipes.RECIPES, recipe.dataset_id, recipe._replace(episodes=interrupted))
    with pytest.raises(KeyboardInterrupt):
        recipes.build(SEPSIS)
    assert names(storage / 'local' / 'icu-sepsis') == []
    assert not minari.list_local_datasets()


def test_a_killed_build_leaves_no_dataset_and_the_next_one_cleans_up(storage):
    program = f"""
        import time
        from data import recipes

        def stuck(env, size, seed):
            yield from recipe.episodes(env, 3, seed)
            print('writing', flush=True)
            time.sleep(60)

        recipe = recipes.RECIPES['local/icu-sepsis/clinician-v0']
        recipes.RECIPES[recipe.dataset_id] = recipe._replace(episodes=stuck)
        recipes.build({SEPSIS!r})
    """
    command = [sys.executable, '-c', textwrap.dedent(program)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b'writing\n'
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list((storage / 'local' / 'icu-sepsis').glob('.*.unfinished'))
    assert not minari.list_local_datasets()
    assert helpers.built(SEPSIS).total_episodes == 40
    assert names(storage / 'local' / 'icu-sepsis') == ['clinician-40-v0']


def test_of_two_builds_at_once_one_waits_for_the_other(storage, monkeypatch):
    builds = []
    write = recipes._write

    def slow_write(*args):
        builds.append(args)
        time.sleep(0.3)
        write(*args)

    monkeypatch.setattr(recipes, '_write', slow_write)
    with ThreadPoolExecutor() as pool:
        list(pool.map(recipes.build, [SEPSIS, SEPSIS]))
    assert len(builds) == 1
    assert minari.load_dataset(SEPSIS).total_episodes == 40


def test_exact_sepsis_values():
    values = icu_sepsis.reference_values()
    assert values['clinicians'] == pytest.approx(0.7820, abs=1e-4)
    assert values['random'] == pytest.approx(0.0084, abs=1e-4)
    assert values['optimum'] == pytest.approx(0.8751, abs=1e-4)
    assert icu_sepsis.exact_value(icu_sepsis.random_admissible()) == pytest.approx(0.7801, abs=1e-4)


@pytest.mark.parametrize('name', ['clinician', 'random'])
def test_sepsis_logs_are_what_their_policy_does(storage, name):
    dataset = helpers.built(f'local/icu-sepsis/{name}-500-v0', seed=1)
    policy = {'clinician': icu_sepsis.clinicians, 'random': icu_sepsis.random_admissible}[name]()
    centers = environments.sepsis_parameters().state_cluster_centers
    returns = []
    for episode in dataset.iterate_episodes():
        states, actions = episode.infos['state'], episode.actions
        assert icu_sepsis.admissible()[states[:-1], actions].all()
        np.testing.assert_allclose(
            episode.infos['log_prob'], np.log(policy[states[:-1], actions]), atol=1e-12
        )
        np.testing.assert_array_equal(episode.observations, centers[states].astype(np.float32))
        returns.append(episode.rewards.sum())
    error = np.std(returns) / np.sqrt(len(returns))
    assert np.mean(returns) == pytest.approx(icu_sepsis.exact_value(policy), abs=3.5 * error)
    lines = dataset.storage.metadata['reference_lines']
    assert lines == json.loads(json.dumps(icu_sepsis.reference_values()))


def test_random_treatment_is_worth_what_the_linear_system_says():
    recipe = recipes.RECIPES['local/icu-sepsis/random-v0']
    rng = np.random.default_rng(0)
    with environments.make(recipe.eval_env_spec) as env:
        episodes = rollout(env, lambda *_: (rng.integers(25), {}), 5_000, 'episodes', seed=0)
        returns = [episode.rewards.sum() for episode in episodes]
    error = np.std(returns) / np.sqrt(len(returns))
    expected = icu_sepsis.reference_values()['random']
    assert np.mean(returns) == pytest.approx(expected, abs=3.5 * error)


def test_mazes_are_those_of_gymnasium_robotics():
    from gymnasium_robotics.envs.maze import maps

    expected = {'umaze': maps.U_MAZE, 'medium': maps.MEDIUM_MAZE, 'large': maps.LARGE_MAZE}
    for name, maze in expected.items():
        ours = pointmaze.maze_map(name)
        assert [[0 if cell == 'g' else cell for cell in row] for row in ours] == maze
        assert sum(row.count('g') for row in ours) == 1


def test_maze_episodes_pay_at_a_goal_that_the_controller_does_not_seek(storage):
    episodes = list(helpers.built(MAZE).iterate_episodes())
    assert [len(episode) for episode in episodes] == [300, 300, 300, 100]
    goals = set()
    for episode in episodes:
        observations = episode.observations
        assert not episode.terminations.any()
        np.testing.assert_array_equal(episode.truncations, np.arange(len(episode)) + 1 == len(episode))
        distance = np.linalg.norm(
            observations['achieved_goal'] - observations['desired_goal'], axis=1
        )
        np.testing.assert_array_equal(episode.rewards, distance[1:] <= 0.45)
        goal = observations['desired_goal']
        assert (goal == goal[0]).all()
        # The goal's cell is the top left one, whose centre is (-1, 1).
        assert np.abs(goal[0] - [-1, 1]).max() <= 0.25
        goals.add(tuple(goal[0]))
        # It travels, and not to the goal to stay.
        assert np.ptp(observations['achieved_goal'], axis=0).max() > 1
        assert episode.rewards[-100:].mean() < 1
    assert len(goals) == 4


@pytest.mark.parametrize('name', ['umaze', 'medium', 'large'])
def test_the_controller_solves_the_maze(name):
    recipe = recipes.RECIPES[f'local/pointmaze/{name}-v0']
    with environments.make(recipe.eval_env_spec) as env:
        controller = WaypointController(env.unwrapped.maze.maze_map)

        def act(observation, info):
            return controller.act(observation, observation['desired_goal']), {}

        for episode in rollout(env, act, 3, 'episodes', seed=0):
            # It arrives, and stays.
            assert episode.rewards.sum() > 50
            np.testing.assert_array_equal(episode.rewards[-20:], 1)
            assert len(episode) == recipe.eval_env_spec.max_episode_steps

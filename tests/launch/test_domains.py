"""Each domain's config on what Minari itself writes from the domain's environment."""

import json

import gymnasium as gym
import minari
import numpy as np
import pytest

from data import environments, problem
from launch import train
from launch.configs import iql

# Minari's recorder would like to know an author; gymnasium's checker mistrusts the kitchen.
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')

STEPS = 25
SMALL = {
    'num_updates': 20,
    'log_interval': 1,
    'eval_interval': 20,
    'eval_episodes': 2,
    'final_eval_episodes': 2,
    'batch_size': 16,
    'network.hidden_sizes': (16, 16),
}


def collect(env_id, options=None, **kwargs):
    """Three episodes of random actions, by Minari's own recorder; the dataset's id."""
    environments.registered(env_id)
    env = minari.DataCollector(gym.make(env_id, max_episode_steps=STEPS, **kwargs))
    env.action_space.seed(0)
    for seed in range(3):
        env.reset(seed=seed, options=options)
        over = False
        while not over:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            over = terminated or truncated
    dataset_id = 'test/domain-v0'
    env.create_dataset(dataset_id, algorithm_name='random', eval_env=env.env.spec)
    env.close()
    return dataset_id


def trained(domain, dataset_id, path, **changes):
    config = iql.get_config(domain)
    config.update_from_flattened_dict(
        SMALL | {'dataset': dataset_id, 'run_dir': str(path / 'run'), 'normalize_rewards': False}
        | changes
    )
    train.train(config)
    task = problem.load(path / 'run' / 'problem.json')
    return config, task, json.loads((path / 'run' / 'summary.json').read_text())


def test_kitchen_counts_finished_subtasks(storage, tmp_path):
    tasks = ['microwave', 'kettle', 'bottom burner', 'light switch']
    dataset_id = collect('FrankaKitchen-v1', tasks_to_complete=tasks)
    _, task, summary = trained('kitchen', dataset_id, tmp_path)
    # 59 features, and what each subtask shall reach and has reached.
    assert task.spec.observation_size == 59 + 2 * (1 + 7 + 2 + 2)
    assert task.observation_keys[0] == 'achieved_goal/bottom burner'
    assert task.env_spec.kwargs['tasks_to_complete'] == tasks
    assert task.scores == (0.0, 4.0)
    score = summary['settings'][0]['score']['mean']
    assert score == pytest.approx(25 * summary['settings'][0]['return']['mean'])


@pytest.mark.parametrize(
    ('env_id', 'sizes', 'scores'),
    [
        ('AdroitHandDoor-v1', (39, 28), (-56.512833, 2880.5693087298737)),
        ('AdroitHandPen-v1', (45, 24), (96.262799, 3076.8331017826877)),
    ],
)
def test_adroit(storage, tmp_path, env_id, sizes, scores):
    _, task, summary = trained('adroit', collect(env_id), tmp_path)
    assert (task.spec.observation_size, task.spec.action_size) == sizes
    assert task.scores == scores
    assert np.isfinite(summary['settings'][0]['return']['mean'])


def test_antmaze_ends_at_its_goal(storage, tmp_path):
    """Ant and goal share a cell, so that some episodes reach it; Minari's go on after that."""
    together = {'reset_cell': np.array([1, 1]), 'goal_cell': np.array([1, 1])}
    dataset_id = collect('AntMaze_UMaze-v5', options=together)
    whole = minari.load_dataset(dataset_id)
    config, task, _ = trained('antmaze', dataset_id, tmp_path, cut_at_goal=True)
    data = train.load_data(config).learned_from
    for index, episode in enumerate(whole.iterate_episodes()):
        goals = np.flatnonzero(episode.rewards)
        length = goals[0] + 1 if len(goals) else STEPS
        assert data.episode_lengths[index] == length
        end = data.episode_offsets[index + 1] - 1
        assert data.transitions.discount[end] == (0 if len(goals) else 1)
        assert data.truncation[end] == (not len(goals))
    assert 0 < data.episode_returns.sum() < sum(e.rewards.sum() for e in whole.iterate_episodes())
    assert task.scores == (0.0, 1.0)
    # What the algorithm sees: -1 a step, 0 at the goal.
    assert set(np.asarray(task.preprocessing.reward(data.transitions.reward))) == {-1.0, 0.0}
    env = environments.make(task.env_spec)
    endings = []
    for seed in range(10):
        env.reset(seed=seed, options=together)
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample() * 0)
            over = terminated or truncated
        endings.append((reward, terminated))
    assert set(endings) <= {(1.0, True), (0.0, False)} and (1.0, True) in endings

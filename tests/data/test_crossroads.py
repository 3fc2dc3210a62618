import gymnasium as gym
import minari
import numpy as np
import pytest

from data import environments, recipes
from data.recipes import crossroads
from data.types import DatasetError

DATASET = 'local/crossroads/stitch-200-v0'


@pytest.fixture
def episodes(tmp_path, monkeypatch):
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path))
    recipes.build(DATASET)
    return list(minari.load_dataset(DATASET).iterate_episodes())


def cells(episode):
    return episode.observations.argmax(axis=1)


def test_only_parts_of_two_trajectories_make_the_best_way(episodes):
    env = environments.make(recipes.RECIPES['local/crossroads/stitch-v0'].eval_env_spec)
    start = env.reset()[0].argmax()
    best = crossroads.BEST_LOGGED_RETURN
    from_start = [episode for episode in episodes if cells(episode)[0] == start]
    returns = np.array([episode.rewards.sum() for episode in from_start])
    assert set(returns) == {0, best}
    # What imitation would choose: most go where little is paid.
    assert 0.5 < np.mean(returns == best) < 0.7
    assert len(from_start) / len(episodes) == pytest.approx(5 / 6, abs=0.08)
    # What planning on the same log would: each cell's best logged successor, backed up.
    values = np.zeros(env.observation_space.shape[0])
    for _ in range(30):
        for episode in episodes:
            way = cells(episode)
            after = np.where(episode.terminations, 0, values[way[1:]])
            np.maximum.at(values, way[:-1], episode.rewards + after)
    assert values[start] == 1


def test_the_grid_has_walls_and_pays_at_its_ends():
    env = environments.make(gym.spec(environments.CROSSROADS_ID))
    observation, info = env.reset(seed=0)
    assert observation.sum() == 1 and info['cell'] == crossroads.cell_of('s')
    up, down, left, right = range(4)
    for wall in (up, left):
        stayed, reward, terminated, truncated, _ = env.step(wall)
        np.testing.assert_array_equal(stayed, observation)
        assert (reward, terminated, truncated) == (0, False, False)
    for end, pays, way in (
        ('g', 1, [right] * 4 + [up] * 2), ('d', 0, [right] * 8), ('r', 0.3, [down] * 3)
    ):  # fmt: skip
        env.reset()
        *before, last = [env.step(action) for action in way]
        assert not any(reward or terminated for _, reward, terminated, _, _ in before)
        assert last[1:4] == (pays, True, False) and last[4]['cell'] == crossroads.cell_of(end)
    env.reset()
    assert [env.step(left)[3] for _ in range(25)] == [False] * 24 + [True]
    with pytest.raises(DatasetError, match='draws nothing'):
        environments.make(gym.spec(environments.CROSSROADS_ID), render_mode='rgb_array')


def test_the_random_reference_is_what_random_actions_earn():
    recipe = recipes.RECIPES['local/crossroads/stitch-v0']
    env, rng, returns = environments.make(recipe.eval_env_spec), np.random.default_rng(0), []
    for _ in range(2_000):
        env.reset()
        over, earned = False, 0.0
        while not over:
            _, reward, terminated, truncated, _ = env.step(rng.integers(4))
            over, earned = terminated or truncated, earned + reward
        returns.append(earned)
    error = np.std(returns) / np.sqrt(len(returns))
    assert recipe.references()['ref_min_score'] == pytest.approx(np.mean(returns), abs=3.5 * error)

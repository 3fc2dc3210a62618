import numpy as np
from minari.data_collector import EpisodeBuffer

from data.recipes.single_tasks import cut_where_solved


def _episode(steps: int) -> EpisodeBuffer:
    return EpisodeBuffer(
        observations={'place': np.arange(steps + 1.0)[:, None]},
        actions=np.arange(steps)[:, None],
        rewards=np.full(steps, 7.0),
        terminations=np.zeros(steps, bool),
        truncations=np.arange(steps) == steps - 1,
        infos={'qpos': np.arange(steps + 1.0), 'noise': np.arange(steps)},
    )


def test_episodes_end_where_a_task_is_solved_and_go_on_as_the_next():
    rewards = np.array([-2, -1, 0, 0, -1, -2])
    pieces = list(cut_where_solved(_episode(6), rewards, rewards == 0))

    assert [len(piece) for piece in pieces] == [3, 1, 2]
    assert [piece.rewards.tolist() for piece in pieces] == [[-2, -1, 0], [0], [-1, -2]]
    assert [piece.terminations.tolist() for piece in pieces] == [[0, 0, 1], [1], [0, 0]]
    assert [piece.truncations.tolist() for piece in pieces] == [[0, 0, 0], [0], [0, 1]]
    places = [piece.observations['place'][:, 0].tolist() for piece in pieces]
    assert places == [[0, 1, 2, 3], [3, 4], [4, 5, 6]]
    for piece, place in zip(pieces, places):
        assert piece.infos['qpos'].tolist() == place
        assert piece.infos['noise'].tolist() == piece.actions[:, 0].tolist() == place[:-1]


def test_an_episode_whose_last_step_is_from_the_goal_leaves_no_empty_one():
    (only,) = cut_where_solved(_episode(2), np.array([-1, 0]), np.array([False, True]))

    assert only.rewards.tolist() == [-1, 0]
    assert only.terminations.tolist() == [False, True]
    assert not only.truncations.any()

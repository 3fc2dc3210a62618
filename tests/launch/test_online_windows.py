"""Acting online for learners that look ahead: returns, targets over n steps, and chunks."""

import jax
import numpy as np
import pytest

from data.types import Transition
from launch import train_online
from launch.cli import UserError
from launch.run import learners
from tests.launch.test_train import final_states
from tests.launch.test_train_online import buffer_of, online_config, stop_at


def test_what_episodes_earned_is_in_the_buffer_when_they_are_over(tmp_path, monkeypatch):
    """Terminated or cut by an evaluation, before an interruption or after it."""
    values = {'num_seeds': 2, 'random_steps': 45, 'replay_capacity': 100, 'max_episode_steps': 15}
    config = online_config(tmp_path / 'run', 'cal_ql', **values)
    config.network.actor_hidden_sizes, config.hparams.gamma = (16,), 0.9
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(40, patch)
        train_online.train_online(config)
    buffer = jax.tree.map(np.asarray, buffer_of(train_online.train_online(config), config))
    for member in range(2):
        rows = Transition(*(array[member, :60] for array in buffer.transitions))
        to_go, following = buffer.return_to_go[member, :60], 0.0
        follows = np.all(rows.next_observation[:-1] == rows.observation[1:], axis=1)
        assert 4 < 60 - follows.sum() < 30
        for row in reversed(range(60)):
            goes_on = row < 59 and follows[row]
            following = rows.reward[row] + (0.9 * following if goes_on else 0)
            assert to_go[row] == pytest.approx(following, rel=1e-4)


def test_chunks_are_executed_without_looking_and_learned_from(pendulum, tmp_path, monkeypatch):
    """Each row is as it was decided, from an episode's first step on; updates wait for a whole chunk."""
    decided, build = [], learners.build

    def spied(*args, **named):
        learner = build(*args, **named)

        def explore(*arguments):
            decided.append(np.arange(6).reshape(2, 3) / 10 + len(decided) / 100)
            return decided[-1].astype(np.float32)

        return learner._replace(explore=explore)

    monkeypatch.setattr(learners, 'build', spied)
    config = online_config(
        tmp_path / 'run', 'td3', dataset=pendulum, env_id='', num_seeds=2, random_steps=0,
        max_episode_steps=8, num_updates=20, n_step=2, chunk=3,
    )  # fmt: skip
    path = train_online.train_online(config)
    # Decisions at 0, 3 and 6 of each episode, the third of which is cut by its time limit.
    each = [3, 3, 2, 3, 3, 2, 3, 1]
    assert len(decided) == len(each)
    taken = np.concatenate([chunk[:, :number] for chunk, number in zip(decided, each)], axis=1)
    monkeypatch.undo()
    buffer = buffer_of(path, config)
    np.testing.assert_allclose(buffer.transitions.action[:, :20, 0], taken, rtol=1e-6)
    np.testing.assert_array_equal(buffer.decisions, [6 + 6 + 2] * 2)
    np.testing.assert_array_equal(final_states(path).step, [18, 18])


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        ({'chunk': 300}, 'config.chunk is 300; valid: at most the 200 steps of an episode'),
        ({'chunk': 20, 'replay_capacity': 10}, 'and the 10 of config.replay_capacity'),
        ({'n_step': 0}, 'config.n_step is 0; valid'),
    ],
)
def test_chunks_that_fit_nowhere_are_refused(values, said, pendulum, tmp_path):
    config = online_config(tmp_path / 'run', 'td3', dataset=pendulum, env_id='', **values)
    with pytest.raises(UserError, match=said):
        train_online.train_online(config)
    assert not (tmp_path / 'run').exists()

"""Rewards from demonstrations and potentials, by the program that writes them."""

import numpy as np
import pytest

from data import loading, transforms
from launch import train
from launch.cli import UserError
from launch.estimate import claims
from launch.run import policies
from tests.launch.helpers import program, small_config


def relabel(**flags):
    return program('launch.relabel', *(f'--{name}={value}' for name, value in flags.items()))


def relabelled(dataset_id, **flags):
    """The dataset that is made, and what its metadata say of its rewards."""
    result = relabel(dataset=dataset_id, to='test/relabelled-v0', **flags)
    assert result.returncode == 0, result.stderr
    made = loading.load('test/relabelled-v0')
    return made, made.metadata['rewards']


def test_the_best_episodes_demonstrate(cartpole):
    made, said = relabelled(cartpole, likeness='nearest', experts=2)
    before = loading.load(cartpole)
    best = np.sort(np.argsort(-before.episode_returns, kind='stable')[:2])
    assert said['source'] == 'nearest' and said['episodes'] == 2
    assert said['demonstrations'] == f'{cartpole}:{best[0]},{best[1]}'
    shown = transforms.select(made, best).transitions.reward
    np.testing.assert_allclose(shown, 5, rtol=1e-5)
    assert made.transitions.reward.min() < 4.9


def test_episodes_that_are_named_demonstrate(cartpole):
    made, said = relabelled(cartpole, likeness='nearest', demonstrations=f'{cartpole}:4')
    assert said['demonstrations'] == f'{cartpole}:4'
    np.testing.assert_allclose(transforms.select(made, np.array([4])).transitions.reward, 5, rtol=1e-5)


def test_a_formula_shapes(pendulum):
    before = loading.load(pendulum)
    made, said = relabelled(pendulum, potential='2 * observation[0]', gamma=0.9)
    assert said['potential'] == 'formula' and said['gamma'] == 0.9
    steps = before.transitions
    expected = steps.reward + 2 * (0.9 * steps.next_observation[:, 0] - steps.observation[:, 0])
    np.testing.assert_allclose(made.transitions.reward, expected, atol=1e-5)


def test_the_logs_returns_shape(cartpole):
    made, said = relabelled(cartpole, potential_returns=True)
    assert said['potential'] == 'returns' and said['gamma'] == 0.99
    # Where the pole falls nothing follows, and so is lost what was still expected.
    assert made.transitions.reward[made.transitions.discount == 0].max() < 0.5


def test_a_runs_claims_shape(cartpole, tmp_path):
    config = small_config(cartpole, 'dqn', num_seeds=2, reward_scale=2.0, num_updates=20,
                          standardize_observations=True, run_dir=str(tmp_path / 'run'))  # fmt: skip
    found = policies.of_run(train.train(config))[0]
    made, said = relabelled(cartpole, potential_run=tmp_path / 'run', gamma=0.9)
    assert said['run'] == str(tmp_path / 'run')
    steps = loading.load(cartpole).transitions
    claimed = claims.of(found, steps.observation)
    learner, state = found.run.learner, found.run.states
    seen = np.broadcast_to(steps.observation[:8], (2, 8, 4))
    expected = learner.claimed_value(state, seen, learner.keys()).T / 2
    np.testing.assert_allclose(claimed[:8], expected, rtol=1e-4)
    now, later = claimed.mean(axis=1), claims.of(found, steps.next_observation).mean(axis=1)
    shaped = steps.reward + 0.9 * steps.discount * later - now
    np.testing.assert_allclose(made.transitions.reward, shaped, atol=1e-5)
    silent = found.run._replace(learner=learner._replace(claimed_value=None))
    with pytest.raises(UserError, match='is a run of DQN, which claims no values; those of'):
        claims.of(found._replace(run=silent), steps.observation)


@pytest.mark.parametrize(
    ('flags', 'reason'),
    [
        ({'likeness': 'nearest'}, '--likeness needs demonstrations'),
        ({'likeness': 'nearest', 'experts': 61}, 'it has 60 episodes'),
        ({'likeness': 'nearest', 'experts': 2, 'demonstrations': 'test/any-v0:1'}, 'one of the two'),
        ({'likeness': 'nearest', 'demonstrations': 'test/cartpole-v0:60'}, 'from 0 to 59'),
        ({'likeness': 'nearest', 'demonstrations': 'test/cartpole-v0:one'}, 'from 0 to 59'),
        ({'constant': 0, 'experts': 2}, '--experts=2 is read with --likeness, not'),
        ({'constant': 0, 'gamma': 0.9}, '--gamma=0.9 is read with --potential'),
        ({'constant': 0, 'potential': '1'}, 'one source of rewards'),
        ({'potential': 'angle'}, "no entry 'angle'; there are observation[0], "),
        ({'potential': 'log(0)'}, 'the new reward of step 0 of episode 0'),
        ({'potential_run': 'nowhere'}, 'nowhere'),
        ({'potential_returns': True, 'gamma': 1.5}, 'gamma'),
    ],
)
def test_what_cannot_be_done_is_said(cartpole, flags, reason):
    result = relabel(dataset=cartpole, to='test/other-v0', **flags)
    assert result.returncode == 1
    assert reason in result.stderr and len(result.stderr.strip().splitlines()) == 1

"""From preferences to rewards and policies, by the programs."""

import jax
import numpy as np
import pytest

from algorithms import preference_reward
from data import loading, preferences
from launch import train
from launch.cli import UserError
from launch.report import summary
from launch.run import metrics, policies
from tests.launch.helpers import program, small_config, written_preferences
from tests.launch.test_log import SMALL_ESTIMATES


def prefer(**flags):
    return program('launch.prefer', *(f'--{name}={value}' for name, value in flags.items()))


def relabel(**flags):
    return program('launch.relabel', *(f'--{name}={value}' for name, value in flags.items()))


def reward_run(dataset_id: str, tmp_path, **values):
    """A run of a reward model on 40 pairs; its directory."""
    file = written_preferences(tmp_path / 'pairs.csv', dataset_id)
    config = small_config(
        dataset_id, 'preference_reward', preferences=file, run_dir=str(tmp_path / 'run'),
        **{'network.num_rewards': 2, 'hparams.learning_rate': 1e-2, 'eval_interval': 40} | values,
    )  # fmt: skip
    return train.train(config)


def test_a_scripted_teacher_writes_a_file_that_is_read_again(cartpole, tmp_path):
    file = tmp_path / 'new' / 'pairs.csv'
    result = prefer(
        dataset=cartpole, pairs=30, length=25, teacher='mistaken', seed=3, output=file
    )
    assert result.returncode == 0, result.stderr
    stated = preferences.read(file, loading.load(cartpole))
    assert len(stated.label) == 30 and stated.length.max() == 25
    assert '30 preferences in' in result.stdout
    result = prefer(dataset=cartpole, file=file)
    assert result.returncode == 0 and '30 preferences in' in result.stdout
    before = file.read_text()
    again = prefer(dataset=cartpole, output=file)
    assert again.returncode == 1 and 'exists already' in again.stderr and file.read_text() == before
    twin = tmp_path / 'twin.csv'
    prefer(dataset=cartpole, pairs=30, length=25, teacher='mistaken', seed=3, output=twin)
    assert twin.read_text() == before


@pytest.mark.parametrize(
    ('flags', 'said'),
    [
        ({'output': 'pairs.csv'}, '--dataset=ID'),
        ({'dataset': 'test/cartpole-v0'}, '--output=FILE'),
        ({'dataset': 'test/cartpole-v0', 'file': 'none.csv', 'output': 'a.csv'}, '--output=FILE'),
        ({'dataset': 'test/cartpole-v0', 'file': 'none.csv'}, 'there is no such file'),
        ({'dataset': 'test/cartpole-v0', 'file': 'none.csv', 'pairs': 3}, '--pairs makes'),
        ({'dataset': 'test/cartpole-v0', 'output': 'a.csv', 'teacher': 'cruel'}, 'teacher'),
        ({'dataset': 'test/cartpole-v0', 'output': 'a.csv', 'pairs': 0}, 'pairs'),
    ],
)
def test_what_cannot_be_done_is_said(cartpole, tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    result = prefer(**flags)
    assert result.returncode == 1 and said in result.stderr
    assert not list(tmp_path.glob('*.csv'))


def test_rewards_are_learned_judged_and_written(cartpole, tmp_path):
    path = reward_run(cartpole, tmp_path, num_seeds=2)
    (setting,) = summary.read(path)['settings']
    assert 0 <= setting['pair_agreement']['mean'] <= 1 and 'return' not in setting
    assert not any('as logged' in line for line in summary.table({'': summary.read(path)}).splitlines())
    rows = metrics.read(path)
    run = policies.restore_rewards(path)
    assert run.updates == 40 and len(rows) == 2 * 41
    whole = loading.load(cartpole)
    for pessimism in (None, 2):
        flags = {} if pessimism is None else {'pessimism': pessimism}
        result = relabel(
            dataset=cartpole, to=f'test/learned{pessimism}-v0', reward_run=path, **flags
        )
        assert result.returncode == 0, result.stderr
    plain, pessimistic = (loading.load(f'test/learned{each}-v0') for each in (None, 2))
    made = pessimistic.metadata['rewards']
    assert (made['source'], made['networks'], made['pessimism']) == ('preferences', 4, 2)
    assert made['updates'] == 40 and made['run'] == str(path)
    difference = plain.transitions.reward - pessimistic.transitions.reward
    assert np.all(difference > 0)
    # By hand: both members' networks, at one step.
    step = 7
    seen = run.problem.preprocessing.observation(whole.transitions.observation[[step]])
    networks = []
    for member in range(2):
        rewards = rewards_of_member(run.states, member)
        networks += list(rewards(seen, whole.transitions.action[[step]])[:, 0])
    assert plain.transitions.reward[step] == pytest.approx(np.mean(networks), rel=1e-5)
    assert difference[step] == pytest.approx(2 * np.std(networks), rel=1e-3)


def rewards_of_member(states, member: int):
    """The rewards of one member's networks."""
    state = jax.tree.map(lambda leaf: np.asarray(leaf[member]), jax.device_get(states.replace(key=None)))
    return lambda observation, action: preference_reward.rewards_of(state, observation, action)


def test_who_learned_something_else_is_refused(cartpole, tmp_path):
    path = reward_run(cartpole, tmp_path, num_updates=2, eval_interval=2)
    with pytest.raises(UserError, match='learned rewards; one that learned a policy is needed'):
        policies.of_run(path)
    other = train.train(small_config(
        cartpole, 'bc', num_updates=2, eval_interval=2, run_dir=str(tmp_path / 'bc')
    ))  # fmt: skip
    for flags, said in (
        ({'reward_run': other}, 'learned a policy; one that learned rewards is needed'),
        ({'reward_run': tmp_path / 'none'}, 'holds no run'),
        ({'constant': 1, 'pessimism': 1}, '--pessimism=1'),
    ):
        result = relabel(dataset=cartpole, to='test/learned-v0', **flags)
        assert result.returncode == 1 and said in result.stderr
    # Other preferences are other data.
    written_preferences(tmp_path / 'pairs.csv', cartpole, pairs=20)
    with pytest.raises(UserError, match='has changed since'):
        train.train(small_config(
            cartpole, 'preference_reward', preferences=str(tmp_path / 'pairs.csv'),
            run_dir=str(tmp_path / 'run'), num_updates=2, eval_interval=2,
            **{'network.num_rewards': 2, 'hparams.learning_rate': 1e-2},
        ))  # fmt: skip


@pytest.mark.parametrize(
    ('algorithm', 'values', 'said'),
    [
        ('cpl', {}, "config.preferences is ''"),
        ('preference_reward', {}, "config.preferences is ''"),
        ('cpl', {'preferences': 'a.csv', 'top_fraction': 0.5}, 'config.top_fraction is 0.5'),
        ('cpl', {'preferences': 'a.csv', 'cut_at_goal': True}, 'config.cut_at_goal is True'),
        ('cpl', {'preferences': 'a.csv', 'chunk': 2}, 'config.chunk is 2'),
        ('cpl', {'preferences': 'a.csv', 'n_step': 2}, 'config.n_step is 2'),
    ],
)
def test_what_preferences_do_not_go_with(algorithm, values, said):
    with pytest.raises(UserError) as error:
        train.train(small_config('test/none-v0', algorithm, **values))
    assert said in str(error.value)


def test_cpl_is_judged_from_a_log(cartpole, tmp_path):
    """Pairs with an episode that is held out are not learned from."""
    file = written_preferences(tmp_path / 'pairs.csv', cartpole, pairs=60)
    config = small_config(
        cartpole, 'cpl', preferences=file, evaluate_in='log', run_dir=str(tmp_path / 'run'),
        num_updates=2, eval_interval=2, **SMALL_ESTIMATES,
    )  # fmt: skip
    data = train.load_data(config)
    counts = [len(each.preferences.label) for each in (data.learned_from, data.held_out)]
    assert 0 < counts[0] < 60 and sum(counts) < 60
    assert len(data.learned_from.episode_lengths) == 48
    (setting,) = summary.read(train.train(config))['settings']
    assert np.isfinite([setting[name]['mean'] for name in ('estimate', 'support', 'agreement')]).all()
    held_out = metrics.read(tmp_path / 'run')[-1]['measures']
    assert ('learner/held_out_contrastive' in held_out) == bool(counts[1])

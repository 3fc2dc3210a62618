"""Tests of what a run is held to when it goes on: its data, its directory, and more updates."""

import json
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from data.types import DatasetError
from launch import train, train_online
from launch.cli import UserError
from launch.run import checkpoints, directory, loop, metrics, policies
from launch.run.metrics import MetricsLog
from tests.conftest import collect, store
from tests.launch.helpers import small_config
from tests.launch.test_train import final_states, timeless
from tests.launch.test_train_online import online_config


def assert_same_states(path, other):
    pairs = zip(jax.tree.leaves(final_states(path)), jax.tree.leaves(final_states(other)), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def contents(path):
    """Of all files that a program may have written to."""
    return {file.relative_to(path): file.read_bytes() for file in path.rglob('*') if file.is_file()}


@pytest.fixture
def finished(pendulum, tmp_path):
    """A run of 20 updates, with standardised observations."""
    config = small_config(
        pendulum, 'bc', run_dir=str(tmp_path / 'run'), num_updates=20, standardize_observations=True
    )
    return train.train(config), config


def change_dataset(dataset):
    """Other numbers under the same id."""
    path = store('test/other-v0', collect('Pendulum-v1', 20, 50, seed=1), 'Pendulum-v1')
    here = path.parent / dataset.partition('/')[2]
    shutil.rmtree(here)
    path.rename(here)
    file = here / 'data' / 'metadata.json'
    file.write_text(file.read_text().replace('test/other-v0', dataset))


def test_a_run_is_not_continued_on_other_data(finished):
    path, config = finished
    change_dataset(config.dataset)
    said = f'dataset test/pendulum-v0 has changed since the run in {path} began'
    before = contents(path)
    # Finished, unfinished, to be extended, and from before fingerprints were kept.
    for file in ('', 'summary.json', 'dataset.json'):
        if file:
            (path / file).unlink()
            del before[path.joinpath(file).relative_to(path)]
        for num_updates in (20, 40) if file else (20,):
            with pytest.raises(UserError, match=said):
                config.num_updates = num_updates
                config.extend = num_updates > 20
                train.train(config)
        assert contents(path) == before


def test_a_finished_run_is_shown_where_its_data_are_not(finished, storage, capsys):
    path, config = finished
    train.train(config)
    before, table = contents(path), capsys.readouterr().out
    shutil.rmtree(storage)
    train.train(config)
    assert capsys.readouterr().out == table and contents(path) == before


def test_checkpoints_without_their_problem_are_refused(finished):
    path, config = finished
    (path / 'problem.json').unlink()
    (path / 'summary.json').unlink()
    with pytest.raises(UserError, match=f'{path} has checkpoints, but no problem.json'):
        train.train(config)
    with pytest.raises(DatasetError, match='problem.json is missing'):
        policies.restore(path)


def test_lost_rows_are_trained_again(finished, tmp_path, capsys):
    """The last checkpoint is there and nothing is left to train, but its rows are not."""
    path, config = finished
    before, states = timeless(metrics.read(path)), final_states(path)
    (path / 'summary.json').unlink()
    (path / 'metrics.jsonl').write_text('')
    train.train(config)
    assert 'goes back to its start' in capsys.readouterr().out
    assert timeless(metrics.read(path)) == before
    for a, b in zip(jax.tree.leaves(states), jax.tree.leaves(final_states(path)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_extended_run_is_that_of_as_many_updates_from_the_start(finished, tmp_path, capsys):
    path, config = finished
    config.num_updates = 40
    before = contents(path)
    said = rf'num_updates=20; it goes on to 40 with --config.extend --config.run_dir={path}'
    with pytest.raises(UserError, match=said):
        train.train(config)
    assert contents(path) == before
    config.extend = True
    capsys.readouterr()
    train.train(config)
    assert f'{path} goes on from 20 to 40 updates.\n' in capsys.readouterr().out
    assert json.loads((path / 'config.json').read_text())['num_updates'] == 40
    assert json.loads((path / 'summary.json').read_text())['updates'] == 40
    config.run_dir, config.extend = str(tmp_path / 'whole'), False
    whole = train.train(config)
    assert_same_states(path, whole)
    assert timeless(metrics.read(path)) == timeless(metrics.read(whole))
    # As it is now it needs no flag, and goes back for none.
    config.run_dir = str(path)
    train.train(config)
    config.num_updates, config.extend = 20, True
    with pytest.raises(UserError, match='num_updates=40, and a run cannot go back to 20'):
        train.train(config)
    config.num_updates, config.batch_size = 60, 16
    with pytest.raises(UserError, match='differs in batch_size, num_updates;'):
        train.train(config)
    config.run_dir = ''
    with pytest.raises(UserError, match='config.extend: which run'):
        train.train(config)


def test_evaluations_beside_training_are_those_alone_and_are_made_again_after_a_kill(
    pendulum, tmp_path, monkeypatch
):
    """The checkpoint is there; rows of the training that went on wait for those of the evaluation."""
    config = small_config(pendulum, 'bc', run_dir=str(tmp_path / 'whole'), log_interval=5)
    whole, write, killed = train.train(config), MetricsLog.write, tmp_path / 'killed'
    config.run_dir = str(killed)
    monkeypatch.setattr(loop, '_on_cores', lambda states: False)
    for at in (20, 40):

        def interrupted(self, rows, at=at):
            if (rows[0]['event'], rows[0]['step']) == ('evaluation', at):
                raise KeyboardInterrupt
            write(self, rows)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(MetricsLog, 'write', interrupted)
            train.train(config)
        last = metrics.read(killed)[-1]
        assert (last['event'], last['step'], *checkpoints.steps(killed)) == ('training', at, at)
    train.train(config)
    assert timeless(metrics.read(killed)) == timeless(metrics.read(whole))
    assert_same_states(killed, whole)


def test_a_finished_run_without_checkpoints_is_not_extended(finished):
    path, config = finished
    shutil.rmtree(path / 'checkpoints')
    config.num_updates, config.extend = 40, True
    before = contents(path)
    with pytest.raises(UserError, match='is finished and has no checkpoint'):
        train.train(config)
    assert contents(path) == before


def test_an_interrupted_extension_goes_on(finished, tmp_path, monkeypatch):
    path, config = finished
    config.num_updates, config.extend = 60, True
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr('launch.run.metrics.rewind', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        train.train(config)
    # What it was is kept, but it is not at its end.
    assert json.loads((path / 'summary-20.json').read_text())['updates'] == 20
    assert not (path / 'summary.json').exists()
    assert policies.restore(path).updates == 20
    config.extend = False
    train.train(config)
    assert policies.restore(path).updates == 60


def test_what_follows_the_number_of_updates_stays_as_it_began(tmp_path):
    config = small_config('a/b-v0', run_dir=str(tmp_path))
    directory.create(tmp_path, config)
    assert config.hparams.actor_decay_updates == 40
    config.num_updates, config.extend = 80, True
    extended = directory.extended(config)
    assert (extended.num_updates, extended.hparams.actor_decay_updates) == (80, 40)
    assert directory.holds(tmp_path, extended, resume=True)


def test_an_extension_says_what_becomes_of_what_counts_updates(tmp_path, capsys):
    config = small_config('a/b-v0', 'cql', **{'hparams.bc_warm_start_updates': 40.0})
    directory.create(tmp_path, config)
    config.num_updates, config.extend = 80, True
    directory.create(tmp_path, config)
    said = 'from 40 to 80 updates. hparams.bc_warm_start_updates stays 40, counted from the start: '
    assert said in capsys.readouterr().out
    config.num_updates, config.hparams.bc_warm_start_updates = 120, 120.0
    directory.create(tmp_path, config)
    assert 'bc_warm_start_updates is 120 from here on, 40 before.' in capsys.readouterr().out
    assert directory.load_config(tmp_path).hparams.bc_warm_start_updates == 120


@pytest.mark.slow
def test_online_a_run_is_extended_as_well(tmp_path):
    config = online_config(tmp_path / 'extended', num_updates=40)
    path = train_online.train_online(config)
    config.num_updates, config.extend = 60, True
    train_online.train_online(config)
    assert_same_states(path, train_online.train_online(online_config(tmp_path / 'whole')))


def test_episodes_begin_where_an_extended_run_goes_on_between_two_evaluations(tmp_path, monkeypatch):
    begun = []
    actors = SimpleNamespace(
        running=False, restart=begun.append, step=lambda *_: None, cut=lambda: None,
        mean_returns=lambda: np.zeros(1),
    )
    learner, buffers = SimpleNamespace(members=[]), SimpleNamespace(append=lambda buffer, _: buffer)
    advance = train_online._acting(tmp_path, learner, actors, buffers, 100, 20, 100)
    carry = {'states': SimpleNamespace(actor=SimpleNamespace(params={})), 'replay': None}
    monkeypatch.setattr('data.policies.write', lambda *_: None)
    for running, step in ((False, 30), (True, 40), (True, 50)):
        actors.running = running
        advance(carry, step, 10, np.ones(1, bool), lambda steps: 0.0)
    assert begun == [30, 40]


def test_infinite_hyperparameters_are_json_that_comes_back(tmp_path):
    config = small_config('a/b-v0', 'cql', **{'hparams.bc_warm_start_updates': float('inf')})
    directory.create(tmp_path, config)
    text = (tmp_path / 'config.json').read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert directory.load_config(tmp_path).hparams.bc_warm_start_updates == float('inf')
    assert directory.holds(tmp_path, config, resume=True)


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda c: c.pop('num_seeds'), "it has no 'num_seeds'"),
        (lambda c: c.update(num_seeds='3'), 'num_seeds is "3", not a whole number'),
        (lambda c: c['hparams'].pop('expectile'), "hparams has no 'expectile'"),
        (lambda c: c['hparams'].update(expectile=[1]), r'hparams.expectile is \[1\], not a number'),
        (lambda c: c['network'].pop('hidden_sizes'), "network lacks hidden_sizes"),
        (lambda c: c['hparams'].update(gamma=None), 'hparams.gamma is null, not a number'),
        (lambda c: c.update(sweep=3), 'sweep is 3, not an object'),
        (lambda c: c.update(top_fraction='all'), 'top_fraction is "all", not a number'),
    ],
)
def test_an_edited_config_is_named(change, said, tmp_path):
    config = small_config('a/b-v0')
    directory.create(tmp_path, config)
    file = tmp_path / 'config.json'
    plain = json.loads(file.read_text())
    change(plain)
    file.write_text(json.dumps(plain))
    with pytest.raises(UserError, match=f'config.json is damaged: {said}'):
        directory.load_config(tmp_path)



@pytest.mark.parametrize('left', ['config.json.part', '.lock', 'checkpoints/', 'tensorboard/'])
def test_what_a_kill_left_before_the_run_began_is_nothing(left, tmp_path):
    entry = tmp_path / left
    entry.mkdir() if left.endswith('/') else entry.write_text('{"algo')
    config = small_config('a/b-v0')
    assert not directory.holds(tmp_path, config, resume=True)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'notes').touch()
    with pytest.raises(UserError, match='is not empty and holds no run'):
        directory.holds(tmp_path, config, resume=True)

"""Tests of launch/experiments/d4rl_scores.py, full_size.py and lean_protocol.py."""

import csv
import json

import numpy as np
import pytest

from launch import experiments, train
from launch.cli import UserError
from launch.configs import awac, base, bc, iql, rebrac, xql
from launch.experiments import d4rl_scores, full_size, lean_protocol
from launch.report import kept_scores, summary
from launch.run import directory, metrics
from launch.run.members import Member
from tests.launch.helpers import members_of

SCORES = np.array([[10.0, 20.0], [30.0, 20.0], [50.0, 40.0], [60.0, 80.0]])


@pytest.fixture
def finished(tmp_path):
    """Of a config, the directory of a run that earned SCORES, the more the better `factor` is."""
    made = iter(range(1_000))

    def finish(config, factor=1.0):
        path = tmp_path / f'run{next(made)}'
        path.mkdir()
        (path / 'config.json').write_text(config.to_json_best_effort())
        rows = []
        for step, scores in zip((100, 200, 300, 400), factor * SCORES):
            for index, score in enumerate(scores):
                member, rate = Member({}, config.seed + index), {'updates_per_second': step / 10}
                rows.append(metrics.row('training', index, member, step, rate))
                judged = {'score': score, 'claimed_value': 2_000.0, 'discounted_return': 200.0}
                rows.append(metrics.row('evaluation', index, member, step, judged))
        (path / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
        setting = {'setting': {}, 'label': '', 'diverged_seeds': []}
        setting['score'] = summary.interval(factor * SCORES[-1])
        (path / 'summary.json').write_text(json.dumps({
            'dataset': config.dataset, 'updates': 400, 'reference_returns': {}, 'reference_lines': {},
            'settings': [setting],
        }))  # fmt: skip
        return path

    return finish


def test_every_algorithm_is_lean_on_nine_datasets():
    found = d4rl_scores.configs()
    cells = {(directory.title(config), config.dataset) for config in found}
    assert len(cells) == len(found) == 9 * len(d4rl_scores.ALGORITHMS)
    for config in found:
        train.validate(config)
        assert len(members_of(config)) == 4 and config.seed == 0
        assert config.final_eval_episodes == base.LEAN['final_eval_episodes']


def test_a_dataset_s_own_values_stay_in_lean_sizes():
    for dataset in d4rl_scores.DATASETS:
        lean, full = d4rl_scores.config_for(rebrac, dataset), rebrac.get_config(dataset)
        for key in ('actor_penalty', 'critic_penalty', 'gamma'):
            assert lean.hparams[key] == full.hparams[key]
        assert lean.dataset == full.dataset
        assert (lean.network.hidden_sizes, lean.batch_size) == ((64, 64, 64), 64)
    assert d4rl_scores.config_for(iql, 'walker2d-medium').normalize_rewards
    lean = d4rl_scores.config_for(xql, 'hopper-medium')
    assert (lean.hparams.temperature, lean.hparams.value_learning_rate) == (5.0, 1e-3)
    assert (lean.network.hidden_sizes, lean.batch_size) == ((128, 128), 64)
    assert d4rl_scores.config_for(awac, 'hopper-medium').network.actor_hidden_sizes == (64, 64)
    assert bc.get_config('mujoco').network.hidden_sizes == (256, 256)


@pytest.mark.parametrize('dataset', ['hopper-medium', 'walker2d-medium-expert'])
def test_a_score_stands_beside_the_published_one(finished, dataset):
    published = {
        'hopper-medium': ({'CORL': 67.53, 'unseen seeds': 65.2}, {'CORL': 55.48}),
        'walker2d-medium-expert': ({'CORL': 111.72, 'unseen seeds': 112.1}, {'CORL': 108.70}),
    }[dataset]
    configs = [
        d4rl_scores.config_for(iql, dataset),
        d4rl_scores.config_for(bc, dataset, {'top_fraction': 0.1}),
    ]
    runs = [finished(config) for config in configs]
    results = [
        d4rl_scores.result_of(config.dataset, directory.title(config), kept_scores.of_run(run))
        for config, run in zip(configs, runs)
    ]
    for result, name, theirs in zip(results, ('IQL', '10 % BC'), published):
        assert (result.dataset, result.name, result.published) == (dataset, name, theirs)
        assert (result.updates, result.score['mean']) == (400, 70.0)
        # A third of four evaluations, rounded up.
        assert result.late['mean'] == SCORES[-2:].mean()
    # 100 updates at each of 10, 20, 30 and 40 a second.
    assert d4rl_scores.seconds_of(runs[0]) == pytest.approx(100 * (1 / 10 + 1 / 20 + 1 / 30 + 1 / 40))


def test_published_scores_are_of_every_dataset():
    both = {'IQL', 'TD3+BC', 'ReBRAC', 'CQL'}
    for dataset in d4rl_scores.DATASETS:
        for name in both | {'BC', '10 % BC', 'EDAC', 'Decision Transformer'}:
            sources = d4rl_scores.SOURCES if name in both else d4rl_scores.SOURCES[:1]
            assert set(d4rl_scores.published(dataset, name)) == set(sources)
        assert d4rl_scores.published(dataset, 'SAC') == {}


def test_what_a_dataset_holds(monkeypatch):
    returns, lengths = np.array([10.0, 100, 50, 0]), np.array([40, 5, 15, 40])

    class Held:
        episode_returns, episode_lengths = returns, lengths

        class problem:
            scores = (0.0, 200.0)

    monkeypatch.setattr(d4rl_scores.loading, 'load', lambda dataset: Held)
    # A tenth of the steps, 10, are all of the best episode and a part of the second.
    assert d4rl_scores.held_in('hopper-medium') == (20.0, 37.5, 50.0)


def test_tables_figure_and_curves(finished, tmp_path, monkeypatch, capsys):
    factors = {'iql': 2.0, 'sac': 0.01, 'td3': 0.01}
    monkeypatch.setattr(
        experiments, 'trained', lambda config: finished(config, factors.get(config.algorithm, 1.0))
    )
    monkeypatch.setattr(experiments, 'RESULTS', tmp_path)
    monkeypatch.setattr(d4rl_scores, 'held_in', lambda dataset: d4rl_scores.Held(40.0, 60.0, 100.0))
    d4rl_scores.main([])
    printed = capsys.readouterr().out
    assert '| hopper-medium | IQL | 140.0 | [120.0, 160.0] | 115.0 | 67.5 | 65.2 |' in printed
    # 70 on each: BC is published at 42, 36, 56, 53, 30, 52, 63, 22 and 99.
    assert '| BC | 8 of 9 |  |' in printed and '| IQL | 9 of 9 | 9 of 9 |' in printed
    line = '| walker2d-medium | 40.0 | 60.0 | 100.0 | 70.0 | IQL 140.0 | 3.5 | 1.40 | 0.7 | 0.7 |'
    assert line in printed
    assert '| SAC | 400 | 9 |' in printed
    with (tmp_path / 'd4rl-scores.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(d4rl_scores.configs()) * SCORES.size
    assert rows[0] == {
        'dataset': 'local/hopper/medium-v0', 'algorithm': 'BC', 'seed': '0', 'updates': '100',
        'score': '10.00',
    }  # fmt: skip
    assert (tmp_path / 'd4rl-scores.png').stat().st_size > 10_000


def test_one_algorithm_is_trained_beside_what_is_kept_of_others(
    finished, tmp_path, monkeypatch, capsys
):
    trained = []

    def train_one(config):
        trained.append(directory.title(config))
        return finished(config)

    monkeypatch.setattr(experiments, 'trained', train_one)
    monkeypatch.setattr(experiments, 'RESULTS', tmp_path)
    monkeypatch.setattr(d4rl_scores, 'held_in', lambda dataset: d4rl_scores.Held(40.0, 60.0, 100.0))
    with pytest.raises(UserError, match="no algorithm 'TD4' here; valid: BC, 10 % BC, TD3"):
        d4rl_scores.main(['BC', 'TD4'])
    file, seeds = tmp_path / 'd4rl-scores.csv', (0, 1)
    others = {
        ('local/hopper/medium-v0', 'IQL'): kept_scores.Curve(seeds, np.array([5, 9]), 3 * SCORES[:2]),
        ('local/hopper/medium-v0', 'BC'): kept_scores.Curve(seeds, np.array([7]), SCORES[:1]),
    }
    kept_scores.write(others, file)
    d4rl_scores.main(['BC'])
    assert trained == ['BC'] * 9
    printed = capsys.readouterr().out
    # Of the mean episode, and of the best one: IQL's, which was not trained.
    assert '| hopper-medium | 40.0 | 60.0 | 100.0 | 70.0 | IQL 75.0 | 1.9 | 0.75 |  |  |' in printed
    assert '| BC | 400 | 9 |' in printed and '| IQL | 9 |' not in printed
    kept = kept_scores.read(file)
    assert len(kept) == 10 and list(kept)[0] == ('local/hopper/medium-v0', 'BC')
    np.testing.assert_array_equal(kept['local/hopper/medium-v0', 'BC'].scores, SCORES)
    np.testing.assert_array_equal(kept['local/hopper/medium-v0', 'IQL'].scores, 3 * SCORES[:2])


def test_what_others_keep_in_a_file_stays(finished, tmp_path, monkeypatch):
    file, seeds = tmp_path / 'scores.csv', (0, 1)
    configs = [d4rl_scores.config_for(bc, dataset) for dataset in ('hopper-medium', 'walker2d-medium')]
    mine = [(config.dataset, 'BC') for config in configs]
    # A program that knows of an algorithm that this one does not adds to the file meanwhile.
    theirs = ('local/hopper/medium-v0', 'TD4')

    def train_beside_another(config):
        if config.dataset == configs[1].dataset:
            kept_scores.add({theirs: kept_scores.Curve(seeds, np.array([5]), SCORES[:1])}, file)
        return finished(config)

    monkeypatch.setattr(experiments, 'trained', train_beside_another)
    scored, runs = experiments.scored(configs, [], file)
    assert list(scored) == list(runs) == mine
    kept = kept_scores.read(file)
    assert list(kept) == [*mine, theirs]
    np.testing.assert_array_equal(scored[mine[0]].scores, SCORES)
    assert [path.name for path in tmp_path.glob('scores*')] == ['scores.csv']


def test_a_damaged_file_is_refused_before_the_training(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(experiments, 'trained', trained.append)
    (tmp_path / 'scores.csv').write_text('dataset,seed\n')
    with pytest.raises(UserError, match='scores.csv is damaged: its first line is not dataset,algor'):
        experiments.scored(d4rl_scores.configs(), [], tmp_path / 'scores.csv')
    assert not trained


def test_full_sizes_stand_beside_lean_ones(finished, tmp_path, monkeypatch, capsys):
    for config in full_size.configs():
        train.validate(config)
        assert (config.num_updates, config.batch_size) == (1_000_000, 256)
        assert (config.eval_episodes, config.final_eval_episodes) == (10, 100)
        assert tuple(config.network.hidden_sizes) == (256, 256)
        assert config.standardize_observations == (config.algorithm == 'td3_bc')
        assert config.normalize_rewards == (config.algorithm == 'iql')
        assert len(members_of(config)) == 2
    monkeypatch.setattr(experiments, 'trained', finished)
    monkeypatch.setattr(experiments, 'RESULTS', tmp_path)
    lean = kept_scores.Curve((0, 1), np.array([3, 9]), 2 * SCORES[:2])
    kept_scores.write({('local/walker2d/medium-v0', 'IQL'): lean}, tmp_path / d4rl_scores.SCORES)
    full_size.main(['IQL'])
    printed = capsys.readouterr().out
    row = '| walker2d-medium | IQL | 400 | 60.0, 80.0 | 57.5 | 9 | 50.0 [40.0, 60.0] | 50.0 |'
    assert f'{row} 80.9 | 80.7 |' in printed
    assert '| hopper-medium-expert | IQL | 400 | 60.0, 80.0 | 57.5 |  |  |  | 107.4 | 85.5 |' in printed
    assert [name for _, name in kept_scores.read(tmp_path / 'full-size.csv')] == ['IQL'] * 3
    assert (tmp_path / 'full-size.png').stat().st_size > 10_000


def test_sizes_are_chosen_on_seeds_of_no_table(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiments, 'trained', finished)
    monkeypatch.setattr(experiments, 'RESULTS', tmp_path)
    seeds = {member.seed for config in d4rl_scores.configs() for member in members_of(config)}
    for variant in lean_protocol.VARIANTS:
        for dataset in variant.datasets:
            config = lean_protocol.config_for(variant, dataset)
            train.validate(config)
            assert not seeds & {member.seed for member in members_of(config)}
    with pytest.raises(UserError, match='no algorithm .TD4. here; valid: BC, TD3'):
        lean_protocol.main(['TD4'])
    lean_protocol.main([])
    printed = capsys.readouterr().out
    cells = '| 400 | hopper-medium | 60, 80 | 55, 60 | 2,000 (200), 2,000 (200) |'
    assert f'| TD3+BC | 64 x 64 batch 64 {cells}' in printed
    assert (tmp_path / 'lean-protocol.png').stat().st_size > 10_000


def test_a_domain_s_lean_values_are_above_its_own():
    own = {'mujoco': {'batch_size': 1024, 'hparams.x': 1.0}, 'hopper-medium': {'hparams.x': 2.0}}
    found = base.lean(own, {'hparams.y': 3.0})
    assert found == {
        'lean': {'hparams.x': 1.0, 'hparams.y': 3.0},
        'lean-hopper-medium': {'hparams.x': 2.0, 'hparams.y': 3.0},
    }
    assert iql.get_config('lean').batch_size == 64

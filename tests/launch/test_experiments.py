import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from data import recipes
from launch import experiments, train, train_online
from launch.cli import UserError
from launch.configs import bc
from launch.experiments import (
    alpha_sweep,
    case_files,
    composition,
    expectile_sweep,
    fqe_on_hopper,
    locomotion_datasets,
    offline_to_online,
    online_against_offline,
    pointmaze,
    return_conditioning,
    stitching,
)
from launch.run import directory, metrics
from launch.run.members import Member
from tests.launch.helpers import members_of


@pytest.fixture
def plotted(monkeypatch):
    """What is plotted as lines, which still are."""
    lines, plot = [], Axes.plot

    def spied(self, x, y, *args, **kwargs):
        lines.append((list(x), list(y)))
        return plot(self, x, y, *args, **kwargs)

    monkeypatch.setattr(Axes, 'plot', spied)
    return lines


@pytest.mark.parametrize(
    ('configs', 'num_members'),
    [
        (case_files.configs, [10] * 5),
        (alpha_sweep.configs, [50]),
        (expectile_sweep.configs, [50]),
        (stitching.configs, [10] * 5),
    ],
)
def test_configs_are_valid_and_on_one_footing(configs: Callable, num_members: list[int]):
    found = configs()
    for config in found:
        train.validate(config)
    assert [len(members_of(config)) for config in found] == num_members
    for key in ('dataset', 'num_updates', 'final_eval_episodes'):
        assert len({config[key] for config in found}) == 1


def test_the_case_files_differ_in_the_algorithm_alone():
    found = case_files.configs()
    assert len({config.batch_size for config in found}) == 1
    assert len({config.network.hidden_sizes for config in found}) == 1


@pytest.mark.parametrize('maze', pointmaze.MAZES)
def test_mazes_are_compared_over_three_seeds(maze):
    found = pointmaze.configs(maze)
    for config in found:
        train.validate(config)
        assert len(members_of(config)) == 3
    assert {config.dataset for config in found} == {f'local/pointmaze/{maze}-v0'}


def finished_run(path, config):
    path.mkdir()
    (path / 'config.json').write_text(config.to_json_best_effort())
    score = {'mean': 50.0, 'mean_low': 40.0, 'mean_high': 60.0, 'seeds': 3}
    settings = [{'setting': {}, 'label': '', 'score': score, 'diverged_seeds': []}]
    summary = {
        'dataset': config.dataset, 'updates': 1000, 'reference_returns': {}, 'reference_lines': {},
        'settings': settings,
    }  # fmt: skip
    (path / 'summary.json').write_text(json.dumps(summary))
    return path


@pytest.mark.parametrize('configs', [fqe_on_hopper.configs])
def test_hoppers_runs_are_valid_and_of_four_seeds(configs):
    for config in configs():
        train.validate(config)
        assert len(members_of(config)) == 4


def test_a_curve_has_every_evaluation_of_every_member(tmp_path):
    rows = [
        metrics.row(event, member, Member({}, member), step, {'score': step + member})
        for step in (20, 10) for member in (1, 0) for event in ('evaluation', 'training')
    ]  # fmt: skip
    (tmp_path / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    steps, scores = metrics.curve(tmp_path)
    np.testing.assert_array_equal(steps, [10, 20])
    np.testing.assert_array_equal(scores, [[10, 11], [20, 21]])
    (tmp_path / 'metrics.jsonl').write_text('')
    with pytest.raises(UserError, match='holds no evaluations'):
        metrics.curve(tmp_path)


def test_the_datasets_that_there_are_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    scores = {
        (env_id, name): rng.normal(50, 10, 30)
        for env_id in locomotion_datasets.REPLAY_STEPS for name in locomotion_datasets.COMPOSITIONS
    }  # fmt: skip
    del scores['Walker2d-v5', 'medium']
    locomotion_datasets.draw(scores, tmp_path / 'sets.png')
    assert (tmp_path / 'sets.png').stat().st_size > 10_000


def test_stitching_clones_all_journeys_and_the_best():
    found = stitching.configs()
    assert {config.dataset for config in found} == {'local/crossroads/stitch-v0'}
    assert [config.top_fraction for config in found if config.algorithm == 'bc'] == [1, 0.25]


def test_compositions_differ_in_their_random_steps_alone(tmp_path):
    found = composition.configs()
    assert list(found) == [0, 50, 75, 90]
    for share, configs in found.items():
        (dataset,) = {config.dataset for config in configs}
        assert recipes.resolve(dataset).size * (100 - share) == 100 * 100_000
        for config, first in zip(configs, found[0]):
            train.validate(config)
            config.dataset = first.dataset
            assert config == first


def test_every_share_has_a_row_and_a_point(tmp_path, monkeypatch, plotted, capsys):
    runs = iter(range(100))
    monkeypatch.setattr(experiments, 'trained', lambda config: finished_run(
        tmp_path / str(next(runs)), config
    ))  # fmt: skip
    monkeypatch.setattr(experiments, 'RESULTS', tmp_path)
    composition.main()
    printed = capsys.readouterr().out
    assert '| random steps | 0 % | 50 % | 75 % | 90 % |' in printed
    for name in ('BC', 'CQL', 'IQL', 'Decision Transformer'):
        assert f'| {name} |' + ' 50.0 [40.0, 60.0] |' * 4 in printed
    assert plotted == [([0, 50, 75, 90], [50] * 4)] * 4
    assert (tmp_path / 'composition.png').exists()


def test_returns_asked_for_go_beyond_the_best(tmp_path, plotted):
    logged = np.array([-30.0, -10.0])
    targets = return_conditioning.grid(logged)
    assert (targets[0], targets[-1]) == (-30, 0)
    score = {'mean': 50.0, 'mean_low': 40.0, 'mean_high': 60.0}
    return_conditioning.draw(dict.fromkeys(targets, score), logged, 'd', tmp_path / 'returns.png')
    assert plotted == [(list(targets), [50] * 13), (list(targets), list(targets))]
    assert (tmp_path / 'returns.png').exists()


def test_fine_tuning_goes_on_where_learning_offline_ended(tmp_path, plotted):
    steps = np.array([10, 20])
    offline, acting = ((steps, np.array([[20.0, 20], [last, last + 2]])) for last in (40.0, 80.0))
    both, alone = offline_to_online.Stages(offline, acting), offline_to_online.Stages(None, acting)
    assert offline_to_online.row(both) == ['41.0', '20.0', '81.0', '81.0', '80, 82']
    assert offline_to_online.row(alone) == ['20.0', '81.0', '81.0', '81.0', '80, 82']
    offline_to_online.draw({'A': both, 'B': alone}, 'title', tmp_path / 'o.png')
    assert plotted[:2] == [([-0.01, 0], [20, 41]), ([0, 0.01, 0.02], [41, 20, 81])]
    assert plotted[2:] == [([0.01, 0.02], [20, 81])]
    assert (tmp_path / 'o.png').exists()


def test_methods_act_for_as_long_on_one_footing(tmp_path):
    continued = [offline_to_online.online_config(name, tmp_path) for name in ('iql', 'cal_ql')]
    others = [offline_to_online.online_config(name) for name in ('rlpd', 'sac')]
    for config in (*continued, *others):
        train_online.validate(config)
    for key in ('num_updates', 'eval_interval', 'batch_size', 'num_seeds', 'eval_episodes'):
        assert len({config[key] for config in (*continued, *others)}) == 1
    assert [config.from_run for config in continued] == [str(tmp_path)] * 2
    for config in others:
        assert config.network.policy_delay == config.updates_per_step


def test_sac_is_the_same_online_and_offline_and_ships_with_what_it_left(tmp_path, plotted):
    curves = {}
    for env_id in online_against_offline.ENVIRONMENTS:
        acting, logged = both = online_against_offline.configs(env_id)
        for key in ('hparams', 'network', 'batch_size'):
            assert acting[key] == logged[key]
        for config in both:
            path = Path(config.run_dir)
            assert directory.holds(path, config, resume=True)
            assert experiments.trained(config) == path
        curves[env_id] = [metrics.curve(Path(config.run_dir)) for config in both]
    online_against_offline.draw(curves, tmp_path / 'o.png')
    steps, scores = curves['Hopper-v5'][0]
    assert plotted[0] == (list(steps / 1_000), scores[:, 0].tolist()) and len(plotted) == 6
    assert (tmp_path / 'o.png').exists()


def test_a_config_is_trained_where_it_learns(monkeypatch):
    monkeypatch.setattr(train, 'train', lambda config: 'offline')
    monkeypatch.setattr(train_online, 'train_online', lambda config: 'online')
    assert experiments.trained(bc.get_config()) == 'offline'
    assert experiments.trained(offline_to_online.online_config('sac')) == 'online'

import json
import shutil
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ml_collections import ConfigDict

from data import recipes
from launch import experiments, members, train
from launch.cli import UserError
from launch.configs import iql
from launch.experiments import (
    alpha_sweep,
    case_files,
    composition,
    d4rl_scores,
    locomotion_datasets,
    offline_to_online,
    online_against_offline,
    return_conditioning,
    stitching,
)


@pytest.fixture
def plotted(monkeypatch):
    """What is plotted as lines, which still are."""
    lines, plot = [], plt.Axes.plot

    def spied(self, x, y, *args, **kwargs):
        lines.append((list(x), list(y)))
        return plot(self, x, y, *args, **kwargs)

    monkeypatch.setattr(plt.Axes, 'plot', spied)
    return lines


SHIPPED_RUN = experiments.FIGURES / 'online-sac' / 'Hopper-v5'


@pytest.mark.parametrize(
    ('configs', 'num_members'), [(case_files.configs, [10] * 5), (alpha_sweep.configs, [50])]
)
def test_configs_are_valid_and_on_one_footing(configs: Callable, num_members: list[int]):
    found = configs()
    for config in found:
        train.validate(config)
    assert [len(members.members(config)) for config in found] == num_members
    for key in ('dataset', 'num_updates', 'batch_size', 'final_eval_episodes'):
        assert len({config[key] for config in found}) == 1
    assert len({config.network.hidden_sizes for config in found}) == 1


def finished_run(path, dataset):
    path.mkdir()
    config = iql.get_config('mujoco')
    config.dataset = dataset
    (path / 'config.json').write_text(config.to_json_best_effort())
    settings = [{'label': '', 'score': {'mean': 50.0, 'mean_low': 40.0, 'mean_high': 60.0, 'seeds': 3}}]
    summary = {'dataset': dataset, 'updates': 1000, 'settings': settings}
    (path / 'summary.json').write_text(json.dumps(summary))
    return path


def test_a_score_stands_beside_the_published_one(tmp_path):
    runs = {
        'local/hopper/medium-v0': ('hopper-medium', 67.53),
        'local/walker2d/medium-expert-50k-v0': ('walker2d-medium-expert', 111.72),
        'local/hopper/random-v0': ('hopper-random', None),
    }
    for index, (dataset, expected) in enumerate(runs.items()):
        (found,) = d4rl_scores.results_of(finished_run(tmp_path / str(index), dataset))
        assert (found.dataset, found.published) == expected
        assert (found.algorithm, found.updates) == ('IQL', 1000)
    d4rl_scores.draw([found], tmp_path / 'scores.png')
    assert (tmp_path / 'scores.png').stat().st_size > 10_000
    others = ('D4RL/pen/human-v2', 'local/pointmaze/umaze-v0', 'local/hopper/expert-random50-v0')
    for index, other in enumerate(others):
        with pytest.raises(UserError, match=f"is on {other}, none of D4RL's compositions"):
            d4rl_scores.results_of(finished_run(tmp_path / f'other{index}', other))


def test_a_curve_has_every_evaluation_of_every_member(tmp_path):
    rows = [
        {'step': step, 'event': event, 'member': member, 'measures': {'score': step + member}}
        for step in (20, 10) for member in (1, 0) for event in ('evaluation', 'training')
    ]  # fmt: skip
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    steps, scores = experiments.curve(tmp_path)
    np.testing.assert_array_equal(steps, [10, 20])
    np.testing.assert_array_equal(scores, [[10, 11], [20, 21]])
    (tmp_path / 'metrics.jsonl').write_text('')
    with pytest.raises(UserError, match='holds no evaluations'):
        experiments.curve(tmp_path)


def test_the_datasets_that_there_are_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    scores = {
        (env_id, name): rng.normal(50, 10, 30)
        for env_id in locomotion_datasets.REPLAY_STEPS for name in locomotion_datasets.COMPOSITIONS
    }  # fmt: skip
    del scores['Walker2d-v5', 'medium']
    locomotion_datasets.draw(scores, tmp_path / 'sets.png')
    assert (tmp_path / 'sets.png').stat().st_size > 10_000


def test_stitching_compares_ten_seeds_each_on_one_log():
    found = stitching.configs()
    for config in found:
        train.validate(config)
        assert len(members.members(config)) == 10
    assert {config.dataset for config in found} == {'local/crossroads/stitch-v0'}
    assert len({config.num_updates for config in found}) == 1
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
    monkeypatch.setattr(composition.train, 'train', lambda config: finished_run(
        tmp_path / str(next(runs)), config.dataset
    ))  # fmt: skip
    monkeypatch.setattr(composition.cli, 'use_all_cores', lambda: None)
    monkeypatch.setattr(experiments, 'FIGURES', tmp_path)
    composition.main([''])
    printed = capsys.readouterr().out
    assert '| random steps | 0 % | 50 % | 75 % | 90 % |' in printed
    for name in ('BC', 'CQL', 'IQL', 'DECISION TRANSFORMER'):
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
    with pytest.raises(UserError, match='is a run of iql, which cannot be asked for returns'):
        return_conditioning.main(['', str(finished_run(tmp_path / 'other', 'd'))])


def test_fine_tuning_goes_on_where_learning_offline_ended(tmp_path, monkeypatch, plotted):
    (tmp_path / 'online').mkdir()
    offline = finished_run(tmp_path / 'offline', 'd')
    config = ConfigDict({'algorithm': 'iql', 'from_run': str(offline)})
    (tmp_path / 'online' / 'config.json').write_text(config.to_json())
    for run, last in ((offline, 40.0), (tmp_path / 'online', 80.0)):
        rows = [
            {'step': step, 'event': 'evaluation', 'member': 0, 'measures': {'score': score}}
            for step, score in ((10, 20.0), (20, last))
        ]
        (run / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    shutil.copy(SHIPPED_RUN / 'problem.json', offline)
    monkeypatch.setattr(experiments, 'FIGURES', tmp_path)
    offline_to_online.main(['', str(tmp_path / 'online')])
    assert plotted == [([-0.01, 0], [20, 40]), ([0, 0.01, 0.02], [40, 20, 80])]
    assert (tmp_path / 'offline-to-online.png').exists()
    with pytest.raises(UserError, match='continues no offline run'):
        offline_to_online.main(['', str(SHIPPED_RUN)])


def test_online_curves_are_drawn_with_or_without_offline_ones(tmp_path, plotted):
    online_against_offline.draw([(SHIPPED_RUN,), (SHIPPED_RUN, SHIPPED_RUN)], tmp_path / 'o.png')
    steps, scores = experiments.curve(SHIPPED_RUN)
    assert plotted == [(list(steps / 1_000), scores[:, 0].tolist())] * 3
    assert (tmp_path / 'o.png').exists()
    with pytest.raises(UserError, match='ONLINE_RUN:OFFLINE_RUN'):
        online_against_offline.main(['', 'a:b:c'])

"""What a run of any algorithm must do, over all of them and both kinds of actions."""

import json
from typing import NamedTuple

import numpy as np
import pytest
from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from launch import train
from launch.report import summary
from launch.run import learners, metrics, policies, rollouts
from launch.run.lanes import Lanes
from launch.run.turns import finish
from tests.algorithms.helpers import CONFIGS
from tests.conftest import collect, store
from tests.data.plane import PLANE_ID
from tests.launch.helpers import small_config, written_preferences

# Three members on two devices.
SEEDS = 3
CASES = [(name, kind) for name, module in ALGORITHMS.items() for kind in module.ACTIONS]


class Run(NamedTuple):
    """A finished run, and what it printed."""

    config: ConfigDict
    restored: policies.Restored
    printed: str


@pytest.fixture(scope='module', params=CASES, ids='-'.join)
def run(request, tmp_path_factory):
    algorithm, kind = request.param
    path = tmp_path_factory.mktemp('contract')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MINARI_DATASETS_PATH', str(path / 'minari'))
        if 'goals' in CONFIGS[algorithm].DOMAINS and 'mujoco' not in CONFIGS[algorithm].DOMAINS:
            store('test/log-v0', collect(PLANE_ID, 10, 20), PLANE_ID)
        elif kind == 'continuous':
            store('test/log-v0', collect('Pendulum-v1', 10, 30), 'Pendulum-v1')
        else:
            store('test/log-v0', collect('CartPole-v1', 30, 30), 'CartPole-v1', scores=(20.0, 500.0))
        config = small_config(
            'test/log-v0', algorithm, num_seeds=SEEDS, run_dir=str(path / 'run'),
            standardize_observations=True, num_updates=20, log_interval=1, eval_interval=10,
        )  # fmt: skip
        if 'preferences' in config:
            config.preferences = written_preferences(path / 'pairs.csv', 'test/log-v0')
        printed = []
        patch.setattr('builtins.print', lambda *words, **_: printed.append(' '.join(map(str, words))))
        learns_policy = policies.are_learned(algorithm)
        restore = policies.restore if learns_policy else policies.restore_rewards
        restored = restore(train.train(config))
        yield Run(config, restored, '\n'.join(printed))


def test_it_leaves_a_complete_directory(run):
    path = run.restored.path
    assert {entry.name for entry in path.iterdir()} == {
        'config.json', 'dataset.json', 'problem.json', 'metrics.jsonl', 'summary.json',
        'learning_curves.png', 'checkpoints', 'tensorboard',
    }  # fmt: skip
    rows = metrics.read(path)
    steps = {event: [row['step'] for row in rows if row['event'] == event]
             for event in ('training', 'evaluation')}  # fmt: skip
    assert steps == {
        'training': sorted([*range(1, 21)] * SEEDS), 'evaluation': [10] * SEEDS + [20] * SEEDS
    }  # fmt: skip
    (setting,) = summary.read(path)['settings']
    final = [row['measures'] for row in rows[-SEEDS:]]
    measure, style = 'return', '.3f'
    if not policies.are_learned(run.config.algorithm):
        measure, style = 'pair_agreement', '.1%'
    assert setting[measure]['mean'] == pytest.approx(np.mean([each[measure] for each in final]))
    assert f'{setting[measure]["mean"]:{style}}' in run.printed
    assert ALGORITHMS[run.config.algorithm].NAME in run.printed
    assert all(np.isfinite(list(each.values())).all() for each in final)
    module = ALGORITHMS[run.config.algorithm]
    assert ('claimed_value' in final[0]) == hasattr(module, 'claimed_value')
    training, *others = (row for row in rows if row['event'] == 'training')
    # No two members are alike.
    for name in (f'learner/{name}' for name in module.METRICS if name.endswith('_loss')):
        losses = [row['measures'][name] for row in (training, *others) if row['step'] in (10, 20)]
        assert len(set(losses)) == 2 * SEEDS
    assert {f'learner/{name}' for name in module.METRICS} < set(training['measures'])
    assert json.loads((path / 'config.json').read_text())['algorithm'] == run.config.algorithm


def test_its_policies_are_restored_as_they_were_judged(run):
    restored = run.restored
    assert restored.finite.all() and restored.updates == 20
    assert learners.all_finite(restored.states, SEEDS).all()
    if not policies.are_learned(run.config.algorithm):
        return
    with Lanes(restored.problem, SEEDS, 2) as lanes:
        judged = finish(rollouts.judge(
            restored.learner, restored.states, lanes, restored.finite, 2, 0, restored.target_returns
        ))  # fmt: skip
    final = [row for row in metrics.read(restored.path) if row['event'] == 'evaluation'][-SEEDS:]
    for (member, measured), row in zip(judged, final, strict=True):
        assert (member.setting, member.seed) == (row['setting'], row['seed'])
        assert measured == pytest.approx(row['measures'])

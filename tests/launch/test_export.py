import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from data import actions
from data.types import Spec
from launch import export
from launch.cli import UserError
from launch.report import choosing
from launch.run import agreement, directory, exporting, graphs
from tests.data import helpers
from tests.launch.exports import OBSERVATIONS, TABLE, actions_in_code, clinic, made_run
from tests.launch.helpers import program, small_config
from tests.launch.report.test_choosing import estimated, restored

HEADER = TABLE.splitlines()[0]


def predict(folder: Path, table: str) -> list[list[str]]:
    """The lines that the program in a folder writes for a table."""
    specification = importlib.util.spec_from_file_location('predict', folder / 'predict.py')
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    (folder / 'table.csv').write_text(table)
    module.main(str(folder / 'table.csv'), str(folder / 'actions.csv'))
    return list(csv.reader((folder / 'actions.csv').open()))


def test_exported_policies_act_as_the_code_does(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, '_ROWS', 16)
    # One that has memory, and labels; all others are in test_export_environments.
    name = 'decision_transformer'
    run = made_run(tmp_path / f'{name}-run', name, clinic('discrete'), num_seeds=2)
    folder, target = tmp_path / name, 0.7
    about = exporting.write(folder, run, 1, target, {})
    assert sorted(file.name for file in folder.iterdir()) == [
        'policy.json', 'policy.onnx', 'policy.stablehlo', 'predict.py',
    ]  # fmt: skip
    assert json.loads((folder / 'policy.json').read_text()) == about
    (header, *lines), wanted = predict(folder, TABLE), actions_in_code(run, 1, target)
    assert [line[:2] for line in lines] == [['b', '1'], ['a', '2'], ['a', '1'], ['a', '3']]
    assert header == ['patient', 'visit', 'treatment']
    assert [line[2] for line in lines] == wanted.tolist()
    assert not list(tmp_path.glob('.*'))

    # It needs to know whose steps are whose, and what they earned.
    with pytest.raises(SystemExit, match='has no column patient, survived, which the policy reads'):
        predict(folder, HEADER.replace('patient', 'x').replace('survived', 'y'))
    with pytest.raises(SystemExit, match="row 1, column 'survived': could not convert string to float"):
        predict(folder, f'{HEADER}\na,1,1,2026-01-02,icu,1,\na,2,1,2026-01-02,icu,1,')

    # Nothing stays of a policy that acts otherwise.
    graph = graphs.build(run, 0)
    monkeypatch.setattr(graphs, 'build', lambda *_: graph)
    with pytest.raises(UserError, match='policy.onnx acts otherwise than the code, by up to'):
        exporting.write(tmp_path / 'other', run, 1, -5.0, {})
    assert not (tmp_path / 'other').exists()
    assert not list(tmp_path.glob('.*'))


def test_the_graph_of_a_policy_that_asks_several_critics_acts_as_the_code_does(tmp_path):
    run = made_run(tmp_path / 'run', 'ifql', clinic('continuous'), num_seeds=2)
    graph = graphs.build(run, 1)
    action = graph.action_map.to_environment(np.asarray(graph.unmapped(OBSERVATIONS)[0]))
    np.testing.assert_allclose(action, actions_in_code(run, 1), atol=1e-5)


@pytest.fixture
def folder(tmp_path):
    """predict.py with a graph whose action is the observation."""
    onnx = pytest.importorskip('onnx')
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ['batch', 6])
        for name in ('observation', 'action')
    ]
    identity = onnx.helper.make_node('Identity', ['observation'], ['action'])
    graph = onnx.helper.make_graph([identity], 'policy', values[:1], values[1:])
    opset = [onnx.helper.make_opsetid('', 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / 'policy.onnx')
    given = {'name': 'observation', 'shape': ['batch', 6], 'dtype': 'float32', 'initial': 0}
    about = exporting.of_table(clinic('continuous')) | {'inputs': [given]}
    about['actions']['columns'] = [f'entry {i}' for i in range(6)]
    (tmp_path / 'policy.json').write_text(json.dumps(about))
    (tmp_path / 'predict.py').write_text(exporting.PREDICT.read_text())
    return tmp_path


def test_observations_are_those_of_the_table(folder):
    header, *lines = predict(folder, TABLE)
    assert header[:3] == ['patient', 'visit', 'entry 0']
    np.testing.assert_allclose(np.array(lines)[:, 2:].astype(float), OBSERVATIONS)
    # Without the episodes nothing is carried, and without their order rows stand in it.
    for name, lactate in (('patient', 2.5), ('visit', 2.5)):
        header, *lines = predict(folder, TABLE.replace(name, 'unknown'))
        assert name not in header
        assert float(lines[1][header.index('entry 4')]) == lactate
    assert predict(folder, HEADER)[1:] == []


BOXES = [
    Box(np.array([0, 10], np.uint8), np.array([255, 250], np.uint8), dtype=np.uint8),
    Box(-128, 127, (1, 2), np.int8),
    Box(np.array([0, -5]), np.array([20, 2**31 - 1]), dtype=np.int32),
    Box(np.array([-(2**63), 1]), np.array([2**63 - 1, 2**53 + 1]), dtype=np.int64),
    Box(np.array([0.05, -0.1]), np.array([0.3, np.pi]), dtype=np.float64),
    Box(np.array([-3, 0.1], np.float32), np.array([0.4, 0.7], np.float32)),
]


@pytest.mark.parametrize('space', BOXES, ids=str)
def test_exported_actions_are_the_very_same(tmp_path, space):
    """Of a policy that reads off what it does: bounds, and what lies just beside halves of integers."""
    reach = np.array([[0.0, 0.0], [1, 1]]), space.low.ravel().astype(float), space.high.ravel() * 1.0
    action_map = actions.from_space(space, 'here', reach[1:])
    units = np.linspace(-1.25, 1.25, 2001, dtype=np.float32)
    observations = np.stack([units, np.roll(units, 700)], axis=1)
    wanted = action_map.to_environment(observations)
    rows = graphs.Value('observation', (2,), np.dtype(np.float32))
    acted = graphs.Value('action', space.shape, space.dtype)
    graph = graphs.Graph(
        lambda rows: [action_map.to_environment(rows)], lambda rows: [rows * np.float32(1)], action_map,
        [rows], [acted], {},
    )  # fmt: skip
    (tmp_path / 'onnx').write_bytes(graphs.to_onnx(graph))
    (tmp_path / 'hlo').write_bytes(graphs.to_stablehlo(graph))
    found = {
        'onnx': agreement._onnx(tmp_path / 'onnx'), 'hlo': agreement._stablehlo(tmp_path / 'hlo')
    }  # fmt: skip
    for name, call in found.items():
        (got,) = map(np.asarray, call([observations]))
        assert got.dtype == space.dtype and all(map(space.contains, got)), name
        # XLA may fuse a product and a sum, which rounds once less.
        limit = 4 * np.spacing(np.abs(wanted)) if space.dtype == np.float64 else 0
        if space.dtype.itemsize == 8 and space.dtype.kind == 'i':
            limit = 2**11
        assert np.all(np.abs(got.astype(np.longdouble) - wanted) <= limit), name
        for end, bound in ((-1, space.low), (1, space.high)):
            there = (end * observations >= 1).reshape(got.shape)
            assert there.any()
            np.testing.assert_array_equal(got[there], np.broadcast_to(bound, got.shape)[there])


@pytest.mark.parametrize(
    'row, message',
    [
        ('a,1,old,2026-01-02,icu,1,0', "row 1, column 'age': could not convert string to float: 'old'"),
        ('a,1,,2026-01-02,icu,1,0', "row 1, column 'age': could not convert string to float: ''"),
        ('a,1,inf,2026-01-02,icu,1,0', "row 1, column 'age': 'inf' is no finite number"),
        ('a,1,40,yesterday,icu,1,0', "row 1, column 'arrival': Invalid isoformat string: 'yesterday'"),
        ('a,1,40,2026-01-02,attic,1,0', "row 1, column 'ward': 'attic' is none of icu, surgery"),
        ('a,1,40,2026-01-02,,1,0', "row 1, column 'ward': '' is none of icu, surgery"),
        ('a,x,40,2026-01-02,icu,1,0', "row 1, column 'visit': could not convert string to float: 'x'"),
        (',1,40,2026-01-02,icu,1,0', "row 1, column 'patient': it is missing"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(folder, row, message):
    with pytest.raises(SystemExit, match=message):
        predict(folder, f'{HEADER}\n{row}')
    assert not (folder / 'actions.csv').exists()


def test_ragged_rows_are_named(folder):
    for cells in ('a,1,40,2026-01-02,icu,1', 'a,1,40,2026-01-02,icu,1,0,0'):
        with pytest.raises(SystemExit, match='row 1: 7 cells are needed, as in the header'):
            predict(folder, f'{HEADER}\n{cells}')


def test_missing_columns_are_named(folder):
    with pytest.raises(SystemExit, match='table.csv has no column age, ward, which the policy reads'):
        predict(folder, 'patient,visit,arrival,lactate\n')
    with pytest.raises(SystemExit, match='has no column age, arrival, lactate, ward'):
        predict(folder, '')


def test_what_goes_in_and_out_without_a_table():
    action_map = actions.from_space(Box(-2, 3, (2, 3)), 'here')
    task = helpers.problem(Spec(2, 6, False), action_map=action_map, delayed_rewards=True)
    about = exporting.of_table(task)
    assert [each['column'] for each in about['features']] == ['observation_0', 'observation_1']
    assert about['columns'] == {'episode': 'episode', 'order': '', 'reward': ''}
    assert about['actions']['columns'] == [f'action_{i}' for i in range(6)]
    assert about['actions']['high'] == [3] * 6
    task = helpers.problem(Spec(2, 3, True), action_map=actions.from_space(Discrete(3, start=5), 'here'))
    acted = exporting.of_table(task)['actions']
    assert (acted['columns'], acted['first'], acted['labels']) == (['action'], 5, [[5], [6], [7]])


def test_where_nothing_can_be_written_nothing_is_begun(tmp_path, monkeypatch):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'something').touch()
    result = program('launch.export', '--run_dir=nowhere', f'--output={tmp_path / "full"}')
    assert (result.returncode, result.stderr[:5]) == (1, 'error')
    assert 'full is there already and no empty folder; choose another --output' in result.stderr
    assert 'which run?' in program('launch.export').stderr
    both = program('launch.export', '--run_dir=nowhere', '--member=1', '--setting=a=1')
    assert '--member and --setting both choose a member' in both.stderr
    assert 'nowhere holds no run' in program('launch.export', '--run_dir=nowhere').stderr
    monkeypatch.setattr(exporting, 'find_spec', lambda name: None)
    assert (
        "exporting needs jax2onnx and onnxruntime, which pip install -e '.[export]' installs"
        in program('launch.export', '--run_dir=nowhere').stderr
    )


def test_where_a_policy_comes_from(tmp_path):
    config = small_config('test/made-v0', 'iql')
    directory.create(tmp_path, config)
    run = restored(tmp_path)
    known = choosing.read(estimated(tmp_path, 0.1, None), run, None)
    said = export.source(choosing.asked(run, 0, known, None), known)
    assert said['policy']['setting'] == {'expectile': 0.7}
    assert (said['warning'], said['value']['estimates']['FQE']['value']) == ('', 0.1)
    assert (said['value']['estimator'], said['value']['discount']) == ('FQE', 0.9)
    assert said['run']['hash'] == directory.digest(config)
    assert directory.default_path(config, 'data').name.endswith(said['run']['hash'])
    said = export.source(choosing.asked(run, 1, known, None), known)
    assert said['warning'] == 'The log cannot tell what this policy earns: FQE cannot say.'
    said = export.source(choosing.asked(run, 2, known, None), known)
    assert said['warning'].startswith('Nothing has estimated what this policy earns')

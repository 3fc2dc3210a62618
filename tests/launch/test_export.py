import csv
import importlib.util
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from data import actions
from data.types import Spec
from launch import export
from launch.cli import UserError
from launch.run import directory, exporting
from launch.run.members import Member
from tests.data import helpers
from tests.launch.exports import OBSERVATIONS, TABLE, actions_in_code, clinic, made_run
from tests.launch.helpers import program

# One of each kind: labels; noise to act; memory.
CASES = (('bc', 'discrete'), ('bcq', 'continuous'), ('decision_transformer', 'discrete'))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where predict.py stands with a graph whose actions are the first entries of observations."""
    onnx = pytest.importorskip('onnx')
    numbers = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Identity', ['observation'], ['action'])], 'policy',
        [onnx.helper.make_tensor_value_info('observation', numbers, ['batch', 6])],
        [onnx.helper.make_tensor_value_info('action', numbers, ['batch', 6])],
    )  # fmt: skip
    opset = [onnx.helper.make_opsetid('', 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / 'policy.onnx')
    about = exporting._table(clinic('continuous')) | {
        'inputs': [{'name': 'observation', 'shape': ['batch', 6], 'dtype': 'float32', 'initial': 0}],
    }
    about['actions']['columns'] = [f'entry {i}' for i in range(6)]
    (tmp_path / 'policy.json').write_text(json.dumps(about))
    return tmp_path


def predict(folder, table=None):
    """predict.py's lines on a table of this text."""
    file = exporting.__file__.replace('exporting', 'predict')
    specification = importlib.util.spec_from_file_location('predict', file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.HERE = folder
    if table is not None:
        (folder / 'table.csv').write_text(table)
    module.main(str(folder / 'table.csv'), str(folder / 'actions.csv'))
    return list(csv.reader((folder / 'actions.csv').open()))

"""Exported policies where nothing else is installed: onnxruntime alone, and jax alone."""

import csv
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest

from launch.run import exporting
from tests.launch.exports import EPISODES, OBSERVATIONS, TABLE, actions_in_code, clinic, made_run
from tests.launch.helpers import algorithms_and_actions

TARGET = 0.7
# Leads the policies of all folders through the table of a clinic, and keeps their actions.
JAX = """
import json, pathlib, sys
import jax.export, numpy as np
from_file = np.load(sys.argv[1])
episodes = json.loads(sys.argv[2])
for folder in map(pathlib.Path, sys.argv[3:]):
    about = json.loads((folder / 'policy.json').read_text())
    policy = jax.export.deserialize(bytearray((folder / 'policy.stablehlo').read_bytes()))
    assert policy.platforms == ('cpu', 'cuda')
    actions = [None] * len(from_file)
    for rows, rewards in episodes:
        given = {
            each['name']: np.full((1, *each['shape'][1:]), each['initial'], each['dtype'])
            for each in about['inputs']
        }
        for row, reward in zip(rows, rewards):
            given['observation'] = from_file[[row]]
            if 'reward' in given:
                given['reward'] = np.array([reward], np.float32)
            actions[row], *after = map(np.asarray, policy.call(*given.values()))
            given |= {f'memory_{name}': each for name, each in zip(
                [each['name'].removeprefix('next_memory_') for each in about['outputs'][1:]], after)}
    np.save(folder / 'actions.npy', np.concatenate(actions))
"""


def environment(path: Path, *packages: str) -> Path:
    """A fresh one with these packages; its Python."""
    venv.create(path, with_pip=True)
    python = path / 'bin' / 'python'
    subprocess.run([python, '-m', 'pip', 'install', '--quiet', *packages], check=True)
    return python


@pytest.mark.slow
def test_policies_act_where_nothing_else_is_installed(tmp_path):
    (tmp_path / 'table.csv').write_text(TABLE)
    np.save(tmp_path / 'observations.npy', OBSERVATIONS)
    expected = {}
    for name, kind in algorithms_and_actions():
        run = made_run(tmp_path / f'run-{name}-{kind}', name, clinic(kind), num_seeds=2)
        target = TARGET if run.target_returns else None
        folder = tmp_path / f'{name}-{kind}'
        exporting.write(folder, run, 1, target, {})
        expected[folder] = (kind, actions_in_code(run, 1, target))

    onnx = environment(tmp_path / 'onnx', 'onnxruntime')
    for folder, (kind, wanted) in expected.items():
        # -I: nothing of this repository is on the path.
        command = [onnx, '-I', folder / 'predict.py', tmp_path / 'table.csv', folder / 'actions.csv']
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, '', ''), folder
        header, *lines = csv.reader((folder / 'actions.csv').open())
        assert header[:2] == ['patient', 'visit']
        found = np.array([line[2:] for line in lines])
        if kind == 'discrete':
            assert found[:, 0].tolist() == wanted.tolist(), folder
        else:
            np.testing.assert_allclose(found.astype(float), wanted, atol=1e-5, err_msg=str(folder))

    # jax.export asks for flatbuffers to read what it wrote.
    jax = environment(tmp_path / 'jax', 'jax', 'flatbuffers')
    episodes = str([[list(each) for each in episode] for episode in EPISODES.values()])
    arguments = [tmp_path / 'observations.npy', episodes, *expected]
    subprocess.run([jax, '-I', '-c', JAX, *arguments], check=True)
    for folder, (kind, wanted) in expected.items():
        found = np.load(folder / 'actions.npy')
        if kind == 'discrete':
            assert np.array(clinic(kind).columns.labels)[found].tolist() == wanted.tolist(), folder
        else:
            np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=str(folder))

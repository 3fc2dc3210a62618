"""A policy as a folder that needs none of this code.

    policy.stablehlo   for jax alone, on cpu and cuda
    policy.onnx        the same graph
    policy.json        what goes in, what comes out, and where the policy comes from
    predict.py         a CSV in, a CSV of actions out, with onnxruntime alone
"""

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data.columns import Feature
from data.problem import Problem
from launch.cli import UserError
from launch.run import agreement, documents, graphs
from launch.run.graphs import Graph
from launch.run.policies import Restored

PREDICT = Path(__file__).with_name('predict.py')
_STABLEHLO, _ONNX, _ABOUT = 'policy.stablehlo', 'policy.onnx', 'policy.json'
_USE = {
    PREDICT.name: 'Python 3.11; pip install onnxruntime; python predict.py table.csv actions.csv',
    _ONNX: 'onnxruntime.InferenceSession("policy.onnx").run(None, {name: array for each of "inputs"})',
    _STABLEHLO: (
        'pip install jax flatbuffers; jax.export.deserialize(bytearray(open("policy.stablehlo", "rb")'
        '.read())).call(an array for each of "inputs", in order)'
    ),
}
_FEATURES = (
    'Entries of "observation", in order. number: the cell of the column; time: days from origin to it; '
    'category: 1 where the cell is category, 0 elsewhere; missing: 1 where the cell is missing, 0 '
    'elsewhere. A missing cell is the last known one of the episode if carried, else fill; without a '
    'fill it is an error.'
)
_RANDOMNESS = (
    'None: one observation, one action. Where the algorithm draws to act, as BCQ its proposals, what it '
    "draws is in the graph: drawn once with the member's seed, the same for all observations."
)


def write(
    output: Path, run: Restored, member: int, target_return: float | None, source: dict[str, Any]
) -> dict[str, Any]:
    """Writes the folder, which appears whole or not at all; returns what is in policy.json.

    Args:
        output: the folder; `check_free` has seen it.
        run, member: whose policy.
        target_return: that policy.json asks a return-conditioned policy for; None for all others.
        source: what policy.json says of where the policy comes from.

    Raises:
        UserError: what was exported acts otherwise than the code.
    """
    graph = graphs.build(run, member)
    output.parent.mkdir(parents=True, exist_ok=True)
    building = output.with_name(f'.{output.name}.unfinished')
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        (building / _STABLEHLO).write_bytes(graphs.to_stablehlo(graph))
        (building / _ONNX).write_bytes(graphs.to_onnx(graph))
        about = {
            'use': _USE,
            'inputs': _inputs(graph, target_return),
            'outputs': [value.to_json() for value in graph.outputs],
            **of_table(run.problem),
            'memory': _memory(graph, run),
            'randomness': _RANDOMNESS,
            **source,
            'checked': agreement.check(
                building / _ONNX, building / _STABLEHLO, graph, run, member, target_return
            ),
        }
        (building / _ABOUT).write_text(documents.dumps(about, indent=2))
        shutil.copyfile(PREDICT, building / PREDICT.name)
        building.replace(output)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return about


def check_free(output: Path) -> None:
    """Raises UserError if a folder cannot be written there, or what writes it is not installed."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f'{output} is there already and no empty folder; choose another --output.')
    missing = [name for name in ('jax2onnx', 'onnxruntime') if find_spec(name) is None]
    if missing:
        raise UserError(
            f"exporting needs {' and '.join(missing)}, which pip install -e '.[export]' installs."
        )


def _inputs(graph: Graph, target_return: float | None) -> list[dict[str, Any]]:
    """Each with what it is at the first step of an episode."""
    initial = {'target_return': target_return}
    for name, row in graph.memory.items():
        initial[name] = row.flat[0].item() if (row == row.flat[0]).all() else row.tolist()
    return [value.to_json() | {'initial': initial.get(value.name, 0)} for value in graph.inputs]


def of_table(problem: Problem) -> dict[str, Any]:
    """How a table's rows become observations, and actions a table's cells."""
    columns, action_map = problem.columns, problem.action_map
    if columns:
        features, acted = columns.features, columns.actions
        names = {'episode': columns.episode, 'order': columns.order, 'reward': columns.reward}
    else:
        size = problem.spec.observation_size // (1 + problem.goals)
        parts = ('observation', 'goal')[: 1 + problem.goals]
        features = [Feature(f'{part}_{i}', f'{part}_{i}') for part in parts for i in range(size)]
        width = 1 if action_map.discrete else action_map.size
        acted = [f'action_{i}' for i in range(width)] if width > 1 else ['action']
        names = {'episode': 'episode', 'order': '', 'reward': 'reward'}
    if problem.delayed_rewards:
        names['reward'] = ''
    if action_map.discrete:
        first = action_map.start
        labels = columns.labels if columns else range(first, first + action_map.size)
        meaning = {
            'kind': 'discrete',
            'meaning': 'Action first + i stands for the cells labels[i] of these columns.',
            'first': first,
            'labels': [list(each) if isinstance(each, tuple) else [each] for each in labels],
        }
    else:
        meaning = {
            'kind': 'continuous',
            'meaning': 'Numbers in the units of the log, between these bounds.',
            'low': action_map.low.tolist(),
            'high': action_map.high.tolist(),
        }
    return {
        'columns': names,
        'how_features': _FEATURES,
        'features': [_feature(each, features) for each in features],
        'observation_keys': list(problem.observation_keys),
        'actions': {'columns': list(acted), **meaning},
    }


def _feature(feature: Feature, features: Sequence[Feature]) -> dict[str, Any]:
    """With the categories that its column may have."""
    plain = feature._asdict()
    if feature.kind == 'category':
        plain['categories'] = [each.category for each in features if each.column == feature.column
                               and each.kind == 'category']  # fmt: skip
    return plain


def _memory(graph: Graph, run: Restored) -> str:
    """How a policy that remembers is fed."""
    if not graph.memory:
        return 'None: an action depends on its observation alone.'
    said = (
        'At the first step of an episode each input memory_... is its initial value, later the output '
        'next_memory_... of the step before.'
    )
    if run.learner.form.chunk > 1:
        return said + (
            f' The policy decides on {run.learner.form.chunk} actions at a time and gives one after the '
            'other, whatever is observed meanwhile: an observation matters where memory_left is 0.'
        )
    at_end = ', and at all others: here an episode earns at its end'
    return said + (
        " The input 'reward' is what the step before earned, 0 at the first step"
        + (at_end if run.problem.delayed_rewards else '')
        + '. The policy takes the actions that it gave for those that were done.'
    )

"""A member's policy as one graph, from recorded observations to actions in the user's units.

Preprocessing and ActionMap are inside. The graph acts on each row as `act` does on a batch of that row
alone, with one key of the member: what an algorithm draws to act is drawn once, the same for all rows.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import ShapeDtypeStruct, export
from jax.extend.core import jaxpr_as_fun

from algorithms import ALGORITHMS
from launch.run import directory, rollouts
from launch.run.policies import Restored

PLATFORMS = ('cpu', 'cuda')


class Value(NamedTuple):
    """An input or output, (batch, *shape).

    Attributes:
        name: of it.
        shape, dtype: of a row.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {'name': self.name, 'shape': ['batch', *self.shape], 'dtype': str(self.dtype)}


class Graph(NamedTuple):
    """A policy as a function of arrays.

    Attributes:
        call: of the inputs in order, to the outputs in order.
        inputs: 'observation'; of policies that remember also 'reward', that of the step before, 0 at
            first; of those that are asked for a return 'target_return'; then the 'memory_...'.
        outputs: 'action', and a 'next_memory_...' for each 'memory_...'.
        memory: what an episode begins with, a row by the name of the input; {} if nothing is remembered.
    """

    call: Callable
    inputs: list[Value]
    outputs: list[Value]
    memory: dict[str, np.ndarray]


def build(run: Restored, member: int) -> Graph:
    """The graph of a run's member."""
    algorithm, task = ALGORITHMS[directory.load_config(run.path).algorithm], run.problem
    # The key of updates, which no policy reads, is no NumPy array.
    state = jax.tree.map(lambda leaf: np.asarray(leaf)[member], run.states.replace(key=None))
    # As Learners.act has it at step 0.
    key = jax.random.fold_in(run.learner.keys()[member], 0)
    memory = algorithm.init_memory(state, 1) if hasattr(algorithm, 'init_memory') else ()
    leaves, structure = jax.tree_util.tree_flatten_with_path(memory)
    initial = {
        'memory_' + jax.tree_util.keystr(path, simple=True, separator='_'): np.asarray(leaf[0])
        for path, leaf in leaves
    }
    inputs = [Value('observation', (task.spec.observation_size,), np.dtype(np.float32))]
    if initial:
        inputs.append(Value('reward', (), np.dtype(np.float32)))
    if run.target_returns:
        inputs.append(Value('target_return', (), np.dtype(np.float32)))
    inputs += [Value(name, leaf.shape, leaf.dtype) for name, leaf in initial.items()]

    def act(*row):
        given = {value.name: each[None] for value, each in zip(inputs, row)}
        asked = state
        if run.target_returns:
            asked = rollouts.asked_for(state, given['target_return'][0])
        before = jax.tree.unflatten(structure, [given[name] for name in initial])
        observation = task.preprocessing.observation(given['observation'])
        reward = given.get('reward', jnp.zeros(1))
        action, after = algorithm.act(asked, before, observation, reward, key)
        return [each[0] for each in (task.action_map.to_environment(action), *jax.tree.leaves(after))]

    # What depends on the key alone becomes a constant: ONNX has not jax's random numbers.
    with exactly(), jax.ensure_compile_time_eval():
        traced = jax.make_jaxpr(act)(*(ShapeDtypeStruct(each.shape, each.dtype) for each in inputs))
    names = ['action', *(f'next_{name}' for name in initial)]
    outputs = [Value(name, each.shape, each.dtype) for name, each in zip(names, traced.out_avals)]
    of_row = jaxpr_as_fun(traced)
    return Graph(jax.vmap(lambda *row: of_row(*row)), inputs, outputs, initial)


def exactly() -> Any:
    """Products in full float32, where accelerators would round their factors."""
    return jax.default_matmul_precision('highest')


def to_stablehlo(graph: Graph) -> bytes:
    """What jax.export.deserialize reads."""
    return export.export(jax.jit(graph.call), platforms=PLATFORMS)(*_arguments(graph)).serialize()


def to_onnx(graph: Graph) -> bytes:
    """An ONNX model."""
    # Here, since it takes seconds.
    import jax2onnx

    with _quiet('onnx_ir'):
        model = jax2onnx.to_onnx(
            graph.call,
            _arguments(graph),
            model_name='policy',
            input_names=[value.name for value in graph.inputs],
            output_names=[value.name for value in graph.outputs],
        )
    return model.SerializeToString()


def _arguments(graph: Graph) -> list[ShapeDtypeStruct]:
    (batch,) = export.symbolic_shape('batch')
    return [ShapeDtypeStruct((batch, *value.shape), value.dtype) for value in graph.inputs]


@contextlib.contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Without a library's warnings."""
    found = logging.getLogger(logger)
    level = found.level
    found.setLevel(logging.ERROR)
    try:
        yield
    finally:
        found.setLevel(level)

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
from data.actions import ActionMap
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
        unmapped: the same with the algorithm's action for the environment's.
        action_map: between these.
        inputs: 'observation'; of policies that remember also 'reward', that of the step before, 0 at
            first; of those that are asked for a return 'target_return'; then the 'memory_...'.
        outputs: 'action', and a 'next_memory_...' for each 'memory_...'.
        memory: what an episode begins with, a row by the name of the input; {} if nothing is remembered.
    """

    call: Callable
    unmapped: Callable
    action_map: ActionMap
    inputs: list[Value]
    outputs: list[Value]
    memory: dict[str, np.ndarray]


def build(run: Restored, member: int) -> Graph:
    """The graph of a run's member."""
    algorithm, task = ALGORITHMS[directory.load_config(run.path).algorithm], run.problem
    # The key of updates, which no policy reads, is no NumPy array. What jax traces must not be one.
    states = jax.tree.map(lambda leaf: np.asarray(leaf)[member], run.states.replace(key=None))
    state = jax.tree.map(jnp.asarray, states)
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
        return [each[0] for each in (action, *jax.tree.leaves(after))]

    # What depends on the key alone becomes a constant: ONNX has not jax's random numbers.
    with exactly(), jax.ensure_compile_time_eval():
        traced = jax.make_jaxpr(act)(*(ShapeDtypeStruct(each.shape, each.dtype) for each in inputs))
    unmapped = jax.vmap(jaxpr_as_fun(traced))

    def call(*arrays):
        action, *after = unmapped(*arrays)
        return [task.action_map.to_environment(action), *after]

    names = ['action', *(f'next_{name}' for name in initial)]
    first, *others = traced.out_avals
    kinds = [(task.action_map.shape, task.action_map.dtype or first.dtype),
             *((each.shape, each.dtype) for each in others)]  # fmt: skip
    outputs = [Value(name, shape, np.dtype(kind)) for name, (shape, kind) in zip(names, kinds)]
    return Graph(call, unmapped, task.action_map, inputs, outputs, initial)


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
            graph.unmapped,
            _arguments(graph),
            model_name='policy',
            input_names=[value.name for value in graph.inputs],
            output_names=['action_of_algorithm', *(value.name for value in graph.outputs[1:])],
        )
    _append_map(model.graph, graph)
    return model.SerializeToString()


def _append_map(model: Any, graph: Graph) -> None:
    """ActionMap.to_environment in ONNX's own float64, which jax2onnx has not beside float32."""
    from onnx import TensorProto, helper, numpy_helper

    mapped = graph.action_map
    nodes, last = [], 'action_of_algorithm'

    def constant(value) -> str:
        name = f'action_constant_{len(model.initializer)}'
        model.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, *inputs: str, **attributes) -> str:
        name = f'action_{kind.lower()}_{len(nodes)}'
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    if mapped.discrete:
        last = node('Add', last, constant(np.array(mapped.start, graph.outputs[0].dtype)))
    else:
        kind = helper.np_dtype_to_tensor_dtype(mapped.low.dtype)
        one, low, high = (
            constant(each.astype(np.float64)) for each in (np.array(1), mapped.low, mapped.high)
        )
        unit = node('Clip', node('Cast', last, to=TensorProto.DOUBLE), constant(-1.0), one)
        share = node('Mul', node('Add', unit, one), constant(0.5))
        rest = node('Sub', one, share)
        last = node('Add', node('Mul', low, rest), node('Mul', high, share))
        if mapped.low.dtype.kind in 'iub':
            last = node('Round', last)
        for limit, inner in zip(('Max', 'Min'), mapped.inner()):
            last = node(limit, last, constant(inner))
        last = node('Cast', last, to=kind)
        if mapped.wide:
            for end, bound in ((0.0, mapped.low), (1.0, mapped.high)):
                last = node('Where', node('Equal', share, constant(end)), constant(bound), last)
        last = node('Reshape', last, constant(np.array([-1, *mapped.shape], np.int64)))
    nodes.append(helper.make_node('Identity', [last], ['action']))
    model.node.extend(nodes)
    action = graph.outputs[0]
    kind = helper.np_dtype_to_tensor_dtype(action.dtype)
    outputs = [helper.make_tensor_value_info('action', kind, ['batch', *action.shape])]
    outputs += model.output[1:]
    del model.output[:]
    model.output.extend(outputs)


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

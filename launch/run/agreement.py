"""Whether exported policies act as the code does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax import export
from minari.storage.datasets_root_dir import get_dataset_path

from data import loading
from data.problem import Problem
from launch.cli import UserError
from launch.run import graphs, rollouts
from launch.run.graphs import Graph
from launch.run.policies import Restored

# The inputs of a graph to its outputs, both in order.
Call = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
# Observations of each kind, random and logged.
_ROWS = 256
# Of those at once where policies remember, and the others in the steps that follow.
_LANES = 8
# Of continuous actions, in halves of their range where that is more than 1.
_TOLERANCE = 1e-5


def check(
    onnx: Path,
    stablehlo: Path,
    graph: Graph,
    run: Restored,
    member: int,
    target_return: float | None,
) -> dict[str, Any]:
    """Holds both files against the code.

    Args:
        onnx, stablehlo: the files.
        graph, run, member: what they were written of.
        target_return: that the policy is asked for; None if it is asked for none.

    Returns:
        on how many observations, and the largest difference of each file's actions.

    Raises:
        UserError: they are others.
    """
    observations, counts = _observations(run)
    steps = len(observations) // _LANES if graph.memory else 1
    observations = observations.reshape(steps, -1, run.problem.spec.observation_size)
    rewards = np.random.default_rng(1).standard_normal(observations.shape[:2]).astype(np.float32)
    rewards[0] = 0
    wanted = _in_code(run, member, target_return, observations, rewards)
    found = {'observations': counts}
    for file, call in ((onnx, _onnx(onnx)), (stablehlo, _stablehlo(stablehlo))):
        actions = _exported(call, graph, target_return, observations, rewards)
        found[file.name] = _difference(run.problem, actions, wanted, file.name)
    return found


def _observations(run: Restored) -> tuple[np.ndarray, dict[str, int]]:
    """Random ones, and of the log if it is at hand, (n, observation_size); how many of each."""
    maps, rng = run.problem.preprocessing, np.random.default_rng(0)
    size = run.problem.spec.observation_size
    parts = {'random': maps.observation_mean + maps.observation_std * rng.standard_normal((_ROWS, size))}
    if (get_dataset_path(run.problem.name) / 'data').exists():
        logged = loading.load(run.problem.name).transitions.observation
        # Another table may have been given the name since.
        if logged.shape[1] == size:
            parts['logged'] = logged[np.sort(rng.integers(len(logged), size=_ROWS))]
    return (
        np.concatenate(list(parts.values())).astype(np.float32),
        {name: len(rows) for name, rows in parts.items()},
    )


def _in_code(
    run: Restored,
    member: int,
    target_return: float | None,
    observations: np.ndarray,
    rewards: np.ndarray,
) -> np.ndarray:
    """Actions (steps, lanes, ...) of the learners, each lane acting alone."""
    learner, count = run.learner, len(run.learner.members)
    states = run.states if target_return is None else rollouts.asked_for(run.states, target_return)
    keys, lanes = learner.keys(), []
    for lane in range(observations.shape[1]):
        memory, actions = learner.init_memory(states, 1), []
        for observation, reward in zip(observations[:, lane], rewards[:, lane]):
            with graphs.exactly():
                action, memory = learner.act(
                    states,
                    memory,
                    np.broadcast_to(observation, (count, 1, len(observation))),
                    np.full((count, 1), reward),
                    keys,
                    0,
                )
            actions.append(run.problem.action_map.to_environment(action[member]))
        lanes.append(np.concatenate(actions))
    return np.stack(lanes, axis=1)


def _exported(
    call: Call,
    graph: Graph,
    target_return: float | None,
    observations: np.ndarray,
    rewards: np.ndarray,
) -> np.ndarray:
    """Actions (steps, lanes, ...) of an exported policy, all lanes at once."""
    lanes = observations.shape[1]
    given = {
        'target_return': np.full(lanes, target_return or 0, np.float32),
        **{name: np.stack([row] * lanes) for name, row in graph.memory.items()},
    }
    actions = []
    for observation, reward in zip(observations, rewards):
        given |= {'observation': observation, 'reward': reward}
        action, *after = call([given[value.name] for value in graph.inputs])
        given |= dict(zip(graph.memory, after))
        actions.append(np.asarray(action))
    return np.stack(actions)


def _onnx(file: Path) -> Call:
    # Here, since only who exports has it.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
    names = [each.name for each in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def _stablehlo(file: Path) -> Call:
    exported = export.deserialize(bytearray(file.read_bytes()))
    return lambda arrays: exported.call(*arrays)


def _difference(problem: Problem, actions: np.ndarray, wanted: np.ndarray, file: str) -> float:
    """The largest between actions.

    Raises:
        UserError: it is too large.
    """
    difference = np.abs(actions.astype(np.float64) - wanted)
    limit = 0.0
    if not problem.spec.discrete:
        action_map = problem.action_map
        halves = action_map.high.astype(np.float64) / 2 - action_map.low.astype(np.float64) / 2
        limit = _TOLERANCE * np.maximum(1, halves).reshape(action_map.shape)
        if action_map.low.dtype.kind in 'iub':
            # Half-way between two whole numbers, the last digit decides.
            limit += 1
    wrong = ~(difference <= limit)
    if wrong.any():
        raise UserError(
            f'nothing was exported: {file} acts otherwise than the code, by up to '
            f'{difference.max():.3g} in {wrong.sum()} of {wrong.size} numbers that were checked.'
        )
    return float(difference.max())

"""Runs of small networks that nobody trained, on a table of a clinic, and what its policies do in it."""

from pathlib import Path

import numpy as np
from gymnasium.spaces import Box, Discrete

from data import actions
from data.columns import Columns, Feature
from data.problem import Preprocessing, Problem
from data.types import Spec
from launch.run import directory, rollouts
from launch.run.policies import Restored
from tests.data import helpers
from tests.launch.helpers import learner_of, small_config

FEATURES = (
    Feature('age', 'age'),
    Feature('arrival', 'arrival', 'time', origin='2026-01-01T00:00:00'),
    Feature('ward=icu', 'ward', 'category', 'icu'),
    Feature('ward=surgery', 'ward', 'category', 'surgery'),
    Feature('lactate', 'lactate', carried=True, fill=2.5),
    Feature('lactate missing', 'lactate', 'missing'),
)
DOSES = Box(np.array([0.0, -5.0], np.float32), np.array([10.0, 5.0], np.float32))
LABELS = ('wait', 'fluids', 'surgery, at once')
# Two patients, whose rows stand in no order; a missing lactate is the last known one, or else 2.5.
TABLE = """\
patient,visit,age,arrival,ward,lactate,survived
b,1,50,2026-01-02,icu,,0
a,2,40.5,2026-01-03T12:00:00,surgery,,0.5
a,1,40.5,2026-01-02T00:00:00+00:00,icu,4,0.25
a,3,40.5,2026-01-11,icu,1,
"""
OBSERVATIONS = np.array(
    [
        [50, 1, 1, 0, 2.5, 1],
        [40.5, 2.5, 0, 1, 4, 1],
        [40.5, 1, 1, 0, 4, 0],
        [40.5, 10, 1, 0, 1, 0],
    ],
    np.float32,
)
# Rows of each patient in order, and what a policy has earned when it comes to each.
EPISODES = {'b': ((0,), (0,)), 'a': ((2, 1, 3), (0, 0.25, 0.5))}


def clinic(kind: str) -> Problem:
    """A table with a column of labels, or with two of doses."""
    space = Discrete(len(LABELS)) if kind == 'discrete' else DOSES
    acted = ('treatment',) if kind == 'discrete' else ('dose', 'rate')
    return helpers.problem(
        Spec(len(FEATURES), 3 if kind == 'discrete' else 2, kind == 'discrete'),
        action_map=actions.from_space(space, 'clinic'),
        preprocessing=Preprocessing(
            np.array([45, 3, 0, 0, 2, 0], np.float32), np.array([5, 3, 1, 1, 2, 1], np.float32),
            np.float32(1), np.float32(0),
        ),
        columns=Columns(
            FEATURES, acted, LABELS if kind == 'discrete' else (), 'patient', 'survived', 'visit'
        ),
    )  # fmt: skip


def made_run(path: Path, algorithm: str, task: Problem, **values) -> Restored:
    """A run whose members are as their seeds initialise them."""
    config = small_config(task.name, algorithm, run_dir=str(path), **values)
    directory.create(path, config)
    learner, targets = learner_of(config, task), tuple(config.get('target_returns', ()))
    finite = np.ones(len(learner.members), bool)
    return Restored(path, algorithm, 0, task, learner, learner.init(), targets, finite)


def actions_in_code(run: Restored, member: int, target: float | None = None) -> np.ndarray:
    """What a policy does in each row of the table, in the log's units or labels."""
    learner, count, found = run.learner, len(run.learner.members), [None] * len(OBSERVATIONS)
    states = run.states if target is None else rollouts.asked_for(run.states, target)
    for rows, rewards in EPISODES.values():
        memory = learner.init_memory(states, 1)
        for row, reward in zip(rows, rewards):
            given = np.broadcast_to(OBSERVATIONS[row], (count, 1, len(FEATURES)))
            earned = np.full((count, 1), reward)
            actions, memory = learner.act(states, memory, given, earned, learner.keys(), 0)
            found[row] = run.problem.actions(actions[member, 0])
    return np.array(found)

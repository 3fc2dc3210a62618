"""What a training in a run directory leaves, and how its policies are judged on the way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.problem import Problem
from launch.run import rollouts
from launch.run.directory import Checkpoints
from launch.run.learners import Learners
from launch.run.members import Member
from launch.run.metrics import MetricsLog


class Evaluations(NamedTuple):
    """When policies are judged, and in how many episodes each.

    Attributes:
        interval: steps between evaluations, and between the checkpoints that follow them.
        episodes: of an evaluation.
        final_episodes: of the one after the last step.
    """

    interval: int
    episodes: int
    final_episodes: int


class Record(NamedTuple):
    """What the training loop reports to.

    Attributes:
        log: takes a row of each member after every chunk and of each judgement.
        judge: (states, evaluated bool (members,), whether it is the last time) -> members as they
            were evaluated, with their measures.
        interval: steps between judgements and checkpoints.
        checkpoints: of everything that is carried from chunk to chunk.
    """

    log: MetricsLog
    judge: Callable[[Any, np.ndarray, bool], list[tuple[Member, dict[str, float]]]]
    interval: int
    checkpoints: Checkpoints


@contextmanager
def recording(
    path: Path,
    problem: Problem,
    learner: Learners,
    evaluations: Evaluations,
    target_returns: tuple[float, ...] = (),
    wandb_config: dict[str, Any] | None = None,
) -> Iterator[Record]:
    """Opens a run directory's log and checkpoints, and the environments that policies are judged in.

    Args:
        path: of the directory.
        problem, learner: of the run.
        evaluations: when to judge.
        target_returns: as in rollouts.judge.
        wandb_config: to log to Weights & Biases too; None for not.
    """
    checkpoints = Checkpoints(path)
    most_episodes = max(evaluations.episodes, evaluations.final_episodes)
    with (
        MetricsLog(path, checkpoints.latest() or 0, wandb_config) as log,
        rollouts.Environments(problem, len(learner.members), most_episodes) as envs,
    ):

        def judge(states, evaluated, final):
            episodes = evaluations.final_episodes if final else evaluations.episodes
            return rollouts.judge(
                learner, states, envs, evaluated, episodes, target_returns=target_returns
            )

        yield Record(log, judge, evaluations.interval, checkpoints)

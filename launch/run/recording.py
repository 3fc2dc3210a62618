"""What a training in a run directory leaves, and how its policies are judged on the way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.problem import Problem
from launch.run import rollouts
from launch.run.directory import Checkpoints
from launch.run.lanes import Lanes
from launch.run.learners import Learners
from launch.run.members import Member
from launch.run.metrics import MetricsLog


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
    learner: Learners,
    problem: Problem,
    interval: int,
    episodes: int,
    final_episodes: int,
    target_returns: tuple[float, ...] = (),
    wandb_config: dict[str, Any] | None = None,
) -> Iterator[Record]:
    """Opens a run directory's log and checkpoints, and the environments that policies are judged in.

    Args:
        path: of the directory.
        learner, problem: of the run.
        interval: steps between evaluations.
        episodes, final_episodes: of an evaluation, and of the one after the last step.
        target_returns: as in rollouts.judge.
        wandb_config: to log to Weights & Biases too; None for not.
    """
    checkpoints = Checkpoints(path)
    with (
        MetricsLog(path, checkpoints.latest() or 0, wandb_config) as log,
        Lanes(problem, len(learner.members), max(episodes, final_episodes)) as lanes,
    ):

        def judge(states, evaluated, final):
            number = final_episodes if final else episodes
            return rollouts.judge(
                learner, states, lanes, evaluated, number, target_returns=target_returns
            )

        yield Record(log, judge, interval, checkpoints)

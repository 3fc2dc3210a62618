"""Fitting models to a log: fitted Q functions, and the behaviour policy."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from data.problem import Problem
from launch.run import feeds, learners, loop
from launch.run.members import Member


class Schedule(NamedTuple):
    """How long a model is fitted: updates in all, in a chunk, and rows of a batch."""

    num_updates: int
    log_interval: int
    batch_size: int


def fit(
    algorithm: ModuleType,
    task: Problem,
    data: Any,
    members: list[Member],
    hparams: dict[str, float],
    network: ConfigDict,
    schedule: Schedule,
    stop: Callable[[Any], bool] | None = None,
    data_on: str = 'device',
) -> Any:
    """The members' states (learners.build) after their last update on data; nothing else is kept.

    `stop` is as in loop.train, `data_on` as config.dataset_on.
    """
    learner = learners.build(
        algorithm, task.spec, task.preprocessing, members, hparams, network, schedule.batch_size
    )
    return loop.train(
        {'states': learner.init()}, feeds.of(data_on, learner, data, schedule.batch_size), members,
        schedule.num_updates, schedule.log_interval, algorithm.NAME, stop=stop,
    )  # fmt: skip

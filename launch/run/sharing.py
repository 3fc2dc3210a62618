"""What one process has of the learners that several train: the members on its own devices."""

from collections.abc import Callable

import jax
import numpy as np

from launch.run import spread
from launch.run.learners import Learners
from launch.run.loop import Judge


def own(learner: Learners, build: Callable[..., Learners]) -> Learners:
    """The learners of this process's members, with those that fill the mesh if there are several.

    Args:
        learner: of all members.
        build: (members, mesh=) -> learners, as learners.build made it.
    """
    if jax.process_count() == 1:
        return learner
    filled = learner.members + [learner.members[-1]] * (len(learner.seeds) - len(learner.members))
    return build([filled[row] for row in learner.rows], mesh=learner.mesh.local_mesh)


def judge(judge_own: Judge, learner: Learners) -> Judge:
    """A judge that is asked about all members and answers for those of this process.

    Args:
        judge_own: of the learners that `own` gives.
        learner: of all members.
    """
    if jax.process_count() == 1:
        return judge_own
    rows, count = learner.rows, len(learner.members)

    def judge_shared(states, evaluated, final):
        asked = np.array([row < count and evaluated[row] for row in rows])
        judged = yield from judge_own(spread.own(states, learner.mesh), asked, final)
        return [each for i, each in enumerate(judged) if rows[i % len(rows)] < count]

    return judge_shared

"""Evaluation: the policies of all members at once in real environments.

Each member has a few *lanes*, environments that run its episodes one after another. Episode e of a
member starts from a seed that the member's own seed and e determine, so what a member earns does not
depend on who else is in the run. All lanes take their step at the same time: one call of the compiled
policies for all members, then the environments, shared out over worker processes.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data.problem import Problem
from data.reference_scores import normalized_score
from data.types import DatasetError
from launch.cli import UserError
from launch.run.lane import Film, Lane
from launch.run.lanes import Lanes
from launch.run.learners import Learners
from launch.run.loop import Judge
from launch.run.members import Member
from launch.run.turns import Turns, Wait, finish


class Episodes(NamedTuple):
    """Finished episodes.

    Attributes:
        returns: undiscounted, float64 (members, episodes); NaN for members not evaluated.
        discounted: the discounted returns, which the critics estimate, float64 (members, episodes);
            NaN for members not evaluated.
        discounted_steps: the discounted numbers of steps, likewise.
        lengths: steps, int64 (members, episodes).
        successes: 1 if the environment said of some step that it succeeded, else 0, float64 (members,
            episodes); NaN for members not evaluated, and for all if it never said anything of it.
        initial_observations: float32 (members, episodes, observation_size).
    """

    returns: np.ndarray
    discounted: np.ndarray
    discounted_steps: np.ndarray
    lengths: np.ndarray
    successes: np.ndarray
    initial_observations: np.ndarray


def evaluate(
    learner: Learners,
    states: Any,
    lanes: Lanes,
    evaluated: np.ndarray,
    num_episodes: int,
    stream: int = 0,
) -> Turns[Episodes]:
    """Runs every member's policy for `num_episodes` episodes; a turn ends while environments step.

    Args:
        learner, states: of the run.
        lanes: of its members.
        evaluated: bool (members,); the others are left out.
        num_episodes: per member.
        stream: numbers the evaluations whose episodes shall differ.
    """
    problem, members, width = lanes.problem, len(learner.members), lanes.per_member
    episode_seeds = np.stack([
        np.random.SeedSequence((member.seed, stream)).generate_state(num_episodes)
        for member in learner.members
    ])  # fmt: skip
    returns = np.full((members, num_episodes), np.nan)
    discounted = np.full((members, num_episodes), np.nan)
    discounted_steps = np.full((members, num_episodes), np.nan)
    lengths = np.zeros((members, num_episodes), np.int64)
    successes = np.full((members, num_episodes), np.nan)
    initial = np.zeros((members, num_episodes, problem.spec.observation_size), np.float32)
    # Lane l of a member runs its episodes l, l + width, l + 2 width, ...
    first = np.arange(width)
    episode = np.tile(first, (members, 1))
    active = evaluated[:, None] & (episode < num_episodes)
    starting = active.copy()
    returns[evaluated] = discounted[evaluated] = discounted_steps[evaluated] = 0.0

    fresh_memory = memory = learner.init_memory(states, width)
    keys = learner.keys(stream)
    actions, rewards = np.zeros((members, width)), np.zeros((members, width))
    step = 0
    while active.any():
        begins = [
            (int(episode_seeds[m, episode[m, l]]), int(episode[m, l])) if starting[m, l] else None
            for m in range(members)
            for l in range(width)
        ]
        flat_actions = actions.reshape(members * width, *actions.shape[2:])
        lanes.send(flat_actions, begins, active.reshape(-1))
        played = ((episode - first) // width)[evaluated].sum()
        yield Wait(lanes.ready, played / (evaluated.sum() * num_episodes))
        stepped = lanes.receive()
        observations, rewards, succeeded, done = (
            each.reshape(members, width, *each.shape[1:]) for each in stepped
        )

        m, l = np.nonzero(active & ~starting)
        returns[m, episode[m, l]] += rewards[m, l]
        successes[m, episode[m, l]] = np.fmax(successes[m, episode[m, l]], succeeded[m, l])
        if problem.delayed_rewards:
            rewards = np.zeros((members, width))
            rewards[m, l] = np.where(done[m, l], returns[m, episode[m, l]], 0.0)
        discount = learner.gammas[m].astype(np.float64) ** lengths[m, episode[m, l]]
        discounted[m, episode[m, l]] += discount * rewards[m, l]
        discounted_steps[m, episode[m, l]] += discount
        lengths[m, episode[m, l]] += 1
        if starting.any():
            m, l = np.nonzero(starting)
            initial[m, episode[m, l]] = observations[m, l]
            memory = _where_lanes(learner.fill(starting), fresh_memory, memory)
        episode = np.where(done, episode + width, episode)
        starting = done & (episode < num_episodes)
        active &= episode < num_episodes

        actions, memory = learner.act(states, memory, observations, rewards, keys, step)
        step += 1
    if not np.isnan(successes).all():
        successes[evaluated] = np.nan_to_num(successes[evaluated])
    return Episodes(returns, discounted, discounted_steps, lengths, successes, initial)


def claimed_values(
    learner: Learners, states: Any, problem: Problem, episodes: Episodes, evaluated: np.ndarray
) -> np.ndarray | None:
    """What each member's critic claims its policy will earn from the initial observations.

    The means over episodes, in the units of `episodes.discounted`, to be held against those, float64
    (members,), NaN for members not evaluated; None if the algorithm has no critic, or its critics go by
    other rewards than the environment, those of relabelled goals.
    """
    if learner.claimed_value is None or problem.goals:
        return None
    claimed = learner.claimed_value(states, episodes.initial_observations, learner.keys())
    values = problem.preprocessing.recorded_value(
        claimed.astype(np.float64).mean(axis=1), episodes.discounted_steps.mean(axis=1)
    )
    return np.where(evaluated, values, np.nan)


def measures(
    episodes: Episodes, claimed: np.ndarray | None, problem: Problem
) -> list[dict[str, float]]:
    """What an evaluation says of each member, given its episodes and its critic's claims, if any.

    return, return_std, length and discounted_return; where the environment says it, success, the share
    of episodes that succeeded; where there are reference scores, or success is the score, score; with
    critics also claimed_value and value_overestimation, the claim less the discounted return.
    """
    told = not np.isnan(episodes.successes).all()
    rows = []
    for member, (returns, discounted) in enumerate(zip(episodes.returns, episodes.discounted)):
        row = {
            'return': returns.mean(),
            'return_std': returns.std(),
            'length': episodes.lengths[member].mean(),
            'discounted_return': discounted.mean(),
        }
        if told or problem.score_by_success:
            row['success'] = episodes.successes[member].mean()
        if problem.score_by_success:
            row['score'] = 100 * row['success']
        elif problem.scores:
            row['score'] = normalized_score(returns.mean(), problem.scores)
        if claimed is not None:
            row |= {
                'claimed_value': claimed[member],
                'value_overestimation': claimed[member] - discounted.mean(),
            }
        rows.append({name: float(value) for name, value in row.items()})
    return rows


def judge(
    learner: Learners,
    states: Any,
    lanes: Lanes,
    evaluated: np.ndarray,
    num_episodes: int,
    stream: int = 0,
    target_returns: tuple[float, ...] = (),
) -> Turns[list[tuple[Member, dict[str, float]]]]:
    """What every member's policy earns, and claims, with the member as it was evaluated.

    Args:
        learner, states, lanes, evaluated, num_episodes, stream: as in `evaluate`.
        target_returns: what return-conditioned policies are asked for, one after the other; each is
            part of the setting of the members in the result. () for all other policies.
    """

    def judge_one(states):
        episodes = yield from evaluate(learner, states, lanes, evaluated, num_episodes, stream)
        claimed = claimed_values(learner, states, lanes.problem, episodes, evaluated)
        return list(zip(learner.members, measures(episodes, claimed, lanes.problem), strict=True))

    return for_each_target(judge_one, states, target_returns)


def for_each_target(
    judge_one: Callable[[Any], Turns[list[tuple[Member, dict[str, float]]]]],
    states: Any,
    target_returns: tuple[float, ...],
) -> Turns[list[tuple[Member, dict[str, float]]]]:
    """Judges states once for each return that they are asked for, which is part of the settings then."""
    if not target_returns:
        return (yield from judge_one(states))
    judged = []
    for target in target_returns:
        for member, measured in (yield from judge_one(asked_for(states, target))):
            setting = member.setting | {'target_return': target}
            judged.append((member._replace(setting=setting), measured))
    return judged


@contextmanager
def judging(
    learner: Learners,
    problem: Problem,
    episodes: int,
    final_episodes: int,
    target_returns: tuple[float, ...] = (),
) -> Iterator[Judge]:
    """The judge of a run's members in their problem's environment.

    Args:
        learner, problem: of the run.
        episodes, final_episodes: of an evaluation, and of the one after the last step.
        target_returns: as in `judge`.

    Raises:
        UserError, DatasetError: the environment cannot be made, fails in its first step, or says nothing
            of success where that is the score.
    """
    _try_out(problem)
    with Lanes(problem, len(learner.members), max(episodes, final_episodes)) as lanes:

        def judge_all(states, evaluated, final):
            number = final_episodes if final else episodes
            return judge(learner, states, lanes, evaluated, number, target_returns=target_returns)

        yield judge_all


def _try_out(problem: Problem) -> None:
    """Takes one step in the environment: what fails in it shall not fail after all updates."""
    spec = problem.spec
    with closing(Lane(problem)) as lane:
        lane.reset(0)
        lane.step(np.int32(0) if spec.discrete else np.zeros(spec.action_size, np.float32))
        if problem.score_by_success and np.isnan(lane.success):
            raise UserError(
                f'environment {problem.env_spec.id} does not say whether a step succeeded '
                f"(info['success']), by which policies on {problem.name} are scored."
            )


def asked_for(states: Any, target_return: float) -> Any:
    """The states of return-conditioned policies, asked for another return."""
    hparams = states.hparams
    same = jnp.full_like(hparams.target_return, target_return)
    return states.replace(hparams=hparams.replace(target_return=same))


def film(
    learner: Learners, states: Any, problem: Problem, member: int, stream: int
) -> Film:
    """The first episode of a member's policy in the evaluation of this stream.

    Raises:
        UserError: the environment cannot render images.
    """
    evaluated = np.arange(len(learner.members)) == member
    images = Film()
    try:
        with Lanes(problem, len(evaluated), 1, images) as lanes:
            finish(evaluate(learner, states, lanes, evaluated, 1, stream))
    except DatasetError as error:
        raise UserError(f'no video of {problem.env_spec.id}: {error}') from error
    return images


@jax.jit
def _where_lanes(mask: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(
        lambda a, b: jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 2)), a, b), new, old
    )

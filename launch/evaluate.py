"""Judges the policies of a finished or running run again.

    python -m launch.evaluate --run_dir=runs/iql/... --episodes=1000 --seed=1
    python -m launch.evaluate --run_dir=runs/iql/... --video=policy.mp4
    python -m launch.evaluate --run_dir=runs/iql/... --exact
"""

from pathlib import Path
from typing import Any

from absl import flags
from absl.flags import FLAGS

from data import disk, environments, judges, loading
from data.problem import Problem
from data.reference_scores import normalized_score
from launch import cli
from launch.cli import UserError
from launch.estimate import exact
from launch.report import summary
from launch.run import documents, films, policies, rollouts
from launch.run.lanes import Lanes
from launch.run.members import Member
from launch.run.policies import Restored
from launch.run.turns import finish

_EXACT = 'evaluation-exact.json'


def main(argv: list[str]) -> None:
    """Evaluates, or films, and prints."""
    del argv
    cli.use_all_cores()
    if FLAGS.run_dir is None:
        raise UserError('which run? --run_dir=DIRECTORY says.')
    path = Path(FLAGS.run_dir)
    if FLAGS.exact:
        evaluate_exactly(path)
    elif FLAGS.video:
        film(path, FLAGS.member, FLAGS.seed, Path(FLAGS.video))
    else:
        evaluate(path, FLAGS.episodes, FLAGS.seed)


def evaluate(path: Path, num_episodes: int, seed: int) -> None:
    """Writes and prints what a run's policies earn in other episodes."""
    name = f'evaluation-seed{seed}.json'
    disk.check_file(path / name)
    run = policies.restore(path)
    task = judged_problem(run)
    with Lanes(task, len(run.learner.members), num_episodes) as lanes:
        judged = finish(rollouts.judge(
            run.learner, run.states, lanes, run.finite, num_episodes, seed, run.target_returns
        ))  # fmt: skip
    how = f'{num_episodes} episodes per member, seed {seed}'
    _report(run, judged, how, name, {'episodes': num_episodes})


def judged_problem(run: Restored) -> Problem:
    """The problem that a run's policies face in evaluation, in an environment that can judge.

    Raises:
        DatasetError: there is none, or it cannot.
    """
    task = run.problem
    # Kept by an older run, which went on as long as the environment did.
    if task.env_spec is not None and environments.time_limit(task.env_spec) is None:
        task = judges.limited(task, loading.load(task.name))
    judges.check(task)
    return task


def evaluate_exactly(path: Path) -> None:
    """Writes and prints the exact values of a run's policies.

    Raises:
        UserError: the environment's model is not known, or the policies read more than observations.
    """
    disk.check_file(path / _EXACT)
    judged = policies.stateless(path)
    run = judged.run
    measured = [
        {'return': value, 'score': normalized_score(value, run.problem.scores)}
        for value in exact.values(judged).tolist()
    ]
    _report(run, list(zip(judged.members, measured)), 'exact values', _EXACT, {})


def _report(
    run: Restored, judged: list[tuple[Member, dict]], how: str, name: str, more: dict[str, Any]
) -> None:
    """Writes the summary, with more beside it, under a name in the run's directory, and prints it."""
    found = summary.summarize(run.problem, judged, run.updates)
    documents.write(run.path / name, found | more)
    print(f'{run.path}\nafter {run.updates:,} updates, {how}\n')
    print(summary.table({run.title: found}))
    print(f'\nWritten to {run.path / name}')


def film(path: Path, member: int, seed: int, file: Path) -> None:
    """Writes the first episode of a member's evaluation as a video.

    Raises:
        UserError: the file cannot be written, there is no such member, or the environment cannot render
            images.
    """
    place = films.prepared(file)
    run = policies.restore(path)
    task = judged_problem(run)
    last = len(run.learner.members) - 1
    if member > last:
        raise UserError(f'--member={member}: {path} has members 0 to {last}.')
    films.write(place, lambda: rollouts.film(run.learner, run.states, task, member, seed))


if __name__ == '__main__':
    flags.DEFINE_string('run_dir', None, 'run directory')
    flags.DEFINE_integer('episodes', 100, 'episodes per member', 1, 10_000_000)
    flags.DEFINE_integer(
        'seed', 1, 'of the episodes; training evaluates with 0', lower_bound=0
    )
    flags.DEFINE_bool('exact', False, 'exact values instead of episodes, where the model is known')
    flags.DEFINE_string('video', None, 'write one episode of --member to this .mp4 or .gif')
    flags.DEFINE_integer('member', 0, 'member to film', lower_bound=0)
    cli.start(main)

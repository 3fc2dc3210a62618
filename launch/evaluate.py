"""Judges the policies of a finished or running run again.

    python -m launch.evaluate --run_dir=runs/iql/... --episodes=1000 --seed=1
    python -m launch.evaluate --run_dir=runs/iql/... --video=policy.mp4
    python -m launch.evaluate --run_dir=runs/iql/... --exact
"""

import json
from pathlib import Path

import imageio
import jax
import numpy as np
from absl import flags
from absl.flags import FLAGS

from data import environments
from data.flat import flatten_observation
from data.reference_scores import normalized_score
from data.types import DatasetError
from launch import cli, exact, learners, members, policies, report, rollout, run_directory
from launch.cli import UserError
from launch.learners import Learners
from launch.problem import Problem


def main(argv: list[str]) -> None:
    """Evaluates, or films, and prints."""
    del argv
    cli.use_all_cores()
    if FLAGS.run_dir is None:
        raise UserError('which run? --run_dir=DIRECTORY says.')
    path = Path(FLAGS.run_dir)
    if FLAGS.exact:
        evaluate_exactly(path)
        return
    learner, states, task, run, config, step = policies.load(path)
    if FLAGS.video:
        if FLAGS.member >= len(run):
            raise UserError(f'--member={FLAGS.member}: {path} has members 0 to {len(run) - 1}.')
        film(learner, states, task, FLAGS.member, FLAGS.seed, Path(FLAGS.video))
        print(f'Video: {FLAGS.video}')
        return
    finite = np.asarray(learners.all_finite(states))[: len(run)]
    with rollout.Environments(task, len(run), FLAGS.episodes) as envs:
        episodes = rollout.evaluate(
            learner, states, envs, task, members.seeds(run), finite, FLAGS.episodes, FLAGS.seed
        )
    claimed = rollout.claimed_values(learner, states, episodes, finite)
    summary = report.summarize(task, run, report.measures(episodes, claimed, task), step)
    file = path / f'evaluation-seed{FLAGS.seed}.json'
    file.write_text(json.dumps(summary | {'episodes': FLAGS.episodes}, indent=2))
    print(
        f'{path}\nafter {step:,} updates, {FLAGS.episodes} episodes per member, '
        f'seed {FLAGS.seed}\n'
    )
    print(report.table({run_directory.title(config): summary}))
    print(f'\nWritten to {file}')


def evaluate_exactly(path: Path) -> None:
    """Writes and prints the exact values of a run's policies.

    Raises:
        UserError: the environment's model is not known, or the policies read more than observations.
    """
    judged = policies.stateless(path)
    measured = [
        {'return': value, 'score': normalized_score(value, judged.problem.scores)}
        for value in exact.values(judged).tolist()
    ]
    summary = report.summarize(judged.problem, judged.members, measured, judged.updates)
    file = path / 'evaluation-exact.json'
    file.write_text(json.dumps(summary, indent=2))
    print(f'{path}\nafter {judged.updates:,} updates, exact values\n')
    print(report.table({judged.title: summary}))
    print(f'\nWritten to {file}')


def film(
    learner: Learners, states, task: Problem, member: int, seed: int, path: Path
) -> None:
    """Writes one episode of a member's policy as a video.

    Raises:
        UserError: the environment cannot render images.
    """
    try:
        env = environments.make(task.env_spec, render_mode='rgb_array')
    except DatasetError as error:
        raise UserError(f'no video of {task.env_spec.id}: {error}') from error
    keys = jax.vmap(jax.random.key)(learner.seeds)
    memory = learner.init_memory(states, 1)
    observation, _ = env.reset(seed=seed)
    reward, frames, over = 0.0, [env.render()], False
    while not over:
        flat = flatten_observation(observation, task.observation_keys, 1)
        shape = (len(learner.seeds), 1)
        actions, memory = learner.act(
            states,
            memory,
            np.broadcast_to(flat, (*shape, flat.size)),
            np.full(shape, 0.0 if task.delayed_rewards else reward, np.float32),
            jax.vmap(jax.random.fold_in, (0, None))(keys, len(frames)),
        )
        action = rollout.to_environment(np.asarray(actions)[member, 0], task, env.action_space.shape)
        observation, reward, terminated, truncated, _ = env.step(action)
        frames.append(env.render())
        over = terminated or truncated
    imageio.mimsave(path, frames, fps=env.metadata.get('render_fps', 30))
    env.close()


if __name__ == '__main__':
    flags.DEFINE_string('run_dir', None, 'run directory')
    flags.DEFINE_integer('episodes', 100, 'episodes per member', lower_bound=1)
    flags.DEFINE_integer(
        'seed', 1, 'of the episodes; training evaluates with 0', lower_bound=0
    )
    flags.DEFINE_bool('exact', False, 'exact values instead of episodes, where the model is known')
    flags.DEFINE_string('video', None, 'write one episode of --member to this .mp4 or .gif')
    flags.DEFINE_integer('member', 0, 'member to film', lower_bound=0)
    cli.run(main)

"""Judges the policies of a finished or running run again.

    python -m launch.evaluate --run_dir=runs/iql/... --episodes=1000 --seed=1
    python -m launch.evaluate --run_dir=runs/iql/... --video=policy.mp4
"""

import json
from pathlib import Path

import imageio
import jax
import numpy as np
from absl import flags
from absl.flags import FLAGS

from algorithms import ALGORITHMS
from data import environments
from data.flat import flatten_observation
from data.types import DatasetError
from launch import cli, learners, members, problem, report, rollout, run_directory, schedule
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
    learner, states, task, run, config, step = load(path)
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


def load(path: Path, target_returns: tuple[float, ...] | None = None):
    """What a run directory holds of its learners, at its last checkpoint.

    Args:
        path: the run directory.
        target_returns: to ask a return-conditioned policy for, if not those of its config.

    Returns:
        learner, states, problem, members as they are evaluated, config and the number of updates
        done.

    Raises:
        UserError: there is no run, no checkpoint, or a damaged one.
    """
    config = run_directory.load_config(path)
    if target_returns is not None:
        config.target_returns = target_returns
    run = members.members(config)
    task = problem.load(path / 'problem.json')
    learner = learners.build(
        ALGORITHMS[config.algorithm], config, task.spec, run, task.preprocessing
    )
    checkpoints = run_directory.Checkpoints(path)
    step = checkpoints.latest()
    if step is None:
        raise UserError(f'{path} has no checkpoint yet.')
    states = checkpoints.restore(states=learner.init())['states']
    judge = schedule.Judge(config, task, run, learner)
    return *judge.policies(states), task, judge.members, config, step


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
    flags.DEFINE_string('video', None, 'write one episode of --member to this .mp4 or .gif')
    flags.DEFINE_integer('member', 0, 'member to film', lower_bound=0)
    cli.run(main)

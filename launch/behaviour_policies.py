"""Chooses the policies that ship with the code from online trainings of SAC.

    python -m launch.behaviour_policies RUN_DIRECTORY ...

For each run of launch.train_online: `medium` is the first policy, with at least 19 before it, that
scores between 45 and 58, `medium-replay` 20 policies from the start to that one, `expert` the best of
those that earned most while they trained. Scores are those of actions drawn from the policies, as in the
datasets that they collect, in other episodes than those that they were chosen by. Writes
data/recipes/policies/; the rows of other environments stay.

Of a run in OfflineRL/DirectionalAnt-v0 it ships the policy that walks best under the noise that mazes
add to its actions: what is left of its speed if each fall costs half of a maze's 1,000 steps.
"""

import csv
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from flax.traverse_util import flatten_dict
from tqdm import tqdm

from data import disk, environments, policies
from data.recipes import ants, locomotion, rollouts
from data.recipes.locomotion import Policy
from data.reference_scores import normalized_score, table_scores
from launch import cli
from launch.cli import UserError
from launch.configs import online
from launch.run import directory, metrics

POLICIES = Path(locomotion.__file__).with_name('policies')
# Inside 40 to 60, so that it stays there in other episodes. (Hopper's, 40.6, was chosen from 40 to 60.)
MEDIUM_SCORES = (45.0, 58.0)
REPLAY_POLICIES = 20

_EXPERT_CANDIDATES, _EXPERT_FINALISTS = 15, 3
# Episodes of at most 1,000 steps.
_STEPS = 50_000
# What a first look takes, and one of the many of medium-replay.
_STEPS_AT_FIRST = 10_000
_SEED_TO_CHOOSE, _SEED_TO_REPORT = 1_000, 2_000
_ANTS = 16
_STEPS_LOST_BY_A_FALL = 500


def main(argv: list[str]) -> None:
    """Measures, writes the policies and prints their table."""
    if len(argv) < 2:
        raise UserError('which trainings? Name run directories of launch.train_online.')
    disk.check_directory(POLICIES)
    for run in map(Path, argv[1:]):
        _ship(run)
    for row in locomotion.table():
        kind = f'{row.env_id:15} {row.composition:14}'
        print(f'{kind} {row.step:9,} {row.mean_return:8.1f} {row.score:6.1f}')


def _ship(run: Path) -> None:
    """Adds the policies of a training, in the place of those its environment had."""
    config = directory.load_config(run)
    files = {int(file.stem): file for file in sorted((run / 'actors').glob('*.npz'))}
    if config.algorithm != 'sac' or not files:
        raise UserError(f'{run} holds no policies that SAC learned online.')
    trained = {step: policies.read(file)['0'] for step, file in files.items()}
    if config.env_id == environments.ANT_ID:
        _ship_walker(run, config, trained)
        return
    # Up to random_steps the policy stays what it was.
    different = [step for step in trained if not 0 < step <= config.random_steps]
    medium = _first_medium(
        config.env_id, {step: trained[step] for step in different[REPLAY_POLICIES - 1 :]}
    )
    different = different[: different.index(medium) + 1]
    chosen = np.unique(np.linspace(0, len(different) - 1, REPLAY_POLICIES).round().astype(int))
    steps = {
        'medium-replay': [different[i] for i in chosen],
        'medium': [medium],
        'expert': [_best(run, trained, functools.partial(_mean_return, config.env_id))],
    }
    rows = []
    for composition, its_steps in steps.items():
        num_steps = _STEPS_AT_FIRST if composition == 'medium-replay' else _STEPS
        for step in tqdm(its_steps, desc=composition, unit=' policies'):
            mean, episodes = _measure(config.env_id, trained[step], num_steps, _SEED_TO_REPORT)
            score = float(normalized_score(mean, table_scores(gym.spec(config.env_id))))
            rows.append(Policy(
                config.env_id, composition, step, config.seed, round(mean, 1), round(score, 1),
                episodes, _command(config),
            ))  # fmt: skip
    _write(config.env_id, rows, {row.name: trained[row.step] for row in rows})


def _first_medium(env_id: str, trained: dict) -> int:
    scores = table_scores(gym.spec(env_id))
    low, high = MEDIUM_SCORES
    for step in tqdm(trained, desc=f'{env_id}: medium', unit=' policies'):
        for num_steps in (_STEPS_AT_FIRST, _STEPS):
            mean, _ = _measure(env_id, trained[step], num_steps)
            if not low <= normalized_score(mean, scores) <= high:
                break
        else:
            return step
    raise UserError(
        f'{env_id}: no policy from number {REPLAY_POLICIES} on scores between {low:.0f} and {high:.0f}.'
    )


def _best(run: Path, trained: dict, value: Callable[[Any, int], float]) -> int:
    """The step of the policy with the largest value(parameters, steps to measure it in)."""
    earned = {
        row['step']: row['measures']['online_return']
        for row in metrics.read(run)
        if row['event'] == 'training' and row['member'] == 0 and row['step'] in trained
    }
    # An interval in which no episode ended has NaN.
    candidates = [step for step in earned if np.isfinite(earned[step])]
    if not candidates:
        raise UserError(f'{run}: no episode ended in it yet.')
    rounds = (
        (earned.get, _EXPERT_CANDIDATES),
        (lambda step: value(trained[step], _STEPS_AT_FIRST), _EXPERT_FINALISTS),
        (lambda step: value(trained[step], _STEPS), 1),
    )
    for number, (key, survivors) in enumerate(rounds):
        progress = tqdm(candidates, desc=f'{run.name}: best, round {number}', unit=' policies')
        values = {step: key(step) for step in progress}
        candidates = sorted(values, key=values.get)[-survivors:]
    return candidates[0]


def _mean_return(env_id: str, parameters, num_steps: int) -> float:
    return _measure(env_id, parameters, num_steps)[0]


def _measure(
    env_id: str, parameters, num_steps: int, seed: int = _SEED_TO_CHOOSE
) -> tuple[float, int]:
    """Mean return of drawn actions, and the episodes it was measured in."""
    *whole, last = rollouts.episodes(env_id, [(parameters, num_steps)], seed)
    if not whole or len(last) == 1_000 or last.terminations[-1]:
        whole.append(last)
    return float(np.mean([episode.rewards.sum() for episode in whole])), len(whole)


def _ship_walker(run: Path, config, trained: dict) -> None:
    def left_of_speed(parameters, num_steps: int) -> float:
        speed, falls = _walk(parameters, num_steps, ants.ACTION_NOISE, _SEED_TO_CHOOSE)
        return speed * (1 - _STEPS_LOST_BY_A_FALL * falls / 1_000)

    step = _best(run, trained, left_of_speed)
    quiet, noisy = (
        [round(number, 4) for number in _walk(trained[step], _STEPS, noise, _SEED_TO_REPORT)]
        for noise in (0.0, ants.ACTION_NOISE)
    )
    row = ants.Walker(step, config.seed, *quiet, *noisy, _STEPS, _command(config))
    policies.write(POLICIES / 'ants.npz', {row.name: trained[step]})
    _write_table('ants.csv', [row])
    print(f'{config.env_id} {step:,}: {row.noisy_speed} m a step, {row.noisy_falls} falls in 1,000')


def _walk(parameters, num_steps: int, noise: float, seed: int) -> tuple[float, float]:
    """Metres per step along the direction, and falls per 1,000 steps, of a number of ants."""
    spec = environments.registered(environments.ANT_ID)
    envs = [environments.make(spec) for _ in range(_ANTS)]
    rng = np.random.default_rng(seed)
    seen = [env.reset(seed=seed + index)[0] for index, env in enumerate(envs)]
    distance = falls = 0
    for _ in range(num_steps // _ANTS):
        actions = ants.intended(parameters, np.stack(seen))
        actions = np.clip(actions + noise * rng.standard_normal(actions.shape), -1, 1)
        for index, (env, action) in enumerate(zip(envs, actions)):
            seen[index], _, fallen, truncated, info = env.step(action)
            distance += info['velocity'] * env.unwrapped.dt
            falls += fallen
            if fallen or truncated:
                seen[index], _ = env.reset()
    taken = num_steps // _ANTS * _ANTS
    return distance / taken, 1_000 * falls / taken


def _command(config) -> str:
    """What a user types for this run: every value that is not the config's own."""
    usual, own = (
        flatten_dict(directory.identity(each), sep='.') for each in (online.get_config(), config)
    )
    words = ['python -m launch.train_online --config=launch/configs/online.py:sac']
    for name, value in sorted(own.items()):
        if value != usual.get(name):
            text = f'"({",".join(map(str, value))})"' if isinstance(value, list) else value
            words.append(f'--config.{name}={text}')
    return ' '.join(words)


def _write(env_id: str, rows: list[Policy], parameters: dict) -> None:
    policies.write(POLICIES / f'{env_id}.npz', parameters)
    _write_table('table.csv', [row for row in locomotion.table() if row.env_id != env_id] + rows)
    locomotion.table.cache_clear()


def _write_table(name: str, rows: list[Policy] | list[ants.Walker]) -> None:
    file = POLICIES / name
    temporary = file.with_suffix('.part')
    with temporary.open('w', newline='') as stream:
        writer = csv.DictWriter(stream, rows[0]._fields, lineterminator='\n')
        writer.writeheader()
        writer.writerows(row._asdict() for row in rows)
    temporary.replace(file)


if __name__ == '__main__':
    cli.start(main, with_arguments=True)

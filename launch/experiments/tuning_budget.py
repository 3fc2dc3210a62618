"""What tuning is worth: the score of the policy that would be deployed after so many episodes online.

    python -m launch.experiments.tuning_budget
    python -m launch.experiments.tuning_budget RUN_DIRECTORY ...

Every policy of a sweep, a setting with a seed, may be tried online, and one is deployed
(launch/report/bandit.py): beside what an algorithm earns at its best stands what it takes to find that.
Without arguments the sweeps of four algorithms on hopper-medium; else finished runs on one dataset,
those of one algorithm pooled. What every policy earns in 100 further episodes is kept in its run's
directory.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from data import disk
from data.problem import Problem
from data.reference_scores import normalized_score
from launch import evaluate, experiments
from launch.cli import UserError
from launch.configs import bc, iql, rebrac, td3_bc
from launch.estimate import estimators
from launch.report import bandit, figures, summary, tables
from launch.run import directory, documents, policies, rollouts
from launch.run.lanes import Lanes
from launch.run.policies import Policies, Restored
from launch.run.turns import finish

# What all sweeps have, and above it what each has of its own.
_SHARED = {
    'dataset': 'local/hopper/medium-v0',
    'num_seeds': 2,
    'batch_size': 128,
    'num_updates': 60_000,
    'eval_interval': 30_000,
    'eval_episodes': 5,
    'final_eval_episodes': 5,
    'network.hidden_sizes': (64, 64),
}
_OWN = {
    td3_bc: {'sweep.alpha': (1.0, 2.5, 5.0, 10.0)},
    iql: {
        'sweep.expectile': (0.5, 0.7, 0.9),
        'sweep.inverse_temperature': (3.0, 10.0),
    },
    rebrac: {
        'sweep.actor_penalty': (0.01, 0.05, 0.1),
        'sweep.critic_penalty': (0.01, 0.5),
        'network.hidden_sizes': (64, 64, 64),
        # Those of batches of 256, not of 1,024.
        'hparams.actor_learning_rate': 3e-4,
        'hparams.critic_learning_rate': 3e-4,
    },
    bc: {'sweep.learning_rate': (1e-4, 3e-4, 1e-3, 3e-3)},
}
_FIGURE = 'tuning-budget.png'
# Of a policy, to know what it earns; training evaluates with seed 0.
_EPISODES, _SEED = 100, 1
# The protocol's: policies of a trial, as many for all algorithms; trials; episodes of a trial.
_POLICIES, _TRIALS, _PULLS = 8, 1_000, 200
_RESAMPLES = 1_000
_SHOWN = (1, 5, 20, 100)
_KEPT = f'episodes-seed{_SEED}.json'
_SCHEMA = {
    'config': str, 'updates': int, 'episodes': int, 'seed': int,
    'policies': [{'setting': {'*': documents.NUMBER}, 'seed': int,
                  'returns': [documents.KNOWN_NUMBER]}],
}  # fmt: skip


class Arms(NamedTuple):
    """The policies of an algorithm.

    Attributes:
        scores: of the episodes of those that may be tried, or returns, float64 (policies, episodes).
        diverged: how many others there are, which cannot act.
    """

    scores: np.ndarray
    diverged: int


class Curve(NamedTuple):
    """Means over trials after each pull and the ends of their 95 % intervals, (pulls,) each."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def configs() -> list[ConfigDict]:
    """A sweep of each algorithm."""
    found = []
    for module, own in _OWN.items():
        config = module.get_config('mujoco')
        config.update_from_flattened_dict(_SHARED | own)
        found.append(config)
    return found


def main(arguments: list[str]) -> None:
    """Trains, or takes runs, has policies act, prints the table as Markdown and draws the figure."""
    # What is not this page's own goes where it was asked for.
    path = Path(_FIGURE) if arguments else experiments.figure(_FIGURE)
    figures.check(path)
    runs = restored(list(map(Path, arguments)) or [experiments.trained(each) for each in configs()])
    arms = arms_of(runs)
    found = {name: curve(each.scores) for name, each in arms.items()}
    task = runs[0].problem
    print(f'\n{task.name}\n\n{table(arms, found, scored=bool(task.scores))}\n\n{explanation(task)}')
    draw(arms, found, task, path)
    print(f'\nFigure: {path}')


def restored(paths: list[Path]) -> list[Restored]:
    """Finished runs with the problem in which they are judged.

    Raises:
        UserError, DatasetError: one is none, is not finished, has no checkpoint or no environment, or is
            named twice; their datasets or environments differ; all policies of an algorithm diverged.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError('a run is named twice, and its policies would count twice.')
    summary.summaries(paths)
    runs = [policies.restore(path) for path in paths]
    runs = [run._replace(problem=evaluate.judged_problem(run)) for run in runs]
    first = runs[0].problem
    for run in runs[1:]:
        if (run.problem.env_spec, run.problem.scores) != (first.env_spec, first.scores):
            raise UserError(
                f'{runs[0].path} is judged in {first.env_spec.id}, {run.path} in '
                f'{run.problem.env_spec.id}, or with other arguments, wrappers, time limit or reference '
                'scores: what they earn cannot be compared.'
            )
    for name, group in pooled(runs).items():
        if not any(run.finite.any() for run in group):
            where = ', '.join(str(run.path) for run in group)
            raise UserError(f'all policies of {name} have diverged ({where}): there is none to try.')
    return runs


def pooled(runs: list[Restored]) -> dict[str, list[Restored]]:
    """The runs of each algorithm, by its title."""
    return {
        name: [run for run in runs if run.title == name]
        for name in dict.fromkeys(run.title for run in runs)
    }


def arms_of(runs: list[Restored]) -> dict[str, Arms]:
    """The policies of every algorithm, those of all its runs, each asked for each of its targets."""
    for run in runs:
        disk.check_file(run.path / _KEPT)
    found = {}
    for name, group in pooled(runs).items():
        returns = np.concatenate([returns_of(run) for run in group])
        scores = group[0].problem.scores
        diverged = sum(
            np.count_nonzero(~run.finite) * max(len(run.target_returns), 1) for run in group
        )
        found[name] = Arms(normalized_score(returns, scores) if scores else returns, diverged)
    return found


def returns_of(run: Restored) -> np.ndarray:
    """Of each finite policy's episodes, float64 (policies, episodes), as they are kept beside the run.

    The episodes are run if they are not there yet, or of fewer updates.

    Raises:
        UserError: what is kept there is damaged, or of other policies.
    """
    file, asked = run.path / _KEPT, policies.of_restored(run)
    whose = [
        {'setting': each.setting, 'seed': each.seed} for part in asked for each in part.members
    ]
    how = {'updates': run.updates, 'episodes': _EPISODES, 'seed': _SEED}
    config = directory.digest(directory.load_config(run.path))
    if file.exists():
        kept = documents.read(file, _SCHEMA)
        returns = [each.pop('returns') for each in kept['policies']]
        if any(len(each) != kept['episodes'] for each in returns):
            raise UserError(f'{file} is damaged: not every policy has {kept["episodes"]} returns.')
        if all(kept[key] == value for key, value in how.items()):
            # As JSON has them: a setting may be infinite.
            same = documents.dumps(kept['policies']) == documents.dumps(whose)
            if not same or kept['config'] != config:
                raise UserError(
                    f'{file} is of other policies than those of {run.path}; remove it, and theirs '
                    'have their episodes.'
                )
            return np.array(returns, np.float64).reshape(-1, _EPISODES)
    with Lanes(run.problem, len(run.finite), _EPISODES) as lanes:
        parts = [_rolled_out(each, lanes) for each in asked]
    returns = np.concatenate(parts or [np.empty((0, _EPISODES))])
    kept = [each | {'returns': own} for each, own in zip(whose, returns.tolist())]
    documents.write(file, {'config': config} | how | {'policies': kept})
    return returns


def _rolled_out(asked: Policies, lanes: Lanes) -> np.ndarray:
    """The returns of policies' episodes, float64 (policies, episodes)."""
    run, total = asked.run, _EPISODES * len(asked.members)
    turns = rollouts.evaluate(run.learner, run.states, lanes, run.finite, _EPISODES, _SEED)
    with tqdm(
        desc=f'{run.title} x{len(asked.members)}', total=total, unit=' episodes', dynamic_ncols=True
    ) as progress:

        def tell(share: float) -> None:
            progress.update(int(share * total) - progress.n)

        returns = finish(turns, tell).returns[asked.indices]
        tell(1.0)
    return returns


def curve(scores: np.ndarray) -> Curve:
    """What is deployed after each pull, given the scores of every arm's episodes."""
    found = bandit.expected_scores(scores, _PULLS, _POLICIES, _TRIALS, _SEED)
    counts = estimators.resamples(np.random.default_rng(_SEED), _TRIALS, _RESAMPLES)
    low, high = np.percentile(counts @ found / _TRIALS, (2.5, 97.5), axis=0)
    return Curve(found.mean(axis=0), low, high)


def table(arms: dict[str, Arms], found: dict[str, Curve], scored: bool) -> str:
    """In Markdown, of each algorithm: what is deployed without trying, after some pulls, and at best."""
    style = '.1f' if scored else ',.4g'
    rows = []
    for name, (scores, diverged) in arms.items():
        after = [
            dict(zip(('mean', 'mean_low', 'mean_high'), (each[pulls - 1] for each in found[name])))
            for pulls in _SHOWN
        ]
        left_out = f' ({diverged} diverged, left out)' if diverged else ''
        rows.append([
            name, f'{len(scores)}{left_out}', f'{scores.mean():{style}}',
            *(tables.with_interval(each, style) for each in after),
            f'{scores.mean(axis=1).max():{style}}',
        ])  # fmt: skip
    after = [f'after {pulls} episode{"s" * (pulls > 1)}' for pulls in _SHOWN]
    return tables.markdown(['algorithm', 'arms', 'chosen blindly', *after, 'best arm'], rows)


def explanation(task: Problem) -> str:
    """What the numbers of the table are."""
    what = 'Score' if task.scores else f'Return ({task.name} has no reference scores)'
    return (
        f'{what} of the policy that would be deployed after so many episodes online, of policies that a '
        f'UCB bandit tries: {_TRIALS:,} trials, each with {_POLICIES} of the arms, or all if there are '
        f'fewer, drawing from {_EPISODES} episodes of each. 95 % intervals are over trials: of which '
        'policies are tried and how their episodes turn out, not of other seeds in training.'
    )


def draw(arms: dict[str, Arms], found: dict[str, Curve], task: Problem, path: Path) -> None:
    """A curve for each algorithm against the number of episodes online."""
    figure, axes = figures.panels(6.0, 4.4)
    panel = axes[0, 0]
    for name, each in found.items():
        label = f'{name}, {len(arms[name].scores)} policies'
        figures.band(panel, np.arange(1, _PULLS + 1), *each, label)
    ticks = [pulls for pulls in (1, 2, 5, 10, 20, 50, 100, 200) if pulls <= _PULLS]
    panel.set(xscale='log', title=task.name, xlabel='episodes of policies tried online')
    panel.set_xticks(ticks, ticks)
    panel.minorticks_off()
    panel.grid(color='0.93')
    earned = 'score' if task.scores else 'return (no reference scores)'
    panel.set_ylabel(f'{earned} of the policy that would be deployed')
    figures.legend(figure)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main, with_arguments=True)

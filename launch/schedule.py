"""What the training programs do between updates: log, evaluate, and finish with a table and a figure."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from algorithms import ALGORITHMS
from launch import learners, members, report, rollout, run_directory
from launch.cli import UserError
from launch.learners import Learners
from launch.members import Member
from launch.problem import Problem
from launch.run_directory import MetricsLog


def validate(config: ConfigDict) -> None:
    """Raises UserError for counts and intervals that no run can have."""
    validate_counts(
        config,
        ('num_updates', 'batch_size', 'log_interval', 'eval_interval', 'eval_episodes',
         'final_eval_episodes'),
        ('num_updates', 'eval_interval'),
    )  # fmt: skip


def validate_counts(
    config: ConfigDict, positive: tuple[str, ...], multiples: tuple[str, ...]
) -> None:
    """Raises UserError unless keys are at least 1, and some multiples of config.log_interval."""
    for key in positive:
        if config[key] < 1:
            raise UserError(f'config.{key} is {config[key]}; at least 1 is needed.')
    for key in multiples:
        if config[key] % config.log_interval:
            raise UserError(
                f'config.{key} is {config[key]}, no multiple of config.log_interval, '
                f'{config.log_interval}.'
            )


def describe(member: Member) -> str:
    """A member in a sentence."""
    return f'seed {member.seed}' + (f' with {member.label}' if member.label else '')


def _row(event: str, index: int, member: Member, step: int, measures: dict) -> dict[str, Any]:
    return {
        'step': step,
        'event': event,
        'member': index,
        'seed': member.seed,
        'setting': member.setting,
        'measures': {name: float(value) for name, value in measures.items()},
    }


def watch(
    diverged: np.ndarray, states: Any, run: list[Member], step: int, progress: tqdm
) -> np.ndarray:
    """`diverged`, bool (members,), with those that are no longer finite, which are announced."""
    finite = np.asarray(learners.all_finite(states))[: len(run)]
    for index in np.flatnonzero(~finite & ~diverged):
        progress.write(f'DIVERGED after {step:,} steps: {describe(run[index])}')
    return diverged | ~finite


def training_rows(states: Any, run: list[Member], step: int, **others: np.ndarray) -> list[dict]:
    """A row of metrics.jsonl for each member: its state's metrics, and others (members,)."""
    metrics = jax.device_get(states.metrics) | others
    return [
        _row('training', i, member, step, {name: values[i] for name, values in metrics.items()})
        for i, member in enumerate(run)
    ]  # fmt: skip


class Judge:
    """Evaluates a run's members, each as often as it has target returns.

    Attributes:
        members: as they are evaluated.
    """

    def __init__(self, config: ConfigDict, task: Problem, run: list[Member], learner: Learners):
        self._task, self._learner = task, learner
        self.members = members.judged(config, run)
        # Whom each of them is.
        self._trained = np.arange(len(self.members)) % len(run)
        self._run = run
        if self.members is not run:
            self._learner = learners.build(
                ALGORITHMS[config.algorithm], config, task.spec, self.members, task.preprocessing
            )

    def policies(self, states: Any) -> tuple[Learners, Any]:
        """The learners and states to act with, made of the states of the run."""
        if self.members is self._run:
            return self._learner, states
        return self._learner, self._learner.adopt(states, self._trained)

    def evaluate(
        self,
        log: MetricsLog,
        envs: rollout.Environments,
        states: Any,
        evaluated: np.ndarray,
        step: int,
        num_episodes: int,
    ) -> float:
        """Logs what the evaluated members' policies earn, and claim; returns their mean score."""
        learner, states = self.policies(states)
        evaluated = evaluated[self._trained]
        seeds = members.seeds(self.members)
        episodes = rollout.evaluate(
            learner, states, envs, self._task, seeds, evaluated, num_episodes
        )
        claimed = rollout.claimed_values(learner, states, episodes, evaluated)
        measures = report.measures(episodes, claimed, self._task)
        log.write([_row('evaluation', i, member, step, each)
                   for i, (member, each) in enumerate(zip(self.members, measures))])  # fmt: skip
        scores = [each['score'] for each, judged in zip(measures, evaluated) if judged]
        return float(np.mean(scores)) if scores else np.nan


def finish(path: Path, config: ConfigDict, task: Problem, run: list[Member]) -> None:
    """Writes the summary and the figure from the metrics, and prints the table."""
    rows = run_directory.read_metrics(path)
    final = [row for row in rows
             if row['event'] == 'evaluation' and row['step'] == config.num_updates]  # fmt: skip
    measures = [row['measures'] for row in final]
    summary = report.summarize(task, run, measures, config.num_updates)
    (path / 'summary.json').write_text(json.dumps(summary, indent=2))
    title = run_directory.title(config)
    report.draw_learning_curves(rows, task, run, title, path / 'learning_curves.png')
    print(f'\n{title} on {task.dataset_id}, {config.num_updates:,} steps\n')
    print(report.table({title: summary}))
    print(f'\nRun directory: {path}\nFigure: {path / "learning_curves.png"}')
    gone = [describe(member) for member, each in zip(run, measures)
            if not np.isfinite(each['return'])]  # fmt: skip
    if gone:
        print(f'Diverged (NaN or infinite), left out of the means: {"; ".join(gone)}.')

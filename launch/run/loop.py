"""The one training loop: advance, watch for divergence, log, save; and judge the policies beside it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from launch.run import checkpoints, learners, mapping, processes, spread
from launch.run.checkpoints import Checkpoints
from launch.run.members import Member
from launch.run.metrics import MetricsLog, Unwritten, row
from launch.run.turns import Turns, Wait

# What the progress bar shows of an evaluation: the first that it has.
_HEADLINES = ('score', 'return', 'support', 'pair_agreement')
# Between two words on how far an evaluation is that nothing else goes on beside.
_WORD_SECONDS = 1.0
# After which processes ask each other whether they have judged; none waits for long without a word.
_ROUND_SECONDS = 60.0
# (carry, step, number of steps, alive bool (members,), tick) -> carry, and measures (members,) to be
# logged. It calls tick with the steps of each piece that it has made, once every second or oftener;
# members that are not alive stay as they are.
Advance = Callable[
    [dict[str, Any], int, int, np.ndarray, Callable[[int], None]],
    tuple[dict[str, Any], dict[str, np.ndarray]],
]
# (states, evaluated bool (members,), whether it is the last time) -> members as they were evaluated,
# with their measures.
Judge = Callable[[Any, np.ndarray, bool], Turns[list[tuple[Member, dict[str, float]]]]]


class Record(NamedTuple):
    """What a training reports to on its way.

    Attributes:
        path: of the run directory.
        log: takes a row of each member after every chunk and of each judgement.
        judge: of the members.
        interval: steps between judgements and checkpoints.
        checkpoints: of everything that is carried from chunk to chunk.
    """

    path: Path
    log: MetricsLog
    judge: Judge
    interval: int
    checkpoints: Checkpoints


class _Evaluation:
    """A judgement that is made in turns, and the rows that are to follow its own.

    What fails in a turn is raised when it is asked whether it is `over`: in the midst of a chunk other
    processes may be waiting for this one's part of the training.
    """

    def __init__(self, step: int, turns: Turns[list[tuple[Member, dict[str, float]]]]):
        self.step, self.later = step, []
        self.judged: list[tuple[Member, dict[str, float]]] | None = None
        self._turns, self._wait = turns, Wait(lambda: True, 0.0)
        self._failure: Exception | None = None

    @property
    def stands(self) -> bool:
        """Whether there are no more turns to take."""
        return self.judged is not None or self._failure is not None

    def over(self) -> bool:
        """Whether all processes have judged.

        Raises:
            Exception: what failed, here or in another process.
        """
        if self._failure:
            raise self._failure
        return all(processes.gather(self.judged is not None))

    def take_turn(self, patient: bool) -> float:
        """One turn, if it has not to wait or is to wait for it; the share that is done."""
        if not self.stands and (patient or self._wait.over()):
            try:
                self._wait = next(self._turns)
            except StopIteration as end:
                self.judged = end.value
            except Exception as error:
                self._failure = error
        return self._wait.share


class _Reporter:
    """Shows, writes and judges what a training reports.

    While an accelerator trains, policies are judged beside it, from a copy of their states; cores step
    the environments too, and do one after the other sooner. Rows stand in the order of their steps in
    either case, those of an evaluation after the training's at the same step: later ones wait for it. A
    checkpoint does not wait; whoever goes on from it makes its evaluation again.
    """

    def __init__(self, record: Record | None, members: list[Member], progress: tqdm):
        self._record, self._members, self._progress = record, members, progress
        self._evaluation: _Evaluation | None = None

    def tick(self, steps: int) -> None:
        """A piece of training is done; the evaluation, if there is one, has its turn."""
        self._progress.update(steps)
        if self._evaluation is not None:
            self._evaluation.take_turn(patient=False)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Rows of a chunk."""
        if self._evaluation is not None and self._evaluation.over():
            self.conclude()
        if self._evaluation is not None:
            self._evaluation.later += rows
        else:
            self._record.log.write(rows)

    def judge(self, step: int, states: Any, diverged: np.ndarray, final: bool) -> None:
        """Begins an evaluation; those before are concluded."""
        turns = self._record.judge(jax.tree.map(jnp.copy, states), ~diverged, final)
        self._evaluation = _Evaluation(step, turns)
        if _on_cores(states):
            self.conclude()

    def conclude(self) -> None:
        """Ends the evaluation, if there is one, and writes its rows and those that waited for them."""
        evaluation, said = self._evaluation, time.monotonic()
        if evaluation is None:
            return
        while not evaluation.over():
            until = time.monotonic() + _ROUND_SECONDS
            while not evaluation.stands and time.monotonic() < until:
                share = evaluation.take_turn(patient=True)
                if time.monotonic() > said + _WORD_SECONDS:
                    self._progress.set_postfix_str(f'evaluated: {share:.0%}')
                    said = time.monotonic()
        judged = _collected(evaluation.judged, len(self._members))
        self._record.log.write([
            row('evaluation', index, member, evaluation.step, measured)
            for index, (member, measured) in enumerate(judged)
        ])  # fmt: skip
        if evaluation.later:
            self._record.log.write(evaluation.later)
        self._evaluation = None
        name = next(name for name in _HEADLINES if name in judged[0][1])
        values = [measured[name] for _, measured in judged]
        if not np.isnan(values).all():
            self._progress.set_postfix({name: f'{np.nanmean(values):.4g}'})


def _on_cores(states: Any) -> bool:
    return mapping.on_cpu(states.step.sharding.mesh)


def standing(path: Path, num_steps: int) -> str:
    """Where a run stands, and how it goes on."""
    done = max(checkpoints.steps(path), default=0)
    if not done:
        return f'{path} has no checkpoint yet; the same command begins it again.'
    return f'{path} stands at {done:,} of {num_steps:,} steps; the same command goes on from there.'


def train(
    carry: dict[str, Any],
    advance: Advance,
    members: list[Member],
    num_steps: int,
    interval: int,
    title: str,
    record: Record | None = None,
    unit: str = 'update',
    stop: Callable[[Any], bool] | None = None,
) -> Any:
    """Trains from wherever the last checkpoint stands, or from nothing, to the last step.

    Args:
        carry: what goes from chunk to chunk, before the first: `states`, with a leading axis of
            members, and what else the source of batches keeps, such as a replay buffer.
        advance: what happens in a chunk.
        members: whose states these are.
        num_steps: in all.
        interval: steps of a chunk.
        title: of the progress bar.
        record: None if nothing is to be kept but what is returned.
        unit: what a step is, for the progress bar and the rate that is logged.
        stop: of the states after a chunk, whether they were trained for long enough; None for never.

    Returns:
        the states after the last step.
    """
    step, diverged = 0, np.zeros(len(members), bool)
    if record and record.checkpoints.latest():
        hparams = carry['states'].hparams
        step, carry = record.checkpoints.restore_latest(diverged=[diverged], **carry)
        (diverged,) = carry.pop('diverged')
        # A run that is extended may have others.
        carry['states'] = carry['states'].replace(hparams=hparams)
        processes.agree({'the last checkpoint': step})
        print(f'Resuming {record.path} after {step:,} of {num_steps:,} {unit}s.')
    with tqdm(
        desc=f'{title} x{len(members)}', total=num_steps, initial=step, unit=unit, dynamic_ncols=True
    ) as progress:
        reporter = _Reporter(record, members, progress)
        if record and processes.by_first(lambda: record.log.judged) < step:
            reporter.judge(step, carry['states'], diverged, step == num_steps)
        while step < num_steps:
            began = time.perf_counter()
            chunk = min(interval, num_steps - step)
            carry, measures = advance(carry, step, chunk, ~diverged, reporter.tick)
            states = jax.block_until_ready(carry['states'])
            step += chunk
            rate = chunk / (time.perf_counter() - began)
            finite = learners.all_finite(states, len(members))
            for index in np.flatnonzero(~finite & ~diverged):
                progress.write(f'DIVERGED after {step:,} {unit}s: {members[index].description}')
            diverged = diverged | ~finite
            if stop and stop(states):
                break
            if not record:
                continue
            own = {f'learner/{name}': v for name, v in spread.whole(states.metrics).items()}
            measures = own | measures
            due = step % record.interval == 0 or step == num_steps
            if due:
                reporter.conclude()
            reporter.write([
                row('training', index, member, step,
                    {name: values[index] for name, values in measures.items()}
                    | {f'{unit}s_per_second': rate})
                for index, member in enumerate(members)
            ])  # fmt: skip
            if due:
                # Also where all hear of it if the first could not write.
                mark = processes.by_first(lambda: record.log.mark)
                # orbax 0.11 takes no tree that is an array itself.
                record.checkpoints.save(step, mark, diverged=[diverged], **carry)
                reporter.judge(step, states, diverged, step == num_steps)
        reporter.conclude()
    return carry['states']


def _collected(
    judged: list[tuple[Member, dict[str, float]]], num_members: int
) -> list[tuple[Member, dict[str, float]]]:
    """What all processes found, in the order in which one process judges: the members, once or again.

    Args:
        judged: what this process found.
        num_members: in all processes.
    """
    parts = processes.gather([
        (member.setting, member.seed, measured) for member, measured in judged
    ])  # fmt: skip
    times = sum(map(len, parts)) // num_members
    return [
        (Member(setting, seed), measured)
        for time in range(times)
        for part in parts
        for setting, seed, measured in part[time * len(part) // times :][: len(part) // times]
    ]


@contextmanager
def recording(
    path: Path,
    checkpoints: Checkpoints,
    judge: Judge,
    interval: int,
    wandb_config: dict[str, Any] | None = None,
) -> Iterator[Record]:
    """Opens a run directory's log.

    Args:
        path, checkpoints: of the directory.
        judge: as in Record.
        interval: steps between evaluations.
        wandb_config: to log to Weights & Biases too; None for not.
    """
    with processes.in_first(
        lambda: MetricsLog(path, checkpoints.latest() or 0, wandb_config)
    ) as log:
        yield Record(path, log or Unwritten(), judge, interval, checkpoints)

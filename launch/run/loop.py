"""The one training loop: advance, watch for divergence, log, evaluate, save."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from launch.run import checkpoints, learners, processes
from launch.run.checkpoints import Checkpoints
from launch.run.members import Member
from launch.run.metrics import MetricsLog, Unwritten, row

# What the progress bar shows of an evaluation: the first that it has.
_HEADLINES = ('score', 'return', 'support')
# (carry, step, number of steps) -> carry, and measures (members,) to be logged.
Advance = Callable[[dict[str, Any], int, int], tuple[dict[str, Any], dict[str, np.ndarray]]]
# (states, evaluated bool (members,), whether it is the last time) -> members as they were evaluated,
# with their measures.
Judge = Callable[[Any, np.ndarray, bool], list[tuple[Member, dict[str, float]]]]


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
        print(f'Resuming {record.path} after {step:,} of {num_steps:,} {unit}s.')
    with tqdm(
        desc=f'{title} x{len(members)}', total=num_steps, initial=step, unit=unit, dynamic_ncols=True
    ) as progress:
        while step < num_steps:
            began = time.perf_counter()
            chunk = min(interval, num_steps - step)
            carry, measures = advance(carry, step, chunk)
            states = jax.block_until_ready(carry['states'])
            step += chunk
            progress.update(chunk)
            rate = chunk / (time.perf_counter() - began)
            finite = learners.all_finite(states, len(members))
            for index in np.flatnonzero(~finite & ~diverged):
                progress.write(f'DIVERGED after {step:,} {unit}s: {members[index].description}')
            diverged = diverged | ~finite
            if stop and stop(states):
                break
            if not record:
                continue
            own = {f'learner/{name}': v for name, v in processes.whole(states.metrics).items()}
            measures = own | measures
            record.log.write([
                row('training', index, member, step,
                    {name: values[index] for name, values in measures.items()}
                    | {f'{unit}s_per_second': rate})
                for index, member in enumerate(members)
            ])  # fmt: skip
            if step % record.interval == 0 or step == num_steps:
                judged = _collected(record.judge(states, ~diverged, step == num_steps), len(members))
                record.log.write([
                    row('evaluation', index, member, step, measured)
                    for index, (member, measured) in enumerate(judged)
                ])  # fmt: skip
                # orbax 0.11 takes no tree that is an array itself.
                record.checkpoints.save(step, record.log.mark, diverged=[diverged], **carry)
                name = next(name for name in _HEADLINES if name in judged[0][1])
                values = [measured[name] for _, measured in judged]
                if not np.isnan(values).all():
                    progress.set_postfix({name: f'{np.nanmean(values):.4g}'})
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

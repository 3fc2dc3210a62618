"""metrics.jsonl: a row for every member after every chunk of updates, and for every evaluation."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from data import disk
from launch.cli import UserError
from launch.run.members import Member


def row(
    event: str, index: int, member: Member, step: int, measures: dict[str, float]
) -> dict[str, Any]:
    """What metrics.jsonl holds of a member at a step; event is 'training' or 'evaluation'."""
    return {
        'step': step,
        'event': event,
        'member': index,
        'seed': member.seed,
        'setting': member.setting,
        'measures': {name: float(value) for name, value in measures.items()},
    }


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a run directory's metrics.jsonl; a last line cut by a kill is left out."""
    file = path / 'metrics.jsonl'
    if not file.exists():
        return []
    lines = file.read_text().split('\n')
    return [json.loads(line) for line in lines[:-1]]


def curve(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps (evaluations,) and the members' scores (evaluations, members) of a run directory.

    Raises:
        UserError: it holds no evaluations.
    """
    rows = [each for each in read(path) if each['event'] == 'evaluation']
    if not rows:
        raise UserError(f'{path} holds no evaluations.')
    steps = sorted({each['step'] for each in rows})
    members = sorted({each['member'] for each in rows})
    found = {(each['step'], each['member']): each['measures']['score'] for each in rows}
    return np.array(steps), np.array([[found[step, m] for m in members] for step in steps])


class MetricsLog:
    """metrics.jsonl and TensorBoard, and W&B if asked for."""

    def __init__(self, path: Path, first_step: int, wandb_config: dict[str, Any] | None = None):
        """Args: the run, the steps done (later rows of a killed run are dropped), W&B's config."""
        from tensorboardX import SummaryWriter

        self._file = path / 'metrics.jsonl'
        rows = [each for each in read(path) if each['step'] <= first_step]
        temporary = self._file.with_suffix('.part')
        temporary.write_text(''.join(json.dumps(each) + '\n' for each in rows))
        temporary.replace(self._file)
        self._writer = SummaryWriter(str(path / 'tensorboard'), purge_step=first_step + 1)
        self._wandb = None
        if wandb_config is not None:
            try:
                import wandb
            except ImportError as error:
                raise UserError(
                    "config.wandb needs the package wandb: pip install -e '.[wandb]'."
                ) from error
            self._wandb = wandb.init(
                project='offline-rl-jax',
                id=hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16],
                resume='allow',
                config=wandb_config,
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._writer.close()
        if self._wandb:
            self._wandb.finish()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows of {'step', 'event', 'member', 'seed', 'setting', 'measures'}."""
        with disk.writing(self._file), self._file.open('a') as file:
            file.writelines(json.dumps(each) + '\n' for each in rows)
        for each in rows:
            scalars = {
                f'{each["event"]}/{name}/member{each["member"]}': value
                for name, value in each['measures'].items()
                if np.isfinite(value)
            }
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, each['step'])
            if self._wandb:
                self._wandb.log(scalars | {'step': each['step']})
        self._writer.flush()

"""The directory of a run: all that it was, learned and measured.

    config.json           the complete config
    problem.json          dataset id, sizes, environment, action bounds, standardisation, scores
    metrics.jsonl         one row per member and log or evaluation
    checkpoints/          orbax: the states of all members at the last evaluation; online also the
                          replay buffers
    actors/STEP.npz       online: the members' policies at every log (data/policies.py)
    summary.json          final scores with intervals, per setting
    learning_curves.png
    tensorboard/
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict
from orbax.checkpoint.checkpoint_managers import LatestN

from launch.cli import UserError

# What may differ between two launches of one run.
_FREE_KEYS = ('run_dir', 'resume', 'wandb')


def identity(config: ConfigDict) -> dict[str, Any]:
    """The config as plain JSON data, without what does not change the results."""
    plain = json.loads(config.to_json_best_effort())
    return {key: value for key, value in plain.items() if key not in _FREE_KEYS}


def default_path(config: ConfigDict, data: str) -> Path:
    """runs/<algorithm>/<data>/seed<seed>-<hash of the config>, `data` naming what is learned from."""
    digest = hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()[:8]
    data = data.replace('/', '-')
    return Path('runs') / config.algorithm / data / f'seed{config.seed}-{digest}'


def prepare(path: Path, config: ConfigDict) -> None:
    """Creates the directory, or makes sure that the run in it is this one.

    Raises:
        UserError: the directory holds another run, or this one and config.resume is False.
    """
    file = path / 'config.json'
    if not file.exists():
        if path.exists() and any(path.iterdir()):
            raise UserError(f'{path} is not empty and holds no run; choose another config.run_dir.')
        path.mkdir(parents=True, exist_ok=True)
        temporary = path / 'config.json.part'
        temporary.write_text(config.to_json_best_effort(indent=2))
        temporary.replace(file)
        return
    there, ours = identity(load_config(path)), identity(config)
    different = sorted(key for key in there.keys() | ours.keys() if there.get(key) != ours.get(key))
    if different:
        raise UserError(
            f'{path} holds a run whose config differs in {", ".join(different)}; '
            'choose another config.run_dir.'
        )
    if not config.resume:
        raise UserError(
            f'{path} holds this run already; continue it with --config.resume or choose another '
            'config.run_dir.'
        )


def load_config(path: Path) -> ConfigDict:
    """The config of a run.

    Raises:
        UserError: there is no run.
    """
    file = path / 'config.json'
    if not file.exists():
        raise UserError(f'{path} holds no run: there is no {file.name} in it.')
    return ConfigDict(json.loads(file.read_text()))


def title(config: ConfigDict) -> str:
    """How tables and figures name a run's algorithm, and the best episodes if it saw only those."""
    name = config.algorithm.upper().replace('_', ' ')
    share = config.get('top_fraction', 1.0)
    return name if share == 1 else f'{100 * share:g} % {name}'


def summaries(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """The summaries of finished runs on one dataset, by algorithm (or path, when it comes again).

    Raises:
        UserError: there is no run, or no finished one, or the datasets differ.
    """
    found = {}
    for path in paths:
        name = title(load_config(path))
        file = path / 'summary.json'
        if not file.exists():
            raise UserError(f'{path} is not finished: there is no {file.name} in it.')
        found[name if name not in found else str(path)] = json.loads(file.read_text())
    datasets = {summary['dataset'] for summary in found.values()}
    if len(datasets) > 1:
        raise UserError(f'the runs are on different datasets: {", ".join(sorted(datasets))}.')
    return found


class Checkpoints:
    """The states of all members at the last evaluation; each save is all or nothing."""

    def __init__(self, path: Path):
        self._path = path / 'checkpoints'
        self._manager = ocp.CheckpointManager(
            self._path.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=LatestN(1), enable_async_checkpointing=False
            ),
        )

    def latest(self) -> int | None:
        """Updates done at the last save, None before the first."""
        return self._manager.latest_step()

    def save(self, step: int, **trees: Any) -> None:
        """Saves named trees of arrays, `states` among them, after `step` updates or steps."""
        items = {name: ocp.args.StandardSave(_without_keys(tree)) for name, tree in trees.items()}
        self._manager.save(step, args=ocp.args.Composite(**items))

    def restore(self, **trees: Any) -> Any:
        """What was saved last, by name, with the structure and placement of what is given.

        Raises:
            UserError: there is no checkpoint, it is damaged or of another structure.
        """
        step = self.latest()
        if step is None:
            raise UserError(f'{self._path} holds no checkpoint yet.')
        targets = {
            name: ocp.args.StandardRestore(
                jax.tree.map(ocp.tree.to_shape_dtype_struct, _without_keys(tree))
            )
            for name, tree in trees.items()
        }
        try:
            restored = self._manager.restore(step, args=ocp.args.Composite(**targets))
        # A damaged checkpoint fails in whichever library meets the damage first.
        except Exception as error:
            raise UserError(
                f'checkpoint {self._path / str(step)} cannot be read: it is truncated, damaged or of '
                f'other members, networks or devices ({type(error).__name__}); restore it from a '
                'copy, or train from the start in another config.run_dir.'
            ) from error
        return {name: jax.tree.map(_with_key, tree, restored[name]) for name, tree in trees.items()}


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _without_keys(states: Any) -> Any:
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, states)


def _with_key(old: Any, new: Any) -> Any:
    return jax.random.wrap_key_data(new) if _is_key(old) else new


class MetricsLog:
    """metrics.jsonl and TensorBoard, and W&B if asked for."""

    def __init__(self, path: Path, config: ConfigDict, first_step: int):
        """Args: the run, its config, and the updates done: later rows of a killed run are dropped."""
        from tensorboardX import SummaryWriter

        self._file = path / 'metrics.jsonl'
        rows = [row for row in read_metrics(path) if row['step'] <= first_step]
        temporary = self._file.with_suffix('.part')
        temporary.write_text(''.join(json.dumps(row) + '\n' for row in rows))
        temporary.replace(self._file)
        self._writer = SummaryWriter(str(path / 'tensorboard'), purge_step=first_step + 1)
        self._wandb = None
        if config.wandb:
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
                config=identity(config),
            )

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows of {'step', 'event', 'member', 'seed', <swept values>, <measures>}."""
        with self._file.open('a') as file:
            file.writelines(json.dumps(row) + '\n' for row in rows)
        for row in rows:
            scalars = {
                f'{row["event"]}/{name}/member{row["member"]}': value
                for name, value in row['measures'].items()
                if np.isfinite(value)
            }
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, row['step'])
            if self._wandb:
                self._wandb.log(scalars | {'step': row['step']})
        self._writer.flush()

    def close(self) -> None:
        """Ends the TensorBoard and W&B writers."""
        self._writer.close()
        if self._wandb:
            self._wandb.finish()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; a last line cut by a kill is left out."""
    file = path / 'metrics.jsonl'
    if not file.exists():
        return []
    lines = file.read_text().split('\n')
    return [json.loads(line) for line in lines[:-1]]

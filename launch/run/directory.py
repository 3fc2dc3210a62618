"""The directory of a run: all that it was, learned and measured.

    config.json           the complete config
    problem.json          dataset id, sizes, environment, action bounds, standardisation, scores
    metrics.jsonl         one row per member and log or evaluation
    checkpoints/          orbax: the states of all members at the last evaluation, or evaluations if
                          config.keep_checkpoints says so; online also the replay buffers
    actors/STEP.npz       online: the members' policies at every log (data/policies.py)
    estimates.json        judged from the log: what every member would earn
    summary.json          final returns, scores or estimates with intervals, per setting
    learning_curves.png
    tensorboard/
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from ml_collections import ConfigDict
from orbax.checkpoint.checkpoint_managers import LatestN

from algorithms import ALGORITHMS
from data import disk
from launch.cli import UserError
from launch.configs import base

# What may differ between two launches of one run.
_FREE_KEYS = ('run_dir', 'resume', 'wandb')
_UNFINISHED = 'config.json.part'


def identity(config: ConfigDict) -> dict[str, Any]:
    """The config as plain JSON data, without what does not change the results."""
    plain = json.loads(config.to_json_best_effort())
    return {key: value for key, value in plain.items() if key not in _FREE_KEYS}


def digest(config: ConfigDict) -> str:
    """Changes whenever the config does, but for what does not change the results."""
    plain = json.dumps(identity(config), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:8]


def default_path(config: ConfigDict, data: str) -> Path:
    """runs/<algorithm>/<data>/seed<seed>-<hash of the config>, `data` naming what is learned from."""
    name = f'seed{config.seed}-{digest(config)}'
    return Path('runs') / config.algorithm / data.replace('/', '-') / name


def holds(path: Path, config: ConfigDict, resume: bool) -> bool:
    """Whether a directory holds this run already; an empty one, or none, does not.

    Raises:
        UserError: it holds another run or other things, or this run and it shall not be resumed.
    """
    if not (path / 'config.json').exists():
        # What a kill left before the config was whole is nothing yet.
        if path.exists() and any(entry.name != _UNFINISHED for entry in path.iterdir()):
            raise UserError(f'{path} is not empty and holds no run; choose another config.run_dir.')
        return False
    ours = identity(config)
    there = _completed(identity(load_config(path)), ours)
    different = sorted(key for key in there.keys() | ours.keys() if there.get(key) != ours.get(key))
    if different:
        raise UserError(
            f'{path} holds a run whose config differs in {", ".join(different)}; '
            'choose another config.run_dir.'
        )
    if not resume:
        raise UserError(
            f'{path} holds this run already; continue it with --config.resume or choose another '
            'config.run_dir.'
        )
    return True


def _completed(there: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """The config of a run with the keys that have come since: it was run by their default values."""

    def complete(there, ours, defaults):
        return {key: defaults[key] for key in ours.keys() & defaults.keys()} | {
            key: complete(value, ours[key], defaults[key])
            if isinstance(value, dict) and key in ours and key in defaults
            else value
            for key, value in there.items()
        }

    return complete(there, ours, identity(base.get_config(there['algorithm'], {}, {})))


def create(path: Path, config: ConfigDict) -> None:
    """Makes the directory and writes the config, if they are not there."""
    file = path / 'config.json'
    if file.exists():
        return
    path.mkdir(parents=True, exist_ok=True)
    temporary = path / _UNFINISHED
    with disk.writing(file):
        temporary.write_text(config.to_json_best_effort(indent=2))
        temporary.replace(file)


def load_config(path: Path) -> ConfigDict:
    """The config of a run.

    Raises:
        UserError: there is no run, or its config is damaged.
    """
    file = path / 'config.json'
    if not file.exists():
        raise UserError(f'{path} holds no run: there is no {file.name} in it.')
    try:
        config = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f'{file} is damaged: it is no JSON ({error}).') from error
    if not isinstance(config, dict) or config.get('algorithm') not in ALGORITHMS:
        raise UserError(f'{file} names none of the algorithms {", ".join(ALGORITHMS)}.')
    return ConfigDict(config)


def title(algorithm: str, top_fraction: float = 1.0) -> str:
    """How tables and figures name a run's algorithm, and the best episodes if it saw only those."""
    name = ALGORITHMS[algorithm].NAME
    return name if top_fraction == 1 else f'{100 * top_fraction:g} % {name}'


def title_of(path: Path) -> str:
    """The title of the run in a directory."""
    config = load_config(path)
    return title(config.algorithm, config.get('top_fraction', 1.0))


class Checkpoints:
    """The states of all members at the last evaluations; each save is all or nothing.

    Args:
        path: of the run directory.
        keep: how many of the last saves stay.
    """

    def __init__(self, path: Path, keep: int = 1):
        self._path = path / 'checkpoints'
        self._manager = ocp.CheckpointManager(
            self._path.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=LatestN(keep), enable_async_checkpointing=False
            ),
        )

    def latest(self) -> int | None:
        """Updates done at the last save, None before the first."""
        return self._manager.latest_step()

    def steps(self) -> list[int]:
        """Those of all saves that are kept, the oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, **trees: Any) -> None:
        """Saves named trees of arrays, `states` among them, after `step` updates or steps."""
        items = {name: ocp.args.StandardSave(_storable(tree)) for name, tree in trees.items()}
        with disk.writing(self._path):
            self._manager.save(step, args=ocp.args.Composite(**items))

    def restore(self, step: int | None = None, **trees: Any) -> Any:
        """What was saved after a step, by name, with the structure and placement of what is given.

        Args:
            step: of a save that is kept; None for the last.
            trees: by the names that they were saved with.

        Raises:
            UserError: there is no checkpoint, it is damaged or of another structure.
        """
        step = self.latest() if step is None else step
        if step is None:
            raise UserError(f'{self._path} holds no checkpoint yet.')
        targets = {
            name: ocp.args.StandardRestore(
                jax.tree.map(ocp.tree.to_shape_dtype_struct, _storable(tree))
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
        return {
            name: jax.tree.unflatten(
                jax.tree.structure(tree),
                map(_with_key, jax.tree.leaves(tree), jax.tree.leaves(restored[name])),
            )
            for name, tree in trees.items()
        }


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _storable(tree: Any) -> Any:
    """A tree without random keys; orbax asks for the truth of an item, which a bare array has not."""
    plain = jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)
    return plain if jax.tree.structure(plain).num_nodes > 1 else {'array': plain}


def _with_key(old: Any, new: Any) -> Any:
    return jax.random.wrap_key_data(new) if _is_key(old) else new

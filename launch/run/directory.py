"""The directory of a run: all that it was, learned and measured.

    config.json           the complete config
    dataset.json          what is learned from: its id and the fingerprint of its numbers
    problem.json          dataset id, sizes, environment, action bounds, standardisation, scores
    metrics.jsonl         one row per member and log or evaluation
    checkpoints/          the states of all members at the last evaluation, or evaluations if
                          config.keep_checkpoints says so; online also the replay buffers
    actors/STEP.npz       online: the members' policies at every log (data/policies.py)
    estimates.json        judged from the log: what every member would earn
    summary.json          final returns, scores or estimates with intervals, per setting; of a run that
                          has been extended, summary-UPDATES.json what it was before
    learning_curves.png
    tensorboard/
    .lock                 while it is trained, by which process
"""

import copy
import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from data import disk, problem
from data.loading import Dataset
from data.problem import Problem
from launch.cli import UserError
from launch.configs import base
from launch.run import checkpoints, documents, ranges
from launch.run.owner import LOCK

# What may differ between two launches of one run.
_FREE_KEYS = ('name', 'run_dir', 'resume', 'wandb', 'extend')
_CONFIG, _DATASET, _PROBLEM = 'config.json', 'dataset.json', 'problem.json'
# Of a config: without these there is no policy to restore.
_NEEDED = ('seed', 'num_seeds', 'num_updates', 'batch_size', 'hparams', 'sweep', 'network')


def identity(config: ConfigDict) -> dict[str, Any]:
    """The config as plain JSON data, without what does not change the results."""
    plain = json.loads(config.to_json_best_effort())
    return {key: value for key, value in plain.items() if key not in _FREE_KEYS}


def digest(config: ConfigDict) -> str:
    """Changes whenever the config does in what changes the results; a key that comes later does not."""
    usual = flatten_dict(_usual(config), sep='.')
    plain = flatten_dict(identity(config), sep='.')
    own = {key: value for key, value in plain.items() if key not in usual or usual[key] != value}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]


def default_path(config: ConfigDict, data: str) -> Path:
    """runs/<algorithm>/<data>/seed<seed>-<hash of the config>, `data` naming what is learned from."""
    name = f'seed{config.seed}-{digest(config)}'
    return Path('runs') / config.algorithm / data.replace('/', '-') / name


def holds(path: Path, config: ConfigDict, resume: bool) -> bool:
    """Whether a directory holds this run already, or that which it extends; an empty one does not.

    Raises:
        UserError: it holds another run or other things, or this run and it shall not be resumed.
    """
    if not (path / _CONFIG).exists():
        if path.exists() and not all(map(_is_nothing, path.iterdir())):
            raise UserError(f'{path} is not empty and holds no run; choose another config.run_dir.')
        return False
    ours, there = identity(config), identity(load_config(path))
    ours, there = (flatten_dict(each, True, sep='.') for each in (ours, _completed(there, ours)))
    different = sorted(key for key in there.keys() | ours.keys() if there.get(key) != ours.get(key))
    if different and different != ['num_updates']:
        extending = config.get('extend') and ours['num_updates'] > there['num_updates']
        if not (extending and all(map(_counts_updates, different))):
            raise UserError(
                f'{path} holds a run whose config differs in {", ".join(different)}; '
                'choose another config.run_dir.'
            )
    if there['num_updates'] > ours['num_updates']:
        raise UserError(
            f'{path} holds this run with config.num_updates={there["num_updates"]}, and a run cannot '
            f'go back to {ours["num_updates"]}; choose another config.run_dir.'
        )
    if not resume:
        raise UserError(
            f'{path} holds this run already; continue it with --config.resume or choose another '
            'config.run_dir.'
        )
    if different and not config.get('extend'):
        raise UserError(
            f'{path} holds this run with config.num_updates={there["num_updates"]}; it goes on to '
            f'{ours["num_updates"]} with --config.extend --config.run_dir={path}, or choose another '
            'config.run_dir.'
        )
    return True


def _is_nothing(entry: Path) -> bool:
    """Whether an entry of a directory is what a run leaves that was killed before it began."""
    if entry.is_dir() and not entry.is_symlink():
        return not any(entry.iterdir())
    return entry.name == LOCK or entry.suffix == '.part'


def _counts_updates(key: str) -> bool:
    return key == 'num_updates' or (key.startswith('hparams.') and key.endswith('_updates'))


def _completed(there: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """The config of a run with the keys that have come since: it was run by their default values."""

    def complete(there, ours, defaults):
        return {key: defaults[key] for key in ours.keys() & defaults.keys()} | {
            key: complete(value, ours[key], defaults[key])
            if isinstance(value, dict) and key in ours and key in defaults
            else value
            for key, value in there.items()
        }

    return complete(there, ours, _usual(there))


def _usual(config: ConfigDict | dict[str, Any]) -> dict[str, Any]:
    """The values that keys have where a config is without them; offline, all that base.py gives."""
    network = getattr(ALGORITHMS.get(config['algorithm']), 'USUAL', {})
    usual = identity(base.get_config(config['algorithm'], {}, network))
    return usual | base.ONLINE if 'from_run' in config else usual


def extended(config: ConfigDict) -> ConfigDict:
    """A config as that of the run which it extends: what followed num_updates there stays as it was.

    Raises:
        UserError: config.extend does not say which run.
    """
    if not config.get('extend'):
        return config
    path = Path(config.run_dir)
    if not config.run_dir:
        raise UserError('config.extend: which run? --config.run_dir=DIRECTORY says.')
    if not (path / _CONFIG).exists():
        return config
    then = copy.deepcopy(config)
    then.num_updates = load_config(path).num_updates
    then = then.copy_and_resolve_references()
    then.num_updates = config.num_updates
    return then


def is_extended_by(path: Path, config: ConfigDict) -> bool:
    """Whether a run that is there is to go on to more updates than it was meant for."""
    return load_config(path).num_updates < config.num_updates


def create(path: Path, config: ConfigDict) -> None:
    """Makes the directory and writes the config, if they are not there, or of a run to extend.

    Raises:
        UserError: as `holds`.
    """
    if holds(path, config, resume=True):
        if not is_extended_by(path, config):
            return
        before, summary = load_config(path), path / 'summary.json'
        if summary.exists() and not checkpoints.steps(path):
            raise UserError(f'{path} is finished and has no checkpoint from which it could go on.')
        print(_extension(path, before, config))
        # Before the config, so that a run with a summary is never one that is not at its end.
        if summary.exists():
            summary.replace(path / f'summary-{before.num_updates}.json')
    path.mkdir(parents=True, exist_ok=True)
    # JSON has no infinity, but numbers of any size.
    text = re.sub(r'(?<=[\s\[])(-?)Infinity\b', r'\g<1>1e999', config.to_json_best_effort(indent=2))
    disk.write_text(path / _CONFIG, text)


def _extension(path: Path, before: ConfigDict, config: ConfigDict) -> str:
    counting = {
        name: (before.hparams[name], value)
        for name, value in config.hparams.items()
        if _counts_updates(f'hparams.{name}')
    }
    sentence = f'{path} goes on from {before.num_updates:,} to {config.num_updates:,} updates.'
    for name, (then, now) in counting.items():
        if now == then:
            sentence += (
                f' hparams.{name} stays {then:g}, counted from the start: what it schedules does not '
                'begin again, and a step size that has decayed by then stays where it ended; '
                f'--config.hparams.{name} sets another.'
            )
        else:
            sentence += f' hparams.{name} is {now:g} from here on, {then:g} before.'
    return sentence


def begin(path: Path, config: ConfigDict, task: Problem, dataset: Dataset | None) -> None:
    """Writes what a run is and what it is of, once and for all, or makes sure that it still is.

    Args:
        path: of the run.
        config: as for `create`.
        task: the problem.
        dataset: that is learned from; None if there is none.

    Raises:
        UserError: as `create`, or the dataset has changed since, or what it was is lost.
    """
    file = path / _PROBLEM
    if file.exists() and dataset:
        check_data(path, dataset, task)
    if not file.exists() and checkpoints.steps(path):
        raise UserError(
            f'{path} has checkpoints, but no {file.name}, without which they are of no use; restore it '
            'from a copy, or train from the start in another config.run_dir.'
        )
    create(path, config)
    if file.exists():
        return
    if dataset:
        documents.write(path / _DATASET, {
            'dataset': dataset.problem.name,
            'fingerprint': dataset.fingerprint,
        })  # fmt: skip
    # Last, so that a run which has it has all.
    problem.save(task, file)


def knows_data(path: Path) -> bool:
    """Whether a run says of which numbers the dataset was that it learned from."""
    return (path / _DATASET).exists()


def check_data(path: Path, dataset: Dataset, task: Problem | None = None) -> None:
    """Raises UserError if a dataset is no more what a run, if there is one, learned from.

    Of a run made before fingerprints were kept, `task`, if it is given, has to be the same.
    """
    file, same = path / _DATASET, True
    if file.exists():
        there = documents.read(file, {'dataset': str, 'fingerprint': str})
        if there['dataset'] == dataset.problem.name:
            same = there['fingerprint'] == dataset.fingerprint
    elif task and (path / _PROBLEM).exists():
        before = problem.load(path / _PROBLEM)
        same = before.spec == task.spec and all(
            map(np.allclose, before.preprocessing, task.preprocessing)
        )
    if not same:
        raise UserError(
            f'dataset {dataset.problem.name} has changed since the run in {path} began: it holds other '
            'numbers; restore it, or learn from it as it is now in another config.run_dir.'
        )


def load_config(path: Path) -> ConfigDict:
    """The config of a run.

    Raises:
        UserError: there is no run, or its config is damaged.
    """
    file = path / _CONFIG
    if not file.exists():
        raise UserError(f'{path} holds no run: there is no {file.name} in it.')
    plain = documents.read(file, {})
    if plain.get('algorithm') not in list(ALGORITHMS):
        raise UserError(f'{file} names none of the algorithms {", ".join(ALGORITHMS)}.')
    algorithm = ALGORITHMS[plain['algorithm']]
    default = base.get_config(plain['algorithm'], {}, {})
    known = {key: value for key, value in default.items() if key in plain or key in _NEEDED}
    schema = {key: documents.like(value, plain.get(key)) for key, value in known.items()}
    # What a return-conditioned policy is asked for is in config.target_returns.
    names = {field.name for field in dataclasses.fields(algorithm.Hyperparameters)} - {'target_return'}
    schema |= {'hparams': dict.fromkeys(names, documents.KNOWN_NUMBER), 'sweep': {'*': list}}
    schema |= {key: list for key in ('target_returns',) if key in plain}
    documents.check(str(file), plain, schema)
    plain['network'] = getattr(algorithm, 'USUAL', {}) | plain['network']
    ranges.check(ConfigDict(plain).network, algorithm.NETWORK, f'{file} is damaged: network')
    return ConfigDict(plain)


def title(config: ConfigDict) -> str:
    """How tables and figures name a run: its name or algorithm, and what it learns from if not steps."""
    name, best = config.get('name') or ALGORITHMS[config.algorithm].NAME, config.get('top_fraction', 1)
    apart = [f'{key} {config[key]}' for key in ('n_step', 'chunk') if config.get(key, 1) != 1]
    return ', '.join([name if best == 1 else f'{100 * best:g} % {name}', *apart])

"""What the tests of the launcher use."""

import io
import os
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from absl import flags
from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from data import loading, preferences, teachers
from data.problem import Problem
from launch import cli
from launch.run import learners
from launch.run.learners import Learners
from launch.run.members import Member, make_members, with_target
from tests.algorithms.helpers import CONFIGS

ROOT = Path(__file__).parents[2]
# What makes networks small, and quick to compile; what an algorithm does not have is left out.
_SMALL = {
    'hidden_sizes': (16,), 'actor_hidden_sizes': (16,), 'vae_hidden_sizes': (16,),
    'num_sampled_actions': 2, 'num_act_actions': 3, 'context': 4, 'embedding_size': 16, 'num_layers': 1,
    'flow_steps': 2, 'vector_size': 8,
}  # fmt: skip


def small_config(dataset: str, algorithm: str = 'iql', **values) -> ConfigDict:
    """A run of a few seconds; values such as {'hparams.expectile': 0.9}."""
    config = CONFIGS[algorithm].get_config()
    small = {f'network.{key}': value for key, value in _SMALL.items() if key in config.network}
    if 'target_returns' in config:
        small['target_returns'] = (1.0,)
    config.update_from_flattened_dict(
        small
        | {
            'dataset': dataset,
            'num_seeds': 1,
            'normalize_rewards': False,
            'batch_size': 32,
            'num_updates': 40,
            # Updates in a loop would be a second program to compile.
            'log_interval': 1,
            'eval_interval': 20,
            # Few enough for three members to be judged in this process.
            'eval_episodes': 1,
            'final_eval_episodes': 2,
        }
        | values
    )
    return config


def command(*arguments: str) -> list[str]:
    return [sys.executable, '-m', *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess:
    """Runs `python -m <arguments>` in a process of its own, from the repository's root."""
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True
    )


class Result(NamedTuple):
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str


def program(module: str, *arguments: str) -> Result:
    """What `python -m <module> <arguments>` does, in this process and on its devices."""
    before, out, errors = set(flags.FLAGS), io.StringIO(), io.StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setattr(sys, 'argv', [module, *map(str, arguments)])
        patch.setattr(cli, 'use_all_cores', lambda: None)
        # Where it was imported, runpy would warn.
        patch.delitem(sys.modules, module, raising=False)
        try:
            runpy.run_module(module, run_name='__main__')
        except SystemExit as ended:
            code = ended.code or 0
            if isinstance(code, str):
                code, text = 1, code
                print(text, file=errors)
        finally:
            for name in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, name)
    return Result(code, out.getvalue(), errors.getvalue())


def algorithms_and_actions() -> list[tuple[str, str]]:
    """(algorithm, kind of action), all that learn policies."""
    return [
        (name, kind) for name, module in ALGORITHMS.items() for kind in module.ACTIONS
        if hasattr(module, 'act')
    ]  # fmt: skip


def written_preferences(path: Path, dataset_id: str, pairs: int = 40, length: int = 50) -> str:
    """A file of what the dataset's own rewards prefer."""
    dataset, rng = loading.load(dataset_id), np.random.default_rng(0)
    drawn = teachers.drawn(dataset, pairs, length, rng)
    stated = teachers.labelled(dataset, drawn, teachers.TEACHERS['return'], rng)
    preferences.write(path, stated, dataset)
    return str(path)


def members_of(config: ConfigDict) -> list[Member]:
    return make_members(config.hparams.to_dict(), config.sweep, config.seed, config.num_seeds)


def learner_of(config: ConfigDict, task: Problem) -> Learners:
    """The learners of a config's members."""
    return learners.build(
        ALGORITHMS[config.algorithm], task.spec, task.preprocessing, members_of(config),
        with_target(config.hparams.to_dict(), tuple(config.get('target_returns', ()))),
        config.network, config.batch_size, config.get('n_step', 1),
        config.get('chunk', 1),
    )  # fmt: skip

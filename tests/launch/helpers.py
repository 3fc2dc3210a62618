"""What the tests of the launcher use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from algorithms import ALGORITHMS
from tests.algorithms.helpers import CONFIGS

ROOT = Path(__file__).parents[2]
_FAST = ('bc', 'iql', 'decision_transformer')


def small_config(dataset: str, algorithm: str = 'iql', **values) -> ConfigDict:
    """A run of a few seconds; values such as {'hparams.expectile': 0.9}."""
    config = CONFIGS[algorithm].get_config()
    network = {'network.hidden_sizes': (16, 16)}
    if algorithm == 'decision_transformer':
        network = {'network.context': 4, 'network.embedding_size': 16, 'network.num_layers': 1,
                   'target_returns': (1.0,)}  # fmt: skip
    config.update_from_flattened_dict(
        network
        | {
            'dataset': dataset,
            'num_seeds': 1,
            'normalize_rewards': False,
            'batch_size': 32,
            'num_updates': 40,
            'log_interval': 10,
            'eval_interval': 20,
            'eval_episodes': 2,
            'final_eval_episodes': 3,
        }
        | values
    )
    return config


def command(*arguments: str) -> list[str]:
    return [sys.executable, '-m', *arguments]


def run(*arguments: str, **kwargs) -> subprocess.CompletedProcess:
    """Runs `python -m <arguments>` from the repository's root."""
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, **kwargs
    )


def algorithms_and_actions() -> list:
    """(algorithm, kind of action), all there are; all but a few are slow tests."""
    return [
        pytest.param(name, kind, marks=() if name in _FAST else pytest.mark.slow)
        for name, module in ALGORITHMS.items()
        for kind in module.ACTIONS
    ]

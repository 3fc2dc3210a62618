"""CQL for discrete actions: alpha 1, of the authors' Atari README, the rest as in dqn.py."""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    # Ours: the task is not in the paper. Returns are at most 1: alpha 1 would be cloning.
    'sepsis': {
        'hparams.cql_alpha': 0.05,
        'hparams.learning_rate': 1e-3,
        'hparams.target_period': 100.0,
    },
    'crossroads': {
        'hparams.cql_alpha': 0.05,
        'hparams.learning_rate': 1e-3,
        'hparams.target_period': 100.0,
    },
    # In standardised returns, a tenth of the range of the values or so.
    'log': {'hparams.cql_alpha': 0.1, 'hparams.target_period': 200.0},
}


def get_config(domain: str = 'sepsis') -> ConfigDict:
    """CQL for discrete actions on 'sepsis', 'crossroads' or 'log'."""
    config = base.get_config(
        'discrete_cql',
        hparams={
            'gamma': 0.99,
            'cql_alpha': 1.0,
            'target_period': 1_000,
            'error_clip': 1.0,
            'learning_rate': 3e-4,
        },
        network={'hidden_sizes': (256, 256)},
    )
    return base.select_domain(config, domain, DOMAINS)

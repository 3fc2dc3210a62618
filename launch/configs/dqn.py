"""Double DQN: the papers' gamma and error clipping; the rest is ours, for records, not for Atari."""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    # An episode has about nine steps: 50 target networks carry a value through it several times.
    'sepsis': {'hparams.learning_rate': 1e-3, 'hparams.target_period': 100.0},
    'crossroads': {'hparams.learning_rate': 1e-3, 'hparams.target_period': 100.0},
    'log': {'hparams.target_period': 200.0},
}


def get_config(domain: str = 'sepsis') -> ConfigDict:
    """Double DQN on 'sepsis', 'crossroads' or 'log'."""
    config = base.get_config(
        'dqn',
        hparams={
            'gamma': 0.99,
            'target_period': 1_000,
            'error_clip': 1.0,
            'learning_rate': 3e-4,
        },
        network={'hidden_sizes': (256, 256)},
    )
    return base.select_domain(config, domain, DOMAINS)

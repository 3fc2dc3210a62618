"""CQL for discrete actions: alpha 1 as on most of the paper's Atari data, the rest as in dqn.py."""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    # Ours: the task is not in the paper. Networks and updates as of every algorithm here.
    'sepsis': {
        'dataset': 'local/icu-sepsis/clinician-v0',
        'num_seeds': 10,
        'num_updates': 5_000,
        'log_interval': 500,
        'eval_interval': 1_000,
        'eval_episodes': 100,
        'final_eval_episodes': 1_000,
        'network.hidden_sizes': (128, 128),
        'hparams.learning_rate': 1e-3,
        'hparams.target_period': 100.0,
    },
}


def get_config(domain: str = 'sepsis') -> ConfigDict:
    """CQL for discrete actions on 'sepsis'."""
    config = base.get_config(
        'discrete_cql',
        hparams={
            'discount': 0.99,
            'cql_alpha': 1.0,
            'target_period': 1_000,
            'error_clip': 1.0,
            'learning_rate': 3e-4,
        },
        network={'hidden_sizes': (256, 256)},
    )
    return base.select_domain(config, domain, DOMAINS)

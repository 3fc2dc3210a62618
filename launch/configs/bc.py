"""Behavioural cloning, on the domains that the other algorithms report."""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    'mujoco': {'dataset': 'mujoco/hopper/medium-v0'},
    'antmaze': {
        'dataset': 'D4RL/antmaze/umaze-v1',
        'eval_interval': 100_000,
        'eval_episodes': 100,
    },
    'kitchen': {'dataset': 'D4RL/kitchen/complete-v2', 'network.dropout_rate': 0.1},
    'adroit': {'dataset': 'D4RL/pen/human-v2', 'network.dropout_rate': 0.1},
    'pointmaze': {
        'dataset': 'local/pointmaze/umaze-v0',
        'num_updates': 30_000,
        'eval_interval': 5_000,
        'eval_episodes': 20,
    },
    'sepsis': {
        'dataset': 'local/icu-sepsis/clinician-v0',
        'num_seeds': 10,
        'num_updates': 2_500,
        'log_interval': 500,
        'eval_interval': 500,
        'eval_episodes': 100,
        'final_eval_episodes': 1_000,
        'network.hidden_sizes': (128, 128),
        'hparams.learning_rate': 1e-3,
    },
}


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """BC on 'mujoco', 'antmaze', 'kitchen', 'adroit', 'pointmaze' or 'sepsis'."""
    config = base.get_config(
        'bc',
        hparams={'learning_rate': 3e-4},
        network={'hidden_sizes': (256, 256), 'dropout_rate': 0.0},
    )
    return base.select_domain(config, domain, DOMAINS)

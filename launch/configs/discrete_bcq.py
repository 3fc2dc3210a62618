"""BCQ for discrete actions: the authors' values for observations that are no images (sfujim/BCQ)."""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    # Ours: the task is not in the paper.
    'sepsis': {
        'hparams.threshold': 0.2,
        'hparams.behaviour_learning_rate': 1e-3,
        'hparams.critic_learning_rate': 5e-4,
    },
    'crossroads': {
        'hparams.behaviour_learning_rate': 1e-3,
        'hparams.critic_learning_rate': 1e-3,
        'hparams.target_rate': 0.01,
    },
    'log': {'batch_size': 256},
}


def get_config(domain: str = 'sepsis') -> ConfigDict:
    """BCQ for discrete actions on 'sepsis', 'crossroads' or 'log'."""
    config = base.get_config(
        'discrete_bcq',
        hparams={
            'gamma': 0.99,
            'threshold': 0.3,
            'target_rate': 0.005,
            'behaviour_learning_rate': 3e-4,
            'critic_learning_rate': 3e-4,
        },
        network={'hidden_sizes': (256, 256)},
    )
    config.batch_size = 64
    return base.select_domain(config, domain, DOMAINS)

"""BCQ: the values of the authors' code (sfujim/BCQ, continuous_BCQ), one set for every domain.

D4RL's table of baselines reports BCQ on these domains; the paper has MuJoCo logs of its own.
"""

from ml_collections import ConfigDict

from launch.configs import base

# Ours: one update costs 5 of TD3's, so a quarter of the domain's updates.
DOMAINS = base.CONTINUOUS | {'pointmaze': {'num_updates': 5_000}} | {
    'log': {'num_updates': 5_000, 'network.vae_hidden_sizes': (256, 256)}
}


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """BCQ on 'mujoco', 'antmaze', 'kitchen', 'adroit', 'pointmaze' or 'log'."""
    config = base.get_config(
        'bcq',
        hparams={
            'gamma': 0.99,
            'minimum_weight': 0.75,
            'max_perturbation': 0.05,
            'target_rate': 0.005,
            'vae_learning_rate': 1e-3,
            'actor_learning_rate': 1e-3,
            'critic_learning_rate': 1e-3,
        },
        network={
            'hidden_sizes': (400, 300),
            'vae_hidden_sizes': (750, 750),
            'num_critics': 2,
            'num_backup_actions': 10,
            'num_act_actions': 100,
        },
    )
    config.batch_size = 100
    return base.select_domain(config, domain, DOMAINS)

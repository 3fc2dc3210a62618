"""TD3+BC: the values of the paper's appendix B and of the authors' code, which are for locomotion.

The other domains keep them; on AntMaze the paper does not standardise observations (appendix C.1), and
rewards are shifted as for the other algorithms.
"""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = base.CONTINUOUS | {'antmaze': {'standardize_observations': False, 'reward_shift': -1.0}}
# Of (64, 64), (128, 128) and batches of 64, 256 none was seen to do better on Hopper than the smallest.
DOMAINS |= base.lean(DOMAINS, {'network.hidden_sizes': (64, 64)})


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """TD3+BC on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze' or 'log'."""
    config = base.get_config(
        'td3_bc',
        hparams={
            'gamma': 0.99,
            'alpha': 2.5,
            'target_rate': 0.005,
            'policy_noise': 0.2,
            'noise_clip': 0.5,
            'policy_delay': 2,
            'exploration_noise': 0.1,
            'actor_learning_rate': 3e-4,
            'critic_learning_rate': 3e-4,
        },
        network={'hidden_sizes': (256, 256), 'num_critics': 2},
    )
    config.standardize_observations = True
    return base.select_domain(config, domain, DOMAINS)

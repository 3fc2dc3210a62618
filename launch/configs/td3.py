"""TD3: the values of the authors' released code, on the domains that the other algorithms report.

The paper trains online; the naive baseline keeps its values on fixed data.
"""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = base.CONTINUOUS | {'antmaze': {'reward_shift': -1.0}}
DOMAINS |= base.lean(DOMAINS, {
    'network.hidden_sizes': (64, 64), 'num_updates': 100_000, 'eval_interval': 20_000,
})  # fmt: skip


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """TD3 on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze' or 'log'."""
    config = base.get_config(
        'td3',
        hparams={
            'gamma': 0.99,
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
    return base.select_domain(config, domain, DOMAINS)

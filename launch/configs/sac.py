"""SAC: the values of the paper's appendix D, on the domains that the other algorithms report.

The paper trains online; the naive baseline keeps its values on fixed data.
"""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = base.CONTINUOUS | {'antmaze': {'reward_shift': -1.0}}
DOMAINS |= base.lean(DOMAINS, {
    'network.hidden_sizes': (64, 64), 'num_updates': 100_000, 'eval_interval': 20_000,
})  # fmt: skip


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """SAC on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze' or 'log'."""
    config = base.get_config(
        'sac',
        hparams={
            'gamma': 0.99,
            'target_entropy_per_dimension': -1.0,
            'initial_temperature': 1.0,
            'target_rate': 0.005,
            'actor_learning_rate': 3e-4,
            'critic_learning_rate': 3e-4,
            'temperature_learning_rate': 3e-4,
        },
        network={
            'hidden_sizes': (256, 256),
            'num_critics': 2,
            # What RLPD chooses otherwise (launch/configs/online.py); algorithms/sac.py says what it is.
            'layer_norm': False,
            'num_target_critics': 0,
            'actor_q': 'min',
            'policy_delay': 1,
            'entropy_in_backup': True,
            'fresh_entropy': True,
        },
    )
    return base.select_domain(config, domain, DOMAINS)

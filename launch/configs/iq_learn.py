"""IQ-Learn: the values of the authors' released configs (Div99/IQ-Learn, conf/ and scripts/).

All episodes are taken for an expert's; `config.top_fraction` keeps the best, and
`config.network.experts='rewarded'` tells demonstrations, whose rewards are above 0, from other episodes
(launch.relabel writes both into one dataset).
"""

from ml_collections import ConfigDict

from launch.configs import base

# Of the authors' scripts/run_offline.sh.
_DISCRETE = {'network.use_target': False, 'network.num_critics': 1}
DOMAINS = {
    'mujoco': {},
    'antmaze': {},
    'kitchen': {},
    'adroit': {},
    'pointmaze': {},
    'sepsis': _DISCRETE | {'hparams.critic_learning_rate': 1e-3},
    'crossroads': _DISCRETE | {'hparams.critic_learning_rate': 1e-3},
    # Rewards are not needed, and may all be the same.
    'log': {'standardize_returns': False},
}
DOMAINS |= base.lean(DOMAINS, {'num_updates': 100_000, 'eval_interval': 20_000})


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """IQ-Learn on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze', 'sepsis',
    'crossroads' or 'log'."""
    config = base.get_config(
        'iq_learn',
        hparams={
            'gamma': 0.99,
            'temperature': 0.01,
            'reward_bound': 0.5,
            'target_rate': 0.005,
            'critic_learning_rate': 3e-4,
            'actor_learning_rate': 3e-5,
        },
        network={
            'hidden_sizes': (256, 256), 'num_critics': 2, 'use_target': True, 'experts': 'all',
        },  # fmt: skip
    )
    return base.select_domain(config, domain, DOMAINS)

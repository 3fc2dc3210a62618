"""Rewards from preferences: the values of PEBBLE's released code where ours are not said to be others.

A number of updates is right for a few hundred to a few thousand pairs: `pair_loss`, the cross-entropy of
held-out pairs, says when it is too large.
"""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    'mujoco': {
        'num_updates': 1_000, 'log_interval': 100, 'eval_interval': 200,
        'standardize_observations': True,
    },
    # Ours: the task is not in a paper. A few hundred pairs are soon learned by heart.
    'sepsis': {
        'num_updates': 200, 'log_interval': 25, 'eval_interval': 50, 'batch_size': 32,
        'num_seeds': 1, 'hparams.learning_rate': 1e-3, 'network.hidden_sizes': (64, 64),
    },
    'log': {
        'num_updates': 200, 'log_interval': 25, 'eval_interval': 50, 'batch_size': 32, 'num_seeds': 1,
        'standardize_returns': False, 'hparams.learning_rate': 1e-3, 'network.hidden_sizes': (64, 64),
    },
}  # fmt: skip
DOMAINS |= base.lean(
    DOMAINS, {'num_updates': 500, 'log_interval': 50, 'eval_interval': 100, 'num_seeds': 1}
)


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """A reward model on 'mujoco', 'lean', 'sepsis' or 'log'."""
    config = base.get_config(
        'preference_reward',
        hparams={'learning_rate': 3e-4},
        network={'hidden_sizes': (256, 256, 256), 'num_rewards': 3},
    )
    config.batch_size = 128
    # A file of data/preferences.py, which launch.prefer makes or checks.
    config.preferences = ''
    return base.select_domain(config, domain, DOMAINS)

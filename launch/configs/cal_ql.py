"""Cal-QL: the values of the authors' scripts (nakamotoo/Cal-QL, scripts/run_antmaze.sh, run_adroit.sh).

Adroit: theirs are binary tasks, whose rewards they take as 10 r + 5; D4RL's, which are dense, stay as
they are. Kitchen and MuJoCo were not released: they have what two of the authors ran Cal-QL and CQL with
later (zhouzypaul/wsrl, experiments/), but for kitchen's sum over samples, which is weighted here too.
"""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    'mujoco': {},
    'antmaze': {
        'reward_scale': 10.0,
        'reward_shift': -5.0,
        'network.lagrange': True,
        'network.hidden_sizes': (256, 256, 256, 256),
    },
    'kitchen': {
        'num_updates': 250_000,
        'reward_shift': -4.0,
        'network.hidden_sizes': (512, 512, 512),
        'network.actor_hidden_sizes': (512, 512, 512),
    },
    'adroit': {
        'num_updates': 20_000,
        'log_interval': 1_000,
        'eval_interval': 2_000,
        'hparams.cql_alpha': 1.0,
        'network.hidden_sizes': (512, 512, 512),
        'network.actor_hidden_sizes': (512, 512),
    },
    # Ours, as CQL's: one update costs 20 of TD3's.
    'pointmaze': {
        'num_updates': 3_000,
        'eval_interval': 1_000,
        'hparams.actor_learning_rate': 3e-4,
    },
    'log': {
        'num_updates': 5_000,
        'hparams.actor_learning_rate': 3e-4,
        'network.actor_hidden_sizes': (128, 128),
    },
}


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """Cal-QL on 'mujoco', 'antmaze', 'kitchen', 'adroit', 'pointmaze' or 'log'."""
    config = base.get_config(
        'cal_ql',
        hparams={
            'gamma': 0.99,
            'cql_alpha': 5.0,
            'target_gap': 0.8,
            'target_rate': 0.005,
            'actor_learning_rate': 1e-4,
            'critic_learning_rate': 3e-4,
        },
        network={
            'hidden_sizes': (256, 256),
            'actor_hidden_sizes': (256, 256),
            'num_critics': 2,
            'num_sampled_actions': 10,
            'lagrange': False,
            'max_backup': True,
        },
    )
    return base.select_domain(config, domain, DOMAINS)

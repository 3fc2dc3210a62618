"""CQL: the values of the authors' released scripts and README (aviralkumar2907/CQL, d4rl).

MuJoCo: alpha fixed at 5 (the README has 5 or 10). AntMaze: the Lagrange version with a gap of 5 above
alpha = 5. No script was released for Kitchen and Adroit: they keep the scripts' own defaults, the
Lagrange version with a gap of 5 and alpha 1. Everywhere the actor clones for 40,000 updates.
"""

from ml_collections import ConfigDict

from launch.configs import base

_LAGRANGE = {'network.lagrange': True, 'hparams.target_gap': 5.0}

DOMAINS = {
    'mujoco': {'dataset': 'mujoco/hopper/medium-v0'},
    'antmaze': {
        'dataset': 'D4RL/antmaze/umaze-v1',
        **_LAGRANGE,
        # 4 (r - 1/2), as in cql_antmaze_new.py.
        'reward_scale': 4.0,
        'reward_shift': -2.0,
        'eval_interval': 100_000,
        'eval_episodes': 100,
    },
    'kitchen': {'dataset': 'D4RL/kitchen/complete-v2', **_LAGRANGE, 'hparams.cql_alpha': 1.0},
    'adroit': {'dataset': 'D4RL/pen/human-v2', **_LAGRANGE, 'hparams.cql_alpha': 1.0},
    # Ours: the size and number of updates that every algorithm has here, a shorter warm start.
    'pointmaze': {
        'dataset': 'local/pointmaze/umaze-v0',
        'num_updates': 100_000,
        'eval_interval': 20_000,
        'network.hidden_sizes': (256, 256),
        'hparams.bc_warm_start_updates': 10_000.0,
    },
}


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """CQL on 'mujoco', 'antmaze', 'kitchen', 'adroit' or 'pointmaze'."""
    config = base.get_config(
        'cql',
        hparams={
            'discount': 0.99,
            'cql_alpha': 5.0,
            'target_gap': 5.0,
            'bc_warm_start_updates': 40_000,
            'target_rate': 0.005,
            'actor_learning_rate': 1e-4,
            'critic_learning_rate': 3e-4,
        },
        network={
            'hidden_sizes': (256, 256, 256),
            'num_critics': 2,
            'num_sampled_actions': 10,
            'lagrange': False,
            'max_backup': False,
        },
    )
    return base.select_domain(config, domain, DOMAINS)

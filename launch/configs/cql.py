"""CQL: the values of the authors' released scripts and README (aviralkumar2907/CQL, d4rl).

MuJoCo: alpha fixed at 5 (the README has 5 or 10). AntMaze: the Lagrange version with a gap of 5 above
alpha = 5. Kitchen: the README's gap of 5 above alpha = 10 and its actor step size. Nothing was released
for Adroit: it keeps the scripts' defaults, a gap of 5 and alpha 1. Everywhere the actor clones for
40,000 updates.
"""

from ml_collections import ConfigDict

from launch.configs import base

_LAGRANGE = {'network.lagrange': True, 'hparams.target_gap': 5.0}

DOMAINS = {
    'mujoco': {},
    'antmaze': {
        **_LAGRANGE,
        # 4 (r - 1/2), as in cql_antmaze_new.py.
        'reward_scale': 4.0,
        'reward_shift': -2.0,
    },
    'kitchen': {
        **_LAGRANGE,
        'hparams.cql_alpha': 10.0,
        'hparams.actor_learning_rate': 3e-5,
    },
    'adroit': {**_LAGRANGE, 'hparams.cql_alpha': 1.0},
    # Ours: the size that every algorithm has here. One update costs 20 of TD3's: fewer of them than the
    # domain has, with a warm start and a step size to match.
    'pointmaze': {
        'num_updates': 3_000,
        'eval_interval': 1_000,
        'network.hidden_sizes': (256, 256),
        'hparams.bc_warm_start_updates': 500.0,
        'hparams.actor_learning_rate': 3e-4,
    },
    'log': {
        'num_updates': 5_000,
        'hparams.bc_warm_start_updates': 1_000.0,
        'hparams.actor_learning_rate': 3e-4,
    },
}
# Few updates, of larger steps, each with one action of each kind.
_LEAN = {
    'num_updates': 100_000,
    'log_interval': 2_000,
    'eval_interval': 10_000,
    'standardize_observations': True,
    'network.hidden_sizes': (64, 64),
    'network.num_sampled_actions': 1,
    'hparams.bc_warm_start_updates': 10_000.0,
    'hparams.actor_learning_rate': 3e-4,
    'hparams.critic_learning_rate': 1e-3,
}
# With such steps critics run away on Walker2d's replay.
_LEAN_WALKER = _LEAN | {'hparams.critic_learning_rate': 3e-4, 'hparams.cql_alpha': 10.0}
DOMAINS |= base.lean(DOMAINS, _LEAN)
DOMAINS |= {
    f'lean-{name}': _LEAN_WALKER for name in base.D4RL['mujoco'] if name.startswith('walker2d')
}


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """CQL on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze' or 'log'; lean on Walker2d as
    'lean-walker2d-medium' and so on."""
    config = base.get_config(
        'cql',
        hparams={
            'gamma': 0.99,
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

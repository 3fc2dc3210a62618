"""IQL: the values of the paper's appendix B and of the authors' released configs; for OGBench, of FQL's
paper, whose policies have besides a standard deviation that is not learned."""

import math

from ml_collections import ConfigDict

from launch.configs import _goals, _ogbench, base

# The inverse temperature by environment, and the sizes of networks where they are not FQL's.
_OGBENCH = {
    'cube-single-play': 1.0,
    'cube-double-play': 0.3,
    'scene-play': 10.0,
    'puzzle-3x3-play': 10.0,
    'puzzle-4x4-play': 3.0,
    'antmaze-large-navigate': 10.0,
    'antmaze-giant-navigate': 10.0,
    'humanoidmaze-medium-navigate': 10.0,
    'humanoidmaze-large-navigate': 10.0,
    'antsoccer-arena-navigate': 1.0,
}
_IN_OGBENCH = {
    'hparams.expectile': 0.9,
    'hparams.actor_decay_updates': math.inf,
    'network.layer_norm': True,
}


def _sizes(name: str) -> dict:
    manipulated = name.endswith('-play')
    return {'network.hidden_sizes': (256, 256, 256, 256)} if manipulated else {}


DOMAINS = {
    'mujoco': {'normalize_rewards': True},
    'antmaze': {
        'hparams.expectile': 0.9,
        'hparams.inverse_temperature': 10.0,
        'reward_shift': -1.0,
    },
    'kitchen': {'hparams.inverse_temperature': 0.5, 'network.dropout_rate': 0.1},
    'adroit': {'hparams.inverse_temperature': 0.5, 'network.dropout_rate': 0.1},
    'pointmaze': {},
    # Ours: the task is not in the paper. Returns are at most 1, so that advantages are a few
    # hundredths and want a high inverse temperature. Half of the domain's updates: ten seeds in a
    # minute and a half.
    'sepsis': {
        'num_updates': 2_500,
        'hparams.inverse_temperature': 30.0,
        'hparams.actor_learning_rate': 1e-3,
        'hparams.value_learning_rate': 1e-3,
        'hparams.critic_learning_rate': 1e-3,
    },
    'crossroads': {
        'hparams.expectile': 0.9,
        'hparams.inverse_temperature': 10.0,
        'hparams.target_rate': 0.01,
        'hparams.actor_learning_rate': 1e-3,
        'hparams.value_learning_rate': 1e-3,
        'hparams.critic_learning_rate': 1e-3,
    },
    'log': {},
    # GCIQL, with OGBench's values but for the policy, which is IQL's own here: its inverse temperature
    # is that of GCIVL there, which regresses as IQL does, and its goals are the critics'.
    **dict.fromkeys(_goals.GOALS, {
        'name': 'GCIQL',
        'goals.future': 'geometric',
        'goals.current': 0.2,
        'goals.random': 0.3,
        'hparams.expectile': 0.9,
        'hparams.inverse_temperature': 10.0,
        'hparams.actor_decay_updates': math.inf,
        'network.layer_norm': True,
    }),
    **_ogbench.domains({
        name: _IN_OGBENCH | _sizes(name) | {'hparams.inverse_temperature': temperature}
        for name, temperature in _OGBENCH.items()
    }),
}
DOMAINS |= base.lean(DOMAINS, {})


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """IQL on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze', 'sepsis',
    'crossroads', 'log', 'ogbench', a dataset of OGBench's, such as 'cube-single-play', or towards goals
    'goals', 'goals-cube-single-play'."""
    config = base.get_config(
        'iql',
        hparams={
            'gamma': 0.99,
            'expectile': 0.7,
            'inverse_temperature': 3.0,
            'max_advantage_weight': 100.0,
            'target_rate': 0.005,
            'actor_learning_rate': 3e-4,
            'value_learning_rate': 3e-4,
            'critic_learning_rate': 3e-4,
        },
        network={
            'hidden_sizes': (256, 256),
            'dropout_rate': 0.0,
            'num_critics': 2,
            'layer_norm': False,
        },
    )
    config.hparams.actor_decay_updates = config.get_ref('num_updates').to_float()
    config.sweep.actor_decay_updates = ()
    return base.select_domain(config, domain, DOMAINS)

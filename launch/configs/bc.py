"""Behavioural cloning, on the domains that the other algorithms report."""

from ml_collections import ConfigDict

from launch.configs import _goals, _ogbench, base

DOMAINS = {
    'mujoco': {},
    'antmaze': {},
    'kitchen': {'network.dropout_rate': 0.1},
    'adroit': {'network.dropout_rate': 0.1},
    'pointmaze': {},
    'sepsis': {'hparams.learning_rate': 1e-3},
    'crossroads': {'hparams.learning_rate': 1e-3},
    'log': {},
    # GCBC, with OGBench's values.
    **dict.fromkeys(_goals.GOALS, {'name': 'GCBC', 'goals.future': 'uniform'}),
    **dict.fromkeys(_ogbench.DOMAINS, {}),
}
DOMAINS |= base.lean(DOMAINS, {'num_updates': 50_000, 'eval_interval': 10_000})


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """BC on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze', 'sepsis',
    'crossroads', 'log', 'ogbench', a dataset of OGBench's, such as 'cube-single-play', or towards goals
    'goals', 'goals-cube-single-play'."""
    config = base.get_config(
        'bc',
        hparams={'learning_rate': 3e-4},
        network={'hidden_sizes': (256, 256), 'dropout_rate': 0.0},
    )
    return base.select_domain(config, domain, DOMAINS)

"""CRL: the values of OGBench's configs, one cloning weight for each robot and kind of task."""

from ml_collections import ConfigDict

from launch.configs import _goals, base

_WEIGHTS = {'pointmaze': 0.03, 'antmaze': 0.1, 'cube': 3.0, 'scene': 3.0, 'puzzle': 3.0}
DOMAINS = {
    domain: {'hparams.cloning_weight': _WEIGHTS[name.partition('-')[0]]}
    for domain, name in _goals.GOALS.items()
}


def get_config(domain: str = 'goals') -> ConfigDict:
    """CRL on 'goals' or one of its datasets, such as 'goals-antmaze-medium-navigate'."""
    config = base.get_config(
        'crl',
        hparams={
            'gamma': 0.99,
            'cloning_weight': 0.1,
            'actor_learning_rate': 3e-4,
            'critic_learning_rate': 3e-4,
        },
        network={
            'hidden_sizes': (512, 512, 512),
            'vector_size': 512,
            'num_critics': 2,
            'layer_norm': True,
        },
    )
    # The goals that an action is told to lead to, and not to.
    config.goals.future = 'geometric'
    return base.select_domain(config, domain, DOMAINS)

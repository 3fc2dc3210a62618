"""HIQL: the values of OGBench's configs, with subgoals that are nearer in manipulation."""

from ml_collections import ConfigDict

from launch.configs import _goals, base

DOMAINS = {
    domain: {} if 'maze' in name else {'network.subgoal_steps': 10}
    for domain, name in _goals.GOALS.items()
}


def get_config(domain: str = 'goals') -> ConfigDict:
    """HIQL on 'goals' or one of its datasets, such as 'goals-antmaze-medium-navigate'."""
    config = base.get_config(
        'hiql',
        hparams={
            'gamma': 0.99,
            'expectile': 0.7,
            'inverse_temperature': 3.0,
            'high_inverse_temperature': 3.0,
            'max_advantage_weight': 100.0,
            'target_rate': 0.005,
            'value_learning_rate': 3e-4,
            'actor_learning_rate': 3e-4,
            'high_actor_learning_rate': 3e-4,
        },
        network={
            'hidden_sizes': (512, 512, 512),
            'vector_size': 10,
            'num_values': 2,
            'layer_norm': True,
            'subgoal_steps': 25,
        },
    )
    # Of the values; the policies' are uniform.
    config.goals.update({'future': 'geometric', 'current': 0.2, 'random': 0.3})
    return base.select_domain(config, domain, DOMAINS)

"""EDAC: the values of the paper's appendix and of the authors' code, for each of D4RL's datasets.

A domain of several datasets has those of the dataset that it names. No authors' values are known for
'antmaze' (CORL's), 'kitchen' (Adroit's), 'pointmaze' and 'log'. Adroit's eta belong to rewards of mean
0 and standard deviation 1, as the authors make them: reward_scale and reward_shift are the data's own.
Compared with CORL's configs are the values of medium, medium-replay, medium-expert and Adroit; those of
random, expert and full-replay could not be.
"""

from ml_collections import ConfigDict

from launch.configs import base

# N and eta.
_LOCOMOTION = {
    'halfcheetah-random': (10, 0.0),
    'halfcheetah-medium': (10, 1.0),
    'halfcheetah-expert': (10, 1.0),
    'halfcheetah-medium-expert': (10, 5.0),
    'halfcheetah-medium-replay': (10, 1.0),
    'halfcheetah-full-replay': (10, 1.0),
    'hopper-random': (50, 0.0),
    'hopper-medium': (50, 1.0),
    'hopper-expert': (50, 1.0),
    'hopper-medium-expert': (50, 1.0),
    'hopper-medium-replay': (50, 1.0),
    'hopper-full-replay': (50, 1.0),
    'walker2d-random': (10, 1.0),
    'walker2d-medium': (10, 1.0),
    'walker2d-expert': (10, 5.0),
    'walker2d-medium-expert': (10, 5.0),
    'walker2d-medium-replay': (10, 1.0),
    'walker2d-full-replay': (10, 1.0),
}
_ADROIT = {
    'pen-human': (20, 1000.0),
    'pen-cloned': (20, 10.0),
    **{
        f'{task}-{kind}': (50, 200.0)
        for task in ('door', 'hammer', 'relocate')
        for kind in ('human', 'cloned')
    },
}
_FEW_UPDATES = {
    'num_updates': 200_000,
    'hparams.actor_learning_rate': 3e-5,
    'hparams.temperature_learning_rate': 3e-5,
}


def _with(ensemble: tuple[int, float], values: dict) -> dict:
    num_critics, eta = ensemble
    return {'num_updates': 3_000_000} | values | {
        'network.num_critics': num_critics, 'hparams.eta': eta,
    }  # fmt: skip


DOMAINS = {
    'mujoco': _with(_LOCOMOTION['hopper-medium'], {}),
    'antmaze': _with((10, 1.0), {'reward_shift': -1.0}),
    'kitchen': _with(_ADROIT['pen-human'], _FEW_UPDATES),
    'adroit': _with(_ADROIT['pen-human'], _FEW_UPDATES),
    'pointmaze': {},
    'log': {},
    **{name: _with(ensemble, {}) for name, ensemble in _LOCOMOTION.items()},
    **{name: _with(ensemble, _FEW_UPDATES) for name, ensemble in _ADROIT.items()},
}


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """EDAC on 'mujoco', 'antmaze', 'kitchen', 'adroit', 'pointmaze', 'log' or a dataset of D4RL's,
    such as 'hopper-medium-replay'."""
    config = base.get_config(
        'edac',
        hparams={
            'gamma': 0.99,
            'eta': 1.0,
            'target_entropy_per_dimension': -1.0,
            'initial_temperature': 1.0,
            'target_rate': 0.005,
            'actor_learning_rate': 3e-4,
            'critic_learning_rate': 3e-4,
            'temperature_learning_rate': 3e-4,
        },
        network={'hidden_sizes': (256, 256, 256), 'num_critics': 10},
    )
    return base.select_domain(config, domain, DOMAINS)

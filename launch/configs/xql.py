"""XQL: the values of the authors' scripts (Div99/XQL, offline/reproduce), one for each dataset.

A domain of several datasets has those of the dataset that it names. The scripts that have the same
values for all of a domain's take max_exponent 7, batches of 256 and a temperature of 2 (MuJoCo), 0.6
(AntMaze) or 5 (kitchen). Of Adroit the README's values for pen-human stand for all.
"""

import math

from ml_collections import ConfigDict

from launch.configs import base

_RANDOM = {'network.num_random_actions': 1}
# temperature, max_exponent, batch_size, and what else there is.
_LOCOMOTION = {
    'halfcheetah-medium': (1, 7, 1024, {'network.action_noise': 0.1}),
    'halfcheetah-medium-replay': (1, 5, 256, {}),
    'halfcheetah-medium-expert': (1, 5, 1024, {}),
    'hopper-medium': (5, 7, 1024, {}),
    'hopper-medium-replay': (2, 7, 256, {}),
    'hopper-medium-expert': (2, 7, 1024, _RANDOM),
    'walker2d-medium': (10, 7, 1024, {}),
    'walker2d-medium-replay': (5, 5, 1024, {}),
    'walker2d-medium-expert': (2, 5, 256, {}),
}
_ANTMAZE = {
    'antmaze-umaze': (2, 7, 256, {}),
    'antmaze-umaze-diverse': (5, 7, 256, _RANDOM),
    'antmaze-medium-play': (0.8, 5, 256, {}),
    'antmaze-medium-diverse': (0.6, 7, 256, {'network.num_value_updates': 4}),
    'antmaze-large-play': (0.6, 5, 1024, {}),
    'antmaze-large-diverse': (0.55, 5, 1024, {}),
}
_KITCHEN = {
    'kitchen-complete': (2, 7, 1024, {}),
    'kitchen-partial': (5, 7, 1024, {}),
    'kitchen-mixed': (8, 7, 1024, {}),
}
_PEN_HUMAN = (8, 5, 1024, _RANDOM)
_OF_LOCOMOTION = {'normalize_rewards': True}
_OF_ANTMAZE = {
    'reward_shift': -1.0,
    'hparams.inverse_temperature': 10.0,
    'hparams.actor_decay_updates': math.inf,
}
_OF_KITCHEN = {'hparams.inverse_temperature': 0.5, 'network.dropout_rate': 0.1}


def _with(values: tuple, shared: dict) -> dict:
    temperature, max_exponent, batch_size, more = values
    own = {
        'hparams.temperature': float(temperature),
        'hparams.max_exponent': float(max_exponent),
        'batch_size': batch_size,
    }
    return shared | own | more


DOMAINS = {
    'mujoco': _with(_LOCOMOTION['hopper-medium'], _OF_LOCOMOTION),
    'antmaze': _with(_ANTMAZE['antmaze-umaze'], _OF_ANTMAZE),
    'kitchen': _with(_KITCHEN['kitchen-complete'], _OF_KITCHEN),
    'adroit': _with(_PEN_HUMAN, _OF_KITCHEN),
    # Ours, as in the other algorithms' configs.
    'pointmaze': {},
    'log': {},
    **{name: _with(values, _OF_LOCOMOTION) for name, values in _LOCOMOTION.items()},
    **{name: _with(values, _OF_ANTMAZE) for name, values in _ANTMAZE.items()},
    **{name: _with(values, _OF_KITCHEN) for name, values in _KITCHEN.items()},
    **dict.fromkeys(base.D4RL['adroit'], _with(_PEN_HUMAN, _OF_KITCHEN)),
}
# Few updates, of larger steps.
DOMAINS |= base.lean(DOMAINS, {
    'num_updates': 100_000,
    'log_interval': 2_000,
    'eval_interval': 10_000,
    'hparams.actor_learning_rate': 1e-3,
    'hparams.value_learning_rate': 1e-3,
    'hparams.critic_learning_rate': 1e-3,
})


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """XQL on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze', 'log' or a dataset of
    D4RL's, such as 'hopper-medium-replay', and 'lean-hopper-medium-replay'."""
    config = base.get_config(
        'xql',
        hparams={
            'gamma': 0.99,
            'temperature': 2.0,
            'max_exponent': 7.0,
            'inverse_temperature': 3.0,
            'max_advantage_weight': 100.0,
            'huber_delta': 20.0,
            'noise_clip': 0.5,
            'target_rate': 0.005,
            'actor_learning_rate': 3e-4,
            'value_learning_rate': 3e-4,
            'critic_learning_rate': 3e-4,
        },
        network={
            'hidden_sizes': (256, 256),
            'layer_norm': True,
            'dropout_rate': 0.0,
            'num_critics': 2,
            'num_value_updates': 1,
            'num_random_actions': 0,
            'action_noise': 0.0,
        },
    )
    config.hparams.actor_decay_updates = config.get_ref('num_updates').to_float()
    config.sweep.actor_decay_updates = ()
    return base.select_domain(config, domain, DOMAINS)

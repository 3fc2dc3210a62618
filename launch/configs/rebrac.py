"""ReBRAC: the values of the authors' configs, one for each of D4RL's datasets; OGBench's by FQL's paper.

A domain of several datasets has those of the dataset that it names. The task is in no table of theirs
for 'kitchen' (Adroit's values), 'pointmaze' and 'log' (Adroit's sizes, and Hopper medium's penalties).
"""

from ml_collections import ConfigDict

from launch.configs import _ogbench, base

# beta_1 of the policy and beta_2 of the critics' target.
_LOCOMOTION = {
    'halfcheetah-random': (0.001, 0.1),
    'halfcheetah-medium': (0.001, 0.01),
    'halfcheetah-expert': (0.01, 0.01),
    'halfcheetah-medium-expert': (0.01, 0.1),
    'halfcheetah-medium-replay': (0.01, 0.001),
    'halfcheetah-full-replay': (0.001, 0.1),
    'hopper-random': (0.001, 0.01),
    'hopper-medium': (0.01, 0.01),
    'hopper-expert': (0.1, 0.1),
    'hopper-medium-expert': (0.1, 0.01),
    'hopper-medium-replay': (0.05, 0.5),
    'hopper-full-replay': (0.01, 0.01),
    'walker2d-random': (0.01, 0.0),
    'walker2d-medium': (0.05, 0.1),
    'walker2d-expert': (0.01, 0.5),
    'walker2d-medium-expert': (0.01, 0.01),
    'walker2d-medium-replay': (0.05, 0.01),
    'walker2d-full-replay': (0.01, 0.01),
}
_ANTMAZE = {
    'antmaze-umaze': (0.003, 0.002),
    'antmaze-umaze-diverse': (0.003, 0.001),
    'antmaze-medium-play': (0.001, 0.0005),
    'antmaze-medium-diverse': (0.001, 0.0),
    'antmaze-large-play': (0.002, 0.001),
    'antmaze-large-diverse': (0.002, 0.002),
}
_ADROIT = {
    'pen-human': (0.1, 0.5),
    'pen-cloned': (0.05, 0.5),
    'pen-expert': (0.01, 0.01),
    'door-human': (0.1, 0.1),
    'door-cloned': (0.01, 0.1),
    'door-expert': (0.05, 0.01),
    'hammer-human': (0.01, 0.5),
    'hammer-cloned': (0.1, 0.5),
    'hammer-expert': (0.01, 0.01),
    'relocate-human': (0.1, 0.01),
    'relocate-cloned': (0.1, 0.01),
    'relocate-expert': (0.05, 0.01),
}
_SMALL_STEPS = {
    'batch_size': 256,
    'hparams.actor_learning_rate': 3e-4,
    'hparams.critic_learning_rate': 3e-4,
}
_SPARSE = _SMALL_STEPS | {
    'hparams.gamma': 0.999,
    'hparams.critic_learning_rate': 5e-5,
    'reward_scale': 100.0,
}
# By FQL's paper, whose sizes these are too.
_OGBENCH = {
    'cube-single-play': (1.0, 0.0),
    'cube-double-play': (0.1, 0.0),
    'scene-play': (0.1, 0.01),
    'puzzle-3x3-play': (0.3, 0.01),
    'puzzle-4x4-play': (0.3, 0.01),
    'antmaze-large-navigate': (0.003, 0.01),
    'antmaze-giant-navigate': (0.003, 0.01),
    'humanoidmaze-medium-navigate': (0.01, 0.01),
    'humanoidmaze-large-navigate': (0.01, 0.01),
    'antsoccer-arena-navigate': (0.01, 0.01),
}


def _with(penalties: tuple[float, float], values: dict) -> dict:
    actor, critic = penalties
    return values | {'hparams.actor_penalty': actor, 'hparams.critic_penalty': critic}


DOMAINS = {
    'mujoco': _with(_LOCOMOTION['hopper-medium'], {}),
    'antmaze': _with(_ANTMAZE['antmaze-umaze'], _SPARSE),
    'kitchen': _with(_ADROIT['pen-human'], _SMALL_STEPS),
    'adroit': _with(_ADROIT['pen-human'], _SMALL_STEPS),
    'pointmaze': _SMALL_STEPS,
    'log': _SMALL_STEPS,
    **{name: _with(penalties, {}) for name, penalties in _LOCOMOTION.items()},
    **{name: _with(penalties, _SPARSE) for name, penalties in _ANTMAZE.items()},
    **{name: _with(penalties, _SMALL_STEPS) for name, penalties in _ADROIT.items()},
    **_ogbench.domains({name: _with(penalties, _SMALL_STEPS) for name, penalties in _OGBENCH.items()}),
}
# The step sizes are those of batches of 256, not of the 1,024 that locomotion has.
DOMAINS |= base.lean(DOMAINS, _SMALL_STEPS | {
    'batch_size': 64, 'network.hidden_sizes': (64, 64, 64),
})  # fmt: skip


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """ReBRAC on 'mujoco', 'lean', 'antmaze', 'kitchen', 'adroit', 'pointmaze', 'log', 'ogbench' or a
    dataset, such as 'hopper-medium-replay' or 'puzzle-3x3-play', lean as 'lean-hopper-medium-replay'."""
    config = base.get_config(
        'rebrac',
        hparams={
            'gamma': 0.99,
            'actor_penalty': 0.01,
            'critic_penalty': 0.01,
            'target_rate': 0.005,
            'policy_noise': 0.2,
            'noise_clip': 0.5,
            'policy_delay': 2,
            'exploration_noise': 0.03,
            'actor_learning_rate': 1e-3,
            'critic_learning_rate': 1e-3,
        },
        network={'hidden_sizes': (256, 256, 256), 'num_critics': 2, 'layer_norm': True},
    )
    config.batch_size = 1024
    return base.select_domain(config, domain, DOMAINS)

"""IQL: the values of the paper's appendix B and of the authors' released configs."""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    'mujoco': {
        'dataset': 'mujoco/hopper/medium-v0',
        'normalize_rewards': True,
    },
    'antmaze': {
        'dataset': 'D4RL/antmaze/umaze-v1',
        'hparams.expectile': 0.9,
        'hparams.inverse_temperature': 10.0,
        'reward_shift': -1.0,
        'eval_interval': 100_000,
        'eval_episodes': 100,
    },
    'kitchen': {
        'dataset': 'D4RL/kitchen/complete-v2',
        'hparams.inverse_temperature': 0.5,
        'network.dropout_rate': 0.1,
    },
    'adroit': {
        'dataset': 'D4RL/pen/human-v2',
        'hparams.inverse_temperature': 0.5,
        'network.dropout_rate': 0.1,
    },
    'pointmaze': {
        'dataset': 'local/pointmaze/umaze-v0',
        'num_updates': 30_000,
        'eval_interval': 5_000,
        'eval_episodes': 20,
    },
    # Ours: the task is not in the paper. Small networks and few updates, for ten seeds in a minute.
    'sepsis': {
        'dataset': 'local/icu-sepsis/clinician-v0',
        'num_seeds': 10,
        'num_updates': 2_500,
        'log_interval': 500,
        'eval_interval': 500,
        'eval_episodes': 100,
        'final_eval_episodes': 1_000,
        'network.hidden_sizes': (128, 128),
        'hparams.actor_learning_rate': 1e-3,
        'hparams.value_learning_rate': 1e-3,
        'hparams.critic_learning_rate': 1e-3,
    },
}


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """IQL on 'mujoco', 'antmaze', 'kitchen', 'adroit', 'pointmaze' or 'sepsis'."""
    config = base.get_config(
        'iql',
        hparams={
            'discount': 0.99,
            'expectile': 0.7,
            'inverse_temperature': 3.0,
            'max_advantage_weight': 100.0,
            'target_rate': 0.005,
            'actor_learning_rate': 3e-4,
            'value_learning_rate': 3e-4,
            'critic_learning_rate': 3e-4,
        },
        network={'hidden_sizes': (256, 256), 'dropout_rate': 0.0, 'num_critics': 2},
    )
    config.hparams.actor_decay_updates = config.get_ref('num_updates')
    config.sweep.actor_decay_updates = ()
    return base.select_domain(config, domain, DOMAINS)

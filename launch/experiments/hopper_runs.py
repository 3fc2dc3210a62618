"""Trainings on Hopper's datasets whose policies several experiments use.

Four seeds each, with networks and numbers of updates for two cores; IQL's and CQL's had not come to
their best by then, which those experiments do not need.
"""

from types import ModuleType

from ml_collections import ConfigDict

from launch.configs import cql, decision_transformer


def config_for(module: ModuleType, dataset: str) -> ConfigDict:
    """A method of launch/configs on one of Hopper's datasets, such as 'medium-replay'."""
    config = module.get_config('mujoco')
    config.dataset, config.num_seeds = f'local/hopper/{dataset}-v0', 4
    if module is decision_transformer:
        config.batch_size, config.network.num_layers = 32, 3
        config.hparams.warmup_updates, config.hparams.learning_rate = 250.0, 5e-4
        config.num_updates = config.eval_interval = 2_500
        config.log_interval, config.final_eval_episodes = 250, 10
        return config
    config.batch_size, config.network.hidden_sizes = 128, (128, 128)
    config.num_updates, config.log_interval, config.eval_interval = 50_000, 1_000, 10_000
    config.eval_episodes, config.final_eval_episodes = 5, 20
    if module is cql:
        config.num_updates, config.hparams.bc_warm_start_updates = 12_000, 1_000.0
        config.hparams.actor_learning_rate = 3e-4
    return config

"""Every algorithm for continuous actions on one footing: a maze, and the log of a Hopper's learning.

    python -m launch.experiments.continuous_algorithms

Four seeds, two layers of 128, batches of 128 and 10,000 updates for each, whatever one costs: what two
cores train in an hour. It says what each does with little, not which is best with much.
"""

from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import (
    awac,
    bc,
    bcq,
    cal_ql,
    cql,
    decision_transformer,
    edac,
    fql,
    ifql,
    iql,
    rebrac,
    sac,
    td3,
    td3_bc,
    xql,
)  # fmt: skip

_EVERY = (
    bc, td3, sac, td3_bc, rebrac, awac, iql, xql, cql, cal_ql, edac, bcq, fql, ifql,
    decision_transformer,
)  # fmt: skip

# By environment: the dataset, and the domains of configs for it, the first that one has.
LOGS = {
    'pointmaze': ('local/pointmaze/umaze-v0', ('pointmaze',)),
    'hopper': ('local/hopper/medium-replay-v0', ('hopper-medium-replay', 'mujoco')),
}
# What these sizes need of an algorithm's own.
_OWN = {
    # Fewer samples, and a warm start and step sizes to match few updates and small batches.
    'cal_ql': {'network.num_sampled_actions': 4, 'hparams.actor_learning_rate': 3e-4},
    'cql': {
        'network.num_sampled_actions': 4,
        'hparams.bc_warm_start_updates': 500.0,
        'hparams.actor_learning_rate': 3e-4,
    },
    'rebrac': {'hparams.actor_learning_rate': 3e-4, 'hparams.critic_learning_rate': 3e-4},
    'bcq': {'network.vae_hidden_sizes': (256, 256)},
    # With eta = 0 it is SAC-N.
    'edac': {'network.num_critics': 5, 'sweep.eta': (0.0, 1.0)},
    # A batch of 8 windows has 160 steps.
    'decision_transformer': {
        'batch_size': 8,
        'network.embedding_size': 64,
        'network.num_layers': 2,
        'hparams.warmup_updates': 500.0,
        'hparams.learning_rate': 1e-3,
    },
}


def configs(log: str) -> list[ConfigDict]:
    """Every algorithm on one of LOGS, some of them also in another way."""
    others = (bc, {'top_fraction': 0.1}), (bc, {'chunk': 5}), (iql, {'n_step': 5})
    found = [config_for(module, log) for module in _EVERY]
    return found + [config_for(module, log, otherwise) for module, otherwise in others]


def config_for(
    module: ModuleType, log: str, otherwise: dict[str, Any] | None = None
) -> ConfigDict:
    """An algorithm on one of LOGS, at the size of two cores; `otherwise` is what else is set."""
    dataset, domains = LOGS[log]
    config = module.get_config(next(domain for domain in domains if domain in module.DOMAINS))
    for key in ('hidden_sizes', 'actor_hidden_sizes'):
        if key in config.network:
            config.network[key] = (128, 128)
    config.dataset, config.num_seeds, config.batch_size = dataset, 4, 128
    config.num_updates, config.log_interval, config.eval_interval = 10_000, 500, 2_500
    config.eval_episodes, config.final_eval_episodes = 5, 20
    config.update_from_flattened_dict(_OWN.get(config.algorithm, {}) | (otherwise or {}))
    return config


def main() -> None:
    """Trains, prints the tables and draws a figure for each log."""
    for log in LOGS:
        experiments.compare(configs(log), f'continuous-{log}.png')


if __name__ == '__main__':
    experiments.start(main)

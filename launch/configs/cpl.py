"""CPL: the values of the authors' config for MetaWorld (configs/mw_state_sparse/cpl.yaml)."""

from ml_collections import ConfigDict

from launch.configs import base

DOMAINS = {
    # Two fifths of the updates clone, as there, where there are 500,000 in batches of 96 pairs.
    'mujoco': {
        'num_updates': 100_000, 'log_interval': 1_000, 'eval_interval': 10_000,
        'hparams.bc_updates': 40_000.0,
    },
    # Ours: the task is not in the paper. Discrete log-probabilities are smaller than squared distances.
    'sepsis': {
        'num_updates': 1_000, 'log_interval': 100, 'eval_interval': 500, 'batch_size': 32,
        'hparams.bc_updates': 400.0, 'hparams.learning_rate': 1e-3,
    },
    'log': {
        'num_updates': 1_000, 'log_interval': 100, 'eval_interval': 500, 'batch_size': 32,
        'hparams.bc_updates': 400.0, 'hparams.learning_rate': 1e-3, 'standardize_returns': False,
    },
}  # fmt: skip
DOMAINS |= base.lean(DOMAINS, {
    'num_updates': 10_000, 'log_interval': 500, 'eval_interval': 2_500, 'batch_size': 32,
    'hparams.bc_updates': 4_000.0, 'hparams.learning_rate': 3e-4,
})  # fmt: skip


def get_config(domain: str = 'mujoco') -> ConfigDict:
    """CPL on 'mujoco', 'lean', 'sepsis' or 'log'."""
    config = base.get_config(
        'cpl',
        hparams={
            'temperature': 0.1,
            'bias': 0.5,
            'bc_updates': 200_000.0,
            'learning_rate': 1e-4,
        },
        network={'hidden_sizes': (512, 512), 'dropout_rate': 0.25},
    )
    config.batch_size = 96
    # A file of data/preferences.py, which launch.prefer makes or checks.
    config.preferences = ''
    return base.select_domain(config, domain, DOMAINS)

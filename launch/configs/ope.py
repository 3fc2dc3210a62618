"""Off-policy evaluation: launch/ope.py."""

from ml_collections import ConfigDict

from launch.configs import UnknownDomainError

_LAPTOP = {
    'hparams.target_rate': 0.05,
    'hparams.learning_rate': 1e-3,
    'network.hidden_sizes': (128, 128),
    'num_updates': 2_000,
    'log_interval': 500,
    'num_refits': 5,
}
DOMAINS = {
    # Survival is the undiscounted return, and so is what is estimated.
    'sepsis': {
        'dataset': 'local/icu-sepsis/clinician-v0',
        'hparams.gamma': 1.0,
        **_LAPTOP,
    },
    # A table of which nothing is known, on a laptop: 20 policies in about two minutes. The discount is
    # to be that of the runs that are judged.
    'log': {
        'standardize_observations': True,
        **_LAPTOP,
    },
    'mujoco': {'dataset': 'local/hopper/medium-v0', 'standardize_observations': True},
}

# What each key may be (launch/run/ranges.py); algorithms/fqe.py and bc.py say it of what is missing.
RANGES = {
    'algorithm': "'fqe'",
    'dataset': 'text',
    'seed': 'int [0, 2**32)',
    'num_updates': 'int [1, 2**31)',
    'batch_size': 'int [1, 1e7]',
    'log_interval': 'int [1, 2**31)',
    'standardize_observations': 'bool',
    'num_refits': 'int [0, 0] or [2, 1e4]',
    'tried_threshold': '[0, 1)',
    'behaviour': "'auto', 'recorded' or 'fitted'",
    'behaviour_model': {'num_updates': 'int [1, 2**31)', 'batch_size': 'int [1, 1e7]'},
    'min_effective_sample_size': '[0, inf)',
    'min_mean_weight': '[0, inf)',
    'min_support': '[0, 1]',
    'output': 'text',
}


def get_config(domain: str = 'sepsis') -> ConfigDict:
    """Off-policy evaluation on 'sepsis', 'log' or 'mujoco'."""
    config = ConfigDict()
    config.algorithm = 'fqe'
    config.dataset = ''
    config.seed = 0

    # Of fitted Q evaluation.
    config.hparams = ConfigDict({'gamma': 0.99, 'target_rate': 0.005, 'learning_rate': 3e-4})
    config.network = ConfigDict({'hidden_sizes': (256, 256)})
    config.num_updates = 100_000
    config.batch_size = 256
    config.log_interval = 5_000
    config.standardize_observations = False
    # How often each policy's Q is fitted again, to episodes drawn with replacement, for its interval.
    config.num_refits = 0

    # Discrete actions: those that BC, fitted to the log, finds by this factor less likely than the
    # likeliest count as never tried, and what follows them as the least return of the log; 0: none do.
    config.tried_threshold = 0.05
    # Of importance sampling, which only discrete actions have. The behaviour policy's probabilities are
    # 'recorded' in the dataset, or 'fitted' by BC to half of the episodes and used on the others; 'auto'
    # takes them where they are recorded.
    config.behaviour = 'auto'
    config.behaviour_model = ConfigDict({
        'hparams': {'learning_rate': 1e-3},
        'network': {'hidden_sizes': (128, 128), 'dropout_rate': 0.0},
        'num_updates': 3_000,
        'batch_size': 512,
    })  # fmt: skip
    # With fewer, importance sampling is not believed.
    config.min_effective_sample_size = 10.0
    # With less, the policy does what the log never has, and no estimate is believed: of importance
    # sampling's mean weight, which only discrete actions have; of the share of the policy's actions that
    # the log supports.
    config.min_mean_weight = 0.5
    config.min_support = 0.5

    # The file to write; default: runs/fqe/<dataset>/seed<seed>-<hash>/estimates.json.
    config.output = ''
    if domain not in DOMAINS:
        raise UnknownDomainError(
            f'config ope: unknown domain {domain!r}; valid ones: {", ".join(DOMAINS)}.'
        )
    config.update_from_flattened_dict(DOMAINS[domain])
    return config

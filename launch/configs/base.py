"""What every run's config has, with the values that most runs keep."""

from ml_collections import ConfigDict


class UnknownDomainError(ValueError):
    """The part after the colon of --config names no domain of that config file."""


def get_config(algorithm: str, hparams: dict, network: dict) -> ConfigDict:
    """A complete config but for the domain's own values.

    Args:
        algorithm: a name in algorithms.ALGORITHMS.
        hparams: the algorithm's Hyperparameters by name.
        network: what its init reads from `config`.
    """
    config = ConfigDict()
    config.algorithm = algorithm
    config.dataset = 'local/icu-sepsis/clinician-v0'
    # 'device' keeps the dataset on the accelerator; 'host' streams batches from the memory map.
    config.dataset_on = 'device'

    # Members of the run: seeds seed, ..., seed + num_seeds - 1 for every combination of the values
    # in `sweep`; a name with no values is not swept.
    config.seed = 0
    config.num_seeds = 1
    config.hparams = ConfigDict({name: float(value) for name, value in hparams.items()})
    config.sweep = ConfigDict(dict.fromkeys(hparams, ()))
    config.network = ConfigDict(network)

    config.num_updates = 1_000_000
    config.batch_size = 256
    config.log_interval = 5_000
    # Evaluation, and a checkpoint after it; a multiple of log_interval.
    config.eval_interval = 50_000
    config.eval_episodes = 10
    # The evaluation after the last update, which the summary reports.
    config.final_eval_episodes = 100

    config.standardize_observations = False
    config.normalize_rewards = False
    config.reward_scale = 1.0
    config.reward_shift = 0.0
    # Train on the episodes of highest return that hold this fraction of the steps.
    config.top_fraction = 1.0

    # Default: runs/<algorithm>/<dataset>/seed<seed>-<hash of the config>.
    config.run_dir = ''
    config.resume = True
    config.wandb = False
    return config


def select_domain(config: ConfigDict, domain: str, domains: dict[str, dict]) -> ConfigDict:
    """Applies a domain's values, given as {'hparams.expectile': 0.9, ...}.

    Raises:
        UnknownDomainError: there is no such domain.
    """
    if domain not in domains:
        raise UnknownDomainError(
            f'config {config.algorithm}: unknown domain {domain!r}; '
            f'valid ones: {", ".join(domains)}.'
        )
    config.update_from_flattened_dict(domains[domain])
    return config

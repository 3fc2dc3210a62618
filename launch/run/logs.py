"""What a config takes from its log before anything is trained."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from data import loading, preferences
from data.loading import Dataset
from launch.run import directory


def stored(config: ConfigDict) -> Dataset:
    """The dataset of a config, with the preferences that it learns from, if it does.

    Raises:
        DatasetError: there is no such dataset, or no such file of preferences among its segments.
    """
    dataset = loading.load(config.dataset)
    if 'preferences' not in config:
        return dataset
    return preferences.attached(dataset, Path(config.preferences))


def measured(config: ConfigDict) -> ConfigDict:
    """A copy of a config, in which what a return-conditioned policy is asked for is a number.

    Where it has none, that is the log's best return, and what the best tenth of its episodes reach; and
    returns are divided by their standard deviation, if they shall be standardised.
    """
    config = config.copy_and_resolve_references()
    if 'target_returns' not in config or (config.target_returns and not config.standardize_returns):
        return config
    dataset = loading.load(config.dataset)
    if config.run_dir:
        directory.check_data(Path(config.run_dir), dataset)
    returns = dataset.episode_returns
    if not config.target_returns:
        asked = np.quantile(returns, [1, 0.9])
        config.target_returns = tuple(dict.fromkeys(float(f'{value:.6g}') for value in asked))
    if config.standardize_returns:
        config.hparams.return_scale = float(f'{np.std(returns) or 1:.6g}')
    return config

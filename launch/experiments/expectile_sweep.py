"""What IQL's expectile changes where returns are at most 1: 50 members of one run.

    python -m launch.experiments.expectile_sweep

The clinicians' records, at the paper's inverse temperature and its batch size.
"""

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import iql


def configs() -> list[ConfigDict]:
    """One config, the expectile swept."""
    config = iql.get_config('sepsis')
    config.batch_size, config.hparams.inverse_temperature = 256, 3.0
    config.sweep.expectile = (0.5, 0.7, 0.8, 0.9, 0.95)
    return [config]


if __name__ == '__main__':
    experiments.start(lambda: experiments.compare(configs(), 'expectile-sweep.png'))

"""How conservative is conservative enough: CQL's claimed and measured values for each alpha.

    python -m launch.experiments.alpha_sweep

Discrete CQL on the clinicians' records, five alphas of ten seeds each, 50 members of one run.
"""

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import discrete_cql


def configs() -> list[ConfigDict]:
    """One config, alpha swept."""
    config = discrete_cql.get_config('sepsis')
    config.sweep.cql_alpha = (0.1, 0.5, 1.0, 5.0, 10.0)
    return [config]


if __name__ == '__main__':
    experiments.start(lambda: experiments.compare(configs(), 'alpha-sweep.png'))

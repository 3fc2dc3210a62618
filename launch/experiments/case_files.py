"""The doctor's case files: what goes wrong when off-policy RL meets a fixed dataset, and the answers.

    python -m launch.experiments.case_files

Five methods learn to treat sepsis from 20,000 clinicians' records, ten seeds each. In the true model
a treatment that no clinician gave is fatal, and the records hold not one case of it: DQN believes in
such treatments, CQL makes them look bad, BCQ and BC do not take them, IQL never asks what they are
worth.
"""

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import bc, discrete_bcq, discrete_cql, dqn, iql

_UPDATES = 5_000


def configs() -> list[ConfigDict]:
    """Every method with its config's values and the same number of updates."""
    found = [module.get_config('sepsis') for module in (bc, dqn, discrete_cql, discrete_bcq, iql)]
    for config in found:
        config.num_updates = _UPDATES
    return found


if __name__ == '__main__':
    experiments.start(lambda: experiments.compare(configs(), 'case-files.png'))

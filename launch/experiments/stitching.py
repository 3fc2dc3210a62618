"""Stitching: the best way is in no trajectory of the log, only in parts of two.

    python -m launch.experiments.stitching

On the grid of data/recipes/crossroads.py no journey that begins where policies are judged earns more
than 0.3, and 1 can be had. Imitation, of all journeys or of the best, and return conditioning choose
among what was done as a whole; IQL and CQL back values up over the crossing. Ten seeds each.
"""

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import bc, decision_transformer, discrete_cql, iql


def configs() -> list[ConfigDict]:
    """Every method with its config's values; Decision Transformer is asked for 1 and for 0.3.

    The best quarter of the log's steps are the journeys that earn 1 and some of those that earn 0.3.
    """
    modules = (bc, bc, decision_transformer, discrete_cql, iql)
    found = [module.get_config('crossroads') for module in modules]
    found[1].top_fraction = 0.25
    return found


if __name__ == '__main__':
    experiments.start(lambda: experiments.compare(configs(), 'stitching.png'))

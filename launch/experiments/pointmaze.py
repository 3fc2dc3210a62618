"""A ball driven all over a maze, never to the goal to stay: seven methods on two mazes.

    python -m launch.experiments.pointmaze

Three seeds each, with each config's own number of updates.
"""

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import bc, bcq, cql, iql, sac, td3, td3_bc

MAZES = ('umaze', 'medium')


def configs(maze: str) -> list[ConfigDict]:
    """Every method on the log of a maze."""
    found = [module.get_config('pointmaze') for module in (bc, td3, sac, td3_bc, cql, bcq, iql)]
    for config in found:
        config.dataset, config.num_seeds = f'local/pointmaze/{maze}-v0', 3
    return found


def main() -> None:
    """Trains, prints the tables and draws a figure for each maze."""
    for maze in MAZES:
        experiments.compare(configs(maze), f'pointmaze-{maze}.png')


if __name__ == '__main__':
    experiments.start(main)

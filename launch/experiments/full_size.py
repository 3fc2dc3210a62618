"""What the lean sizes cost: the papers' own, with all of their million updates, on three datasets.

    python -m launch.experiments.full_size

Two seeds of BC, TD3+BC and IQL with networks of (256, 256) and batches of 256, beside the lean
scores and the published ones of launch/experiments/d4rl_scores.py.
"""

from ml_collections import ConfigDict

from launch import experiments
from launch.configs import bc, iql, td3_bc
from launch.experiments import d4rl_scores
from launch.experiments.d4rl_scores import Result
from launch.report import tables

DATASETS = ('hopper-medium-expert', 'halfcheetah-medium', 'walker2d-medium')


def configs() -> list[tuple[ConfigDict, ConfigDict]]:
    """Full size and lean, of every algorithm on every dataset."""
    return [
        (_full(d4rl_scores.config_for(module, dataset), module.get_config('mujoco')),
         d4rl_scores.config_for(module, dataset))
        for module in (bc, td3_bc, iql)
        for dataset in DATASETS
    ]  # fmt: skip


def _full(lean: ConfigDict, config: ConfigDict) -> ConfigDict:
    config.dataset, config.num_seeds = lean.dataset, 2
    config.eval_episodes, config.final_eval_episodes = lean.eval_episodes, lean.final_eval_episodes
    return config


def main() -> None:
    """Trains and prints the table as Markdown."""
    print(table([
        tuple(d4rl_scores.result_of(config, experiments.trained(config)) for config in both)
        for both in configs()
    ]))  # fmt: skip


def table(results: list[tuple[Result, Result]]) -> str:
    """A row for each algorithm and dataset, in Markdown."""
    rows = []
    for full, lean in results:
        rows.append([
            full.dataset, full.name, tables.with_interval(full.score, '.1f'),
            f'{full.late["mean"]:.1f}', tables.with_interval(lean.score, '.1f'),
            f'{lean.late["mean"]:.1f}', f'{full.published:.1f}',
            f'{full.seconds / full.score["seeds"] / lean.seconds * lean.score["seeds"]:.0f}',
        ])  # fmt: skip
    return tables.markdown(
        ['dataset', 'algorithm', 'full size', 'late mean', 'lean', 'late mean', 'published',
         'times as long'],
        rows,
    )  # fmt: skip


if __name__ == '__main__':
    experiments.start(main)

"""Composition: the same expert's data among more and more random episodes.

    python -m launch.experiments.composition

100,000 steps of Hopper's expert, alone and with one, three and nine times as many random ones
(local/hopper/expert-randomP-v0). Cloning imitates them all; IQL and CQL can tell the good actions from
the others by their values, Decision Transformer by the returns that it is asked for. Four seeds each,
with networks and numbers of updates for two cores.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from data.recipes.locomotion import RANDOM_PARTS
from launch import experiments
from launch.configs import bc, cql, decision_transformer, iql
from launch.report import figures, summary, tables
from launch.run import directory

# Per cent of the steps that are random.
SHARES = (0, *RANDOM_PARTS)
_UPDATES = {bc: 10_000, decision_transformer: 2_000, cql: 30_000, iql: 60_000}


def configs() -> dict[int, list[ConfigDict]]:
    """Every method on every share."""
    return {share: [_config(module, share) for module in _UPDATES] for share in SHARES}


def _config(module, share: int) -> ConfigDict:
    config = module.get_config('mujoco')
    config.dataset = f'local/hopper/expert-random{share}-v0' if share else 'local/hopper/expert-100k-v0'
    config.num_seeds = 4
    config.num_updates = config.eval_interval = _UPDATES[module]
    config.log_interval = 500
    config.final_eval_episodes = 10
    if module is decision_transformer:
        config.batch_size = 32
        config.network.embedding_size, config.network.num_layers = 64, 2
        config.hparams.warmup_updates, config.hparams.learning_rate = 500.0, 1e-3
        config.target_returns = (3600.0,)
        return config
    config.batch_size = 128
    config.network.hidden_sizes = (128, 128)
    # The paper's step sizes are for a million updates: at its target rate of 0.005, a horizon of 100
    # steps takes about 20,000.
    if module is cql:
        # The authors' alpha of 5 overestimates at these step sizes where most steps are random.
        config.standardize_observations, config.hparams.cql_alpha = True, 20.0
        config.network.num_sampled_actions = 4
        config.hparams.bc_warm_start_updates, config.hparams.target_rate = 5_000.0, 0.02
        config.hparams.critic_learning_rate = 1e-3
    if module is iql:
        # The range of returns, which IQL divides by, would be another for each share.
        config.normalize_rewards, config.reward_scale = False, 0.1
        config.hparams.target_rate = 0.02
        for network in ('actor', 'value', 'critic'):
            config.hparams[f'{network}_learning_rate'] = 1e-3
    return config


def main() -> None:
    """Trains, prints the table as Markdown and draws the figure."""
    path = experiments.figure('composition.png')
    scores: dict[str, list[dict[str, Any]]] = {}
    for its_configs in configs().values():
        for config in its_configs:
            (setting,) = summary.read(experiments.trained(config))['settings']
            scores.setdefault(directory.title(config), []).append(setting['score'])
    print(tables.markdown(
        ['random steps', *(f'{share} %' for share in SHARES)],
        [[name, *(tables.with_interval(score, '.1f') for score in each)]
         for name, each in scores.items()],
    ))  # fmt: skip
    draw(scores, path)
    print(f'\nFigure: {path}')


def draw(scores: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Scores against the share of random steps, a line for each method."""
    figure, axes = figures.panels(5.4, 4)
    panel = axes[0, 0]
    for name, each in scores.items():
        figures.interval_band(panel, SHARES, each, name)
    panel.set(title='Hopper: the same 100,000 expert steps', xlabel='random steps, % of all',
              ylabel='score', xticks=SHARES)  # fmt: skip
    figures.legend(figure, columns=4)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

"""How small networks and batches may be, and how many updates scores need, on Hopper's datasets.

    python -m launch.experiments.lean_protocol [algorithm ...]

Trains the named algorithms, or all; the figure is of all. Two seeds that no table uses. What the
configs' domain `lean` has was chosen from these curves.
"""

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from launch import experiments
from launch.configs import awac, base, bc, cql, decision_transformer, iql, rebrac, td3_bc, xql
from launch.report import figures, kept_scores, tables
from launch.run import directory, metrics

_EXPERT, _REPLAY, _MEDIUM = 'hopper-medium-expert', 'hopper-medium-replay', 'hopper-medium'
_HOPPER = _EXPERT, _REPLAY, _MEDIUM
_CHEETAH = 'halfcheetah-medium-expert'
DATASETS = *_HOPPER, _CHEETAH
_FIRST_SEED, _SEEDS = 100, 2


class Variant(NamedTuple):
    """Sizes that an algorithm is tried at.

    Attributes:
        module: of launch/configs.
        hidden_sizes: of all its networks; () for a transformer.
        batch_size, updates: of each seed.
        datasets: of DATASETS, where.
        said: what else is set, in words.
        otherwise: what that is.
    """

    module: ModuleType
    hidden_sizes: tuple[int, ...]
    batch_size: int
    updates: int
    datasets: tuple[str, ...] = _HOPPER
    said: str = ''
    otherwise: dict[str, Any] = {}

    @property
    def label(self) -> str:
        """The sizes, as tables and figures have them."""
        return ' '.join(filter(None, (
            ' x '.join(map(str, self.hidden_sizes)), f'batch {self.batch_size}', self.said
        )))  # fmt: skip


def _steps(size: float) -> dict[str, float]:
    return {'hparams.actor_learning_rate': size, 'hparams.critic_learning_rate': size}


def _transformer(context: int) -> dict[str, Any]:
    return {
        'network.context': context, 'network.embedding_size': 64, 'network.num_layers': 2,
        'network.dropout_rate': 0.0, 'hparams.warmup_updates': 500.0, 'hparams.learning_rate': 1e-3,
        'target_returns': (3600.0,),
    }  # fmt: skip


_FEW_SAMPLES = {
    'network.num_sampled_actions': 4, 'hparams.bc_warm_start_updates': 1_000.0,
    'hparams.actor_learning_rate': 3e-4,
}  # fmt: skip
_LARGE_STEPS = {
    'standardize_observations': True, 'network.num_sampled_actions': 1,
    'hparams.bc_warm_start_updates': 10_000.0, 'hparams.actor_learning_rate': 3e-4,
    'hparams.critic_learning_rate': 1e-3,
}  # fmt: skip
_POLICY = {'network.actor_hidden_sizes': (64, 64)}
VARIANTS = (
    Variant(bc, (64, 64), 64, 100_000),
    Variant(td3_bc, (64, 64), 64, 300_000),
    Variant(td3_bc, (64, 64), 256, 300_000, (_EXPERT,)),
    Variant(td3_bc, (64, 64), 256, 180_000, (_MEDIUM,)),
    Variant(td3_bc, (64, 64), 256, 120_000, (_CHEETAH,)),
    Variant(td3_bc, (64, 64), 64, 300_000, (_MEDIUM,), 'steps 1e-4', _steps(1e-4)),
    Variant(td3_bc, (128, 128), 64, 300_000, (_EXPERT,)),
    Variant(td3_bc, (128, 128), 64, 120_000, (_CHEETAH,)),
    Variant(td3_bc, (128, 128), 64, 300_000, (_EXPERT,), 'steps 1e-4', _steps(1e-4)),
    Variant(rebrac, (64, 64, 64), 64, 300_000, (_EXPERT, _REPLAY), '', _steps(3e-4)),
    Variant(
        rebrac, (64, 64, 64), 64, 120_000, (_CHEETAH,), 'actor penalty 0.1',
        _steps(3e-4) | {'hparams.actor_penalty': 0.1},
    ),
    Variant(iql, (64, 64), 64, 300_000),
    Variant(iql, (64, 64), 256, 200_000, (_EXPERT, _REPLAY)),
    Variant(iql, (128, 128), 64, 300_000, (_EXPERT, _REPLAY)),
    Variant(xql, (64, 64), 64, 100_000, (_REPLAY,)),
    Variant(xql, (128, 128), 64, 100_000, (_REPLAY,)),
    Variant(
        xql, (128, 128), 64, 100_000, (_REPLAY,), 'steps 1e-3',
        _steps(1e-3) | {'hparams.value_learning_rate': 1e-3},
    ),
    Variant(awac, (64, 64), 64, 100_000, (_REPLAY,), 'temperature 2', _POLICY),
    Variant(
        awac, (64, 64), 64, 100_000, (_REPLAY, _MEDIUM), 'standardised temperature 3 critic steps 1e-3',
        _POLICY | {
            'standardize_observations': True, 'hparams.temperature': 3.0,
            'hparams.critic_learning_rate': 1e-3,
        },
    ),
    Variant(cql, (64, 64), 64, 100_000, (_EXPERT, _REPLAY), '4 samples', _FEW_SAMPLES),
    Variant(
        cql, (64, 64), 64, 100_000, (_EXPERT, _REPLAY), '1 sample critic steps 1e-3', _LARGE_STEPS
    ),
    Variant(
        cql, (64, 64), 64, 100_000, (_EXPERT,), '1 sample critic steps 1e-3 alpha 10',
        _LARGE_STEPS | {'hparams.cql_alpha': 10.0},
    ),
    Variant(decision_transformer, (), 32, 10_000, (_EXPERT, _REPLAY), 'context 5', _transformer(5)),
    Variant(decision_transformer, (), 16, 10_000, (_REPLAY,), 'context 20', _transformer(20)),
)


def config_for(variant: Variant, dataset: str) -> ConfigDict:
    """A variant on one of DATASETS."""
    domains = variant.module.DOMAINS
    config = variant.module.get_config(dataset if dataset in domains else 'mujoco')
    config.dataset = base.D4RL['mujoco'][dataset]
    config.seed, config.num_seeds = _FIRST_SEED, _SEEDS
    if variant.hidden_sizes:
        config.network.hidden_sizes = variant.hidden_sizes
    config.batch_size, config.num_updates = variant.batch_size, variant.updates
    config.eval_interval = variant.updates // (12 if variant.updates % 60 == 0 else 10)
    config.log_interval = config.eval_interval // 5
    config.eval_episodes, config.final_eval_episodes = 5, 20
    config.update_from_flattened_dict(variant.otherwise)
    return config


def main(names: list[str]) -> None:
    """Trains, prints the table as Markdown and draws the curves."""
    cells = {
        (variant.label, directory.title(config), dataset): config
        for variant in VARIANTS
        for dataset in variant.datasets
        for config in [config_for(variant, dataset)]
    }
    asked = experiments.asked_for(names, (name for _, name, _ in cells), 'algorithm')
    path = experiments.figure('lean-protocol.png')
    runs = {cell: experiments.trained(config) for cell, config in cells.items() if cell[1] in asked}
    print(table(runs))
    # A figure of some is none of all.
    if not names:
        draw(runs, path)
        print(f'\nFigure: {path}')


def table(runs: dict[tuple[str, str, str], Path]) -> str:
    """A row for each run, in Markdown: the mean over the last third, and what the critics claim."""
    rows = []
    for (label, name, dataset), run in runs.items():
        curve = kept_scores.of_run(run)
        last = [
            row['measures'] for row in metrics.read(run)
            if (row['event'], row['step']) == ('evaluation', curve.steps[-1])
        ]  # fmt: skip
        claims = [
            f'{each["claimed_value"]:,.0f} ({each["discounted_return"]:,.0f})'
            for each in last if 'claimed_value' in each
        ]  # fmt: skip
        rows.append([
            name, label, f'{curve.steps[-1]:,}', dataset,
            ', '.join(f'{score:.0f}' for score in curve.scores[-1]),
            ', '.join(f'{score:.0f}' for score in curve.late), ', '.join(claims),
        ])  # fmt: skip
    return tables.markdown(
        ['algorithm', 'networks, batches', 'updates', 'dataset', 'score of each seed',
         'mean of the last third', 'claimed (measured)'],
        rows,
    )  # fmt: skip


def draw(runs: dict[tuple[str, str, str], Path], path: Path) -> None:
    """Curves: a row of panels for each algorithm, a column for each dataset."""
    names = list(dict.fromkeys(name for _, name, _ in runs))
    labels = list(dict.fromkeys(label for label, _, _ in runs))
    figure, axes = figures.panels(
        12, 2.2 * len(names), len(names), len(DATASETS), sharex='row', sharey=True
    )
    for (label, name, dataset), run in runs.items():
        panel = axes[names.index(name), DATASETS.index(dataset)]
        steps, scores = metrics.curve(run)
        color = f'C{labels.index(label)}'
        figures.range_band(panel, steps / 1_000, np.asarray(scores), label, color)
        panel.set_title(dataset, fontsize='medium')
        panel.grid(color='0.93')
    figures.label_rows(axes, names, 'score', 'thousand updates')
    figures.legend(figure, 4)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main, with_arguments=True)

"""Three locomotion datasets at the sizes of the papers: what the lean sizes cost.

    python -m launch.experiments.full_size [algorithm ...]

Trains the named algorithms, or all: two seeds, a million updates, the values that the configs have for
locomotion. What every seed scored goes into notebooks/results/full-size.csv, where the rows of other
algorithms stay; the table and the figure are of all that is there, beside what d4rl_scores has of lean
sizes, and what is published.
"""

from pathlib import Path

from matplotlib.axes import Axes
from ml_collections import ConfigDict

from launch import experiments
from launch.configs import base, bc, iql, td3_bc
from launch.experiments import d4rl_scores
from launch.report import figures, kept_scores, tables

DATASETS = 'hopper-medium-expert', 'halfcheetah-medium', 'walker2d-medium'
ALGORITHMS = bc, td3_bc, iql


def configs() -> list[ConfigDict]:
    """Every algorithm on every dataset."""
    found = []
    for module in ALGORITHMS:
        for dataset in DATASETS:
            config = module.get_config('mujoco')
            config.dataset, config.num_seeds = base.D4RL['mujoco'][dataset], 2
            found.append(config)
    return found


def main(names: list[str]) -> None:
    """Trains, keeps the scores, prints the tables as Markdown and draws the figure."""
    path, file = experiments.figure('full-size.png'), experiments.RESULTS / 'full-size.csv'
    lean = kept_scores.read(experiments.RESULTS / d4rl_scores.SCORES)
    full, runs = experiments.scored(configs(), names, file)
    print(scores_table(full, lean), d4rl_scores.costs_table(runs), sep='\n\n')
    draw(full, lean, path)
    print(f'\nFigure: {path}\nScores: {file}')


def scores_table(
    full: dict[kept_scores.Cell, kept_scores.Curve], lean: dict[kept_scores.Cell, kept_scores.Curve]
) -> str:
    """A row for each cell of full size, in Markdown, beside the same cell at lean sizes."""
    rows = []
    for cell, curve in full.items():
        large = d4rl_scores.result_of(*cell, curve)
        small = d4rl_scores.result_of(*cell, lean[cell]) if cell in lean else None
        rows.append([
            large.dataset, large.name, f'{large.updates:,}',
            ', '.join(f'{score:.1f}' for score in curve.scores[-1]), f'{large.late["mean"]:.1f}',
            *((f'{small.updates:,}', tables.with_interval(small.score, '.1f'),
               f'{small.late["mean"]:.1f}') if small else [''] * 3),
            *(f'{large.published[source]:.1f}' if source in large.published else ''
              for source in d4rl_scores.SOURCES),
        ])  # fmt: skip
    return tables.markdown(
        ['dataset', 'algorithm', 'updates', 'score of each seed', 'late mean', 'lean: updates',
         'score', 'late mean', *d4rl_scores.SOURCES],
        rows,
    )  # fmt: skip


def draw(
    full: dict[kept_scores.Cell, kept_scores.Curve],
    lean: dict[kept_scores.Cell, kept_scores.Curve],
    path: Path,
) -> None:
    """Curves: a row of panels for each algorithm, a column for each dataset."""
    names = list(dict.fromkeys(name for _, name in full))
    ids = list(dict.fromkeys(config.dataset for config in configs()))
    figure, axes = figures.panels(
        11, 2.4 * len(names), len(names), len(ids), sharex=True, sharey='col'
    )  # fmt: skip
    for cell, curve in full.items():
        panel = axes[names.index(cell[1]), ids.index(cell[0])]
        _band(panel, curve, 'sizes of the papers, two seeds', 'C0')
        if cell in lean:
            _band(panel, lean[cell], 'lean sizes, four seeds', 'C1')
        result = d4rl_scores.result_of(*cell, curve)
        for source, style in zip(d4rl_scores.SOURCES, ('--', ':')):
            if source in result.published:
                panel.axhline(
                    result.published[source], color='C3', linestyle=style, linewidth=1,
                    label=f"published on D4RL's data, {source}",
                )  # fmt: skip
        panel.set_title(result.dataset, fontsize='medium')
        panel.grid(color='0.93')
    figures.label_rows(axes, names, 'score', 'thousand updates')
    figures.legend(figure, 4)
    figures.save(figure, path)


def _band(panel: Axes, curve: kept_scores.Curve, label: str, color: str) -> None:
    figures.range_band(panel, curve.steps / 1_000, curve.scores, label, color)


if __name__ == '__main__':
    experiments.start(main, with_arguments=True)

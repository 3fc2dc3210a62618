"""Prints and draws what is in a dataset, with warnings.

    python -m launch.describe --dataset=local/icu-sepsis/clinician-v0 [--output=figure.png]
"""

from pathlib import Path

import numpy as np
from absl import flags
from absl.flags import FLAGS
from gymnasium.envs.registration import EnvSpec
from matplotlib.axes import Axes

from data import env_specs, inspection, loading, places
from data.inspection import ACTION_BINS, Statistics
from data.loading import Dataset
from data.places import Places
from data.reference_scores import normalized_score
from launch import cli
from launch.cli import UserError
from launch.report import figures, tables

_MOST_BARS = 50
# Beyond it, whole numbers are no longer one apart.
_LARGEST_COUNTED = 2.0**53
# An action of fewer is one that the log says little of.
_FEW_STEPS = 20
_MOST_TICKS = 12
_END_COLORS = {'terminated': 'C3', 'truncated': 'C0', 'neither': '0.7'}


def main(argv: list[str]) -> None:
    """Prints the text and writes the figure."""
    del argv
    if FLAGS.dataset is None:
        raise UserError('which dataset? --dataset=ID; python -m launch.collect --list names some.')
    path = Path(FLAGS.output or f'describe-{FLAGS.dataset.replace("/", "-")}.png')
    if not path.parent.is_dir():
        raise UserError(f'--output={path}: there is no directory {path.parent}.')
    figures.check(path)
    dataset = loading.load(FLAGS.dataset)
    measured = inspection.statistics(dataset)
    print(text(dataset, measured, inspection.warnings(dataset)))
    draw(dataset.problem.name, measured, path, places.of(dataset))
    print(f'\nFigure: {path}')


def text(dataset: Dataset, measured: Statistics, warnings: list[str]) -> str:
    """All of it as lines to print."""
    collected, _ = env_specs.of_metadata(dataset.metadata, dataset.problem.name)
    judged_in = dataset.problem.env_spec
    spec, keys = dataset.problem.spec, dataset.problem.observation_keys
    rows = {
        'description': dataset.metadata.get('description', '-'),
        'behaviour': dataset.metadata.get('algorithm_name', '-'),
        'collected in': _environment(collected),
        'evaluated in': _environment(judged_in),
        'observations': f'{spec.observation_size}' + (f' ({", ".join(keys)})' if keys else ''),
        'actions': f'{spec.action_size} {"discrete" if spec.discrete else "continuous"}',
        'episodes': f'{len(measured.lengths):,}',
        'steps': f'{measured.lengths.sum():,}',
        'lengths': _distribution(measured.lengths, ',.0f'),
        'ends': ', '.join(f'{which.sum():,} {name}' for name, which in _ends(measured).items()),
        'returns': _distribution(measured.returns, ',.3f'),
        'references': _references(measured),
        'scores': _normalized(measured),
        'coverage': _coverage(measured),
    }
    width = max(map(len, rows))
    lines = [dataset.problem.name, *(f'  {name:{width}}  {value}' for name, value in rows.items())]
    if dataset.problem.columns:
        lines += _of_table(measured)
    return '\n'.join([*lines, *(f'  WARNING: {warning}.' for warning in warnings)])


def _environment(spec: EnvSpec | None) -> str:
    if spec is None:
        return '-'
    wrappers = (each.name for each in env_specs.effective(spec.additional_wrappers))
    return ' in '.join((spec.id, *wrappers))


def _of_table(measured: Statistics) -> list[str]:
    """What the table that was ingested called its parts, how far they reach, and what was done to it."""
    columns = measured.problem.columns
    features = [('feature', 'min', 'mean', 'max', 'missing')]
    for feature, numbers in zip(columns.features, measured.ranges):
        reach = (f'{number:,.4g}' for number in numbers)
        features.append((feature.name, *reach, f'{feature.missing:.1%}'))
    lines = ['', *tables.columns(features), '']
    if columns.labels:
        order = np.argsort(-measured.action_counts, kind='stable')
        names, counts = inspection.action_names(measured.problem), measured.action_counts
        rows = [(' + '.join(columns.actions), 'steps', 'share')]
        rows += [(names[index], f'{counts[index]:,}', f'{counts[index] / counts.sum():.1%}')
                 for index in order[:_MOST_BARS]]  # fmt: skip
        lines += tables.columns(rows)
        if len(order) > _MOST_BARS:
            lines.append(f'and {len(order) - _MOST_BARS:,} rarer ones')
        rare = [names[index] for index in order if counts[index] < _FEW_STEPS]
        if rare:
            shown = ', '.join(rare[:_MOST_BARS])
            lines.append(f'seen fewer than {_FEW_STEPS} times: {len(rare)} ({shown})')
        lines.append('')
    return ['  ' + line if line else '' for line in (*lines, *(f'{note}.' for note in columns.notes))]


def _ends(measured: Statistics) -> dict[str, np.ndarray]:
    return {
        'terminated': measured.terminated,
        'truncated': measured.truncated,
        'neither': ~(measured.terminated | measured.truncated),
    }


def _distribution(values: np.ndarray, style: str) -> str:
    low, first, median, third, high = (
        format(value, style) for value in np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    )
    quartiles = f'quartiles {first} | {median} | {third}'
    return f'mean {values.mean():{style}}, min {low}, {quartiles}, max {high}'


def _references(measured: Statistics) -> str:
    lines = measured.problem.lines
    return ', '.join(f'{name} {value:,.3f}' for name, value in lines.items()) or '-'


def _normalized(measured: Statistics) -> str:
    scores = measured.problem.scores
    if scores is None or not measured.comparable:
        return '-'
    mean, best = (
        normalized_score(value, scores)
        for value in (measured.returns.mean(), measured.returns.max())
    )
    return f'mean {mean:.1f}, best {best:.1f} (random 0, expert 100)'


def _coverage(measured: Statistics) -> str:
    shares = measured.action_shares
    if measured.problem.spec.discrete:
        order = np.argsort(-shares, kind='stable')[:5]
        names = inspection.action_names(measured.problem)
        most = ', '.join(f'{names[action]} ({shares[action]:.1%})' for action in order)
        return f'{np.count_nonzero(shares)} of {len(shares)} actions taken, most often {most}'
    filled = _range(np.mean(shares > 0, axis=1))
    return (
        f'{filled} of {ACTION_BINS} bins of a dimension filled, '
        f'{_range(measured.at_bounds)} of steps at its bounds'
    )


def _range(shares: np.ndarray) -> str:
    ends = dict.fromkeys(f'{share:.0%}' for share in (shares.min(), shares.max()))
    return ' to '.join(ends)


def draw(title: str, measured: Statistics, path: Path, visited: Places | None = None) -> None:
    """Returns, lengths, actions and the order of recording in one figure, as a PNG; of a maze, too,
    where steps are taken, and where episodes begin and terminate."""
    figure, axes = figures.panels(16 if visited else 11, 7, 2, 3 if visited else 2)
    if visited:
        _draw_visits(axes[0, 2], visited)
        _draw_terminations(axes[1, 2], visited)
    _draw_returns(axes[0, 0], measured)
    _draw_lengths(axes[0, 1], measured)
    if measured.problem.spec.discrete:
        _draw_discrete_actions(axes[1, 0], measured)
    else:
        _draw_continuous_actions(axes[1, 0], measured)
    _draw_order(axes[1, 1], measured)
    episodes, steps = len(measured.lengths), measured.lengths.sum()
    figure.suptitle(f'{title}: {episodes:,} episodes, {steps:,} steps')
    figures.save(figure, path)


def _legend(panel: Axes) -> None:
    panel.legend(
        fontsize='small', frameon=False, ncols=3, loc='lower center', bbox_to_anchor=(0.5, 1.0)
    )


def _edges(values: np.ndarray) -> np.ndarray:
    """Edges of a histogram's bars, centred on the integers if all values are integers."""
    low, high = values.min(), values.max()
    bars = int(np.clip(2 * np.sqrt(len(values)), 10, _MOST_BARS))
    if np.all(values == np.round(values)) and np.abs(values).max() < _LARGEST_COUNTED:
        width = np.ceil((high - low + 1) / bars)
        return np.arange(low, high + width + 1, width) - 0.5
    if low < high:
        return np.linspace(low, high, bars + 1)
    return low + max(1, abs(low)) * np.array([-0.5, 0.5])


def _draw_histogram(panel: Axes, values: np.ndarray, groups: list[np.ndarray], **style) -> None:
    edges = _edges(values)
    few = len(edges) <= 10
    panel.hist(groups, edges, stacked=True, rwidth=0.6 if few else 1.0, **style)
    if few:
        panel.set_xlim(edges[0] - 1, edges[-1] + 1)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set_ylabel('episodes')


def _draw_returns(panel: Axes, measured: Statistics) -> None:
    returns = measured.returns
    _draw_histogram(panel, returns, [returns], color=['C0'])
    panel.set_xlabel('return')
    lines = measured.problem.lines if measured.comparable else {}
    margin = (returns.max() - returns.min()) or 1.0
    inside = {name: value for name, value in lines.items()
              if returns.min() - margin <= value <= returns.max() + margin}  # fmt: skip
    figures.references(panel, inside, vertical=True)
    for name in (name for name in lines if name not in inside):
        panel.plot([], [], ' ', label=f'{name} {lines[name]:,.4g} (off the scale)')
    if lines:
        _legend(panel)


def _draw_lengths(panel: Axes, measured: Statistics) -> None:
    shown = {name: which for name, which in _ends(measured).items() if which.any()}
    _draw_histogram(
        panel,
        measured.lengths,
        [measured.lengths[which] for which in shown.values()],
        color=[_END_COLORS[name] for name in shown],
        label=[f'{name} ({which.sum():,})' for name, which in shown.items()],
    )
    panel.set_xlabel('steps')
    _legend(panel)


def _draw_discrete_actions(panel: Axes, measured: Statistics) -> None:
    panel.bar(np.arange(measured.problem.spec.action_size), 100 * measured.action_shares, color='C0')
    names = inspection.action_names(measured.problem)
    if measured.problem.columns and len(names) <= _MOST_TICKS:
        panel.set_xticks(np.arange(len(names)), names)
    else:
        panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set(xlabel='action', ylabel='% of steps')


def _draw_continuous_actions(panel: Axes, measured: Statistics) -> None:
    edges = np.linspace(-1, 1, ACTION_BINS + 1)
    size = measured.problem.spec.action_size
    for row, (shares, at_bounds) in enumerate(zip(measured.action_shares, measured.at_bounds)):
        heights = 0.9 * shares / shares.max()
        panel.stairs(row + heights, edges, baseline=row, fill=True, color='C0')
        panel.text(1.1, row + 0.3, f'{at_bounds:.0%}', fontsize='small', ha='center', va='center')
    panel.text(1.1, size, 'at ±1', fontsize='small', ha='center', va='bottom')
    step = -(-size // 12)
    names = inspection.action_names(measured.problem)
    panel.set_yticks(np.arange(0, size, step) + 0.3, names[::step])
    panel.tick_params(axis='y', length=0)
    panel.set(xlabel='action', ylabel='dimension')
    panel.set(xlim=(-1.05, 1.2), ylim=(0, size), xticks=[-1, -0.5, 0, 0.5, 1])


def _draw_visits(panel: Axes, visited: Places) -> None:
    seen = np.ma.masked_equal(visited.steps.T, 0)
    drawn = panel.pcolormesh(*visited.edges, seen, norm='log', cmap='viridis')
    panel.figure.colorbar(drawn, ax=panel, label='steps', shrink=0.8)
    panel.set(xlabel='x', ylabel='y', aspect='equal')


def _draw_terminations(panel: Axes, visited: Places) -> None:
    for name, where, color in (
        ('first steps', visited.starts, 'C0'),
        ('terminations', visited.goals, _END_COLORS['terminated']),
    ):
        panel.plot(*where.T, '.', color=color, alpha=0.5, markersize=3, label=name)
    panel.set(xlabel='x', ylabel='y', aspect='equal')
    panel.set(xlim=visited.edges[0][[0, -1]], ylim=visited.edges[1][[0, -1]])
    _legend(panel)


def _draw_order(panel: Axes, measured: Statistics) -> None:
    returns = measured.returns
    window = max(len(returns) // 20, 1)
    mean = np.convolve(returns, np.full(window, 1 / window), 'valid')
    alpha = float(np.clip(500 / len(returns), 0.1, 0.6))
    panel.plot(returns, '.', color='C0', alpha=alpha, markersize=5, markeredgewidth=0)
    label = f'mean of {window:,} episodes'
    panel.plot(np.arange(len(mean)) + (window - 1) / 2, mean, color='C1', label=label)
    panel.set(xlabel='episode, as recorded', ylabel='return')
    _legend(panel)


if __name__ == '__main__':
    flags.DEFINE_string('dataset', None, 'Minari id of the dataset to describe.')
    flags.DEFINE_string('output', None, 'PNG to write; describe-<dataset>.png if not given.')
    cli.start(main)

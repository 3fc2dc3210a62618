"""A log and nothing else: ingest a table, learn, choose and hand over a policy without an environment.

    python -m launch.experiments.log_alone

The records of 20,000 patients as a CSV with a row per decision. Discrete BCQ, discrete CQL and IQL, 20
members in all, learn from four fifths of the patients; the policy with the best estimate on the others
is exported. Then, and only then, the known model says what it is worth, and what other ways to choose
would have brought: five splits of the patients.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from minari.storage.datasets_root_dir import get_dataset_path
from ml_collections import ConfigDict

from data import disk, environments, loading
from data.ingestion import tables as ingestion
from data.ingestion.roles import Roles
from data.recipes import icu_sepsis
from launch import experiments, export
from launch.configs import discrete_bcq, discrete_cql, iql
from launch.report import choosing, estimates, figures, tables
from launch.run import exporting, metrics, policies

RECIPE, DATASET = 'local/icu-sepsis/clinician-v0', 'clinic/sepsis-records-v0'
SPLITS = range(5)
# fluids and vasopressors, each at one of 5 levels.
TREATMENTS = [f'fluids {index // 5}, vasopressors {index % 5}' for index in range(25)]
FEATURES = [f'f{index:02d}' for index in range(47)]
# Nothing of them was chosen by what the policies are worth.
_SWEEPS = {
    discrete_bcq: {'threshold': (0.05, 0.3, 0.6)},
    discrete_cql: {'cql_alpha': (0.03, 0.1, 0.3, 1.0)},
    iql: {'inverse_temperature': (1.0, 3.0, 30.0)},
}
CHOICES = ('best estimate', 'default values', 'least TD error', 'any member')


def configs(seed: int) -> list[ConfigDict]:
    """Every method on one split of the patients; all else is as the domain has it."""
    found = []
    for module, sweep in _SWEEPS.items():
        config = module.get_config('log')
        config.update_from_flattened_dict({
            'dataset': DATASET, 'seed': seed, 'num_seeds': 2, 'num_updates': 4_000,
            'eval_interval': 4_000, 'log_interval': 500,
            # Survival is the undiscounted return.
            'ope.hparams.gamma': 1.0,
        })  # fmt: skip
        config.sweep.update(sweep)
        found.append(config)
    return found


def write_table(path: Path) -> None:
    """The records as a CSV: patient, step, features, treatment, survived; a row for each decision."""
    dataset = loading.load(RECIPE)
    lengths, first = dataset.episode_lengths, dataset.episode_offsets[:-1]
    frame = pd.DataFrame(np.asarray(dataset.transitions.observation), columns=FEATURES)
    frame.insert(0, 'patient', np.repeat(np.arange(len(lengths)), lengths))
    frame.insert(1, 'step', np.arange(len(frame)) - np.repeat(first, lengths))
    frame['treatment'] = np.array(TREATMENTS)[dataset.transitions.action]
    frame['survived'] = dataset.transitions.reward
    frame.to_csv(path, index=False, float_format='%.9g')


def ingested(directory: Path) -> None:
    """Makes the dataset of the table, if it is not there."""
    if get_dataset_path(DATASET).exists():
        return
    file = directory / 'records.csv'
    write_table(file)
    roles = Roles(
        episode='patient', order='step', observations=('f*',), action=('treatment',),
        reward='survived', end='terminated',
    )  # fmt: skip
    _, notes = ingestion.ingest(file, DATASET, roles, f'python -m {__spec__.name}')
    print('\n'.join(notes))


def states() -> pd.DataFrame:
    """The features of every state of a patient."""
    features = environments.sepsis_parameters().state_cluster_centers.astype(np.float32)
    return pd.DataFrame(features, columns=FEATURES)


def exact_values(treatments: np.ndarray) -> np.ndarray:
    """Expected survival under policies, by what they do in each state, (states, policies)."""
    indices = {name: index for index, name in enumerate(TREATMENTS)}
    actions = np.vectorize(indices.get)(treatments)
    return np.array([icu_sepsis.exact_value(np.eye(25)[each]) for each in actions.T])


def members(runs: list[Path]) -> pd.DataFrame:
    """What the log says of every member of runs: a row each, an estimate that is refused as NaN."""
    rows = []
    for run in runs:
        found = estimates.read(run)
        last = {each['member']: each for each in metrics.read(run) if each['event'] == 'evaluation'}
        for each in found['policies']:
            estimate = each['estimates'][found['estimator']]
            rows.append({
                'run': run, 'algorithm': each['algorithm'], 'member': each['member'],
                'setting': each['setting'], 'seed': each['seed'],
                'estimate': np.nan if estimate['refusal'] else estimate['value'],
                'td_error': last[each['member']]['measures']['td_error'],
            })  # fmt: skip
    return pd.DataFrame(rows)


def hand_over(chosen: pd.Series, folder: Path) -> np.ndarray:
    """Exports a policy, and asks the export, in another process, what it does in each state."""
    run = policies.restore(chosen.run)
    if not folder.exists():
        exporting.check_free(folder)
        known = choosing.read(chosen.run / estimates.FILE, run, 'FQE')
        said = export.source(choosing.asked(run, int(chosen.member), known, None), known)
        exporting.write(folder, run, int(chosen.member), None, said)
    table, actions = (folder / name for name in ('states.csv', 'actions.csv'))
    states().to_csv(table, index=False, float_format='%.9g')
    subprocess.run([sys.executable, folder / 'predict.py', table, actions], check=True)
    return pd.read_csv(actions)['treatment'].to_numpy()[:, None]


def split(seed: int, directory: Path) -> pd.DataFrame:
    """The members of one split with their exact values, how each is chosen, and what was handed over."""
    runs = [experiments.trained(config) for config in configs(seed)]
    found = members(runs)
    defaults = {config.algorithm: config.hparams for config in configs(seed)}
    names = {policies.restore(run).title: name for run, name in zip(runs, defaults)}
    found['best estimate'] = found.index == found.estimate.idxmax()
    found['least TD error'] = found.index == found.td_error.idxmin()
    found['default values'] = [
        all(defaults[names[each.algorithm]][key] == value for key, value in each.setting.items())
        for each in found.itertuples()
    ]
    found['any member'] = True
    chosen = found.loc[found.estimate.idxmax()]
    handed = exact_values(hand_over(chosen, directory / f'policy-{seed}'))
    # Only now: what all of them are worth.
    observations = states().to_numpy()
    found['exact'] = np.concatenate([
        exact_values(policies.stateless(run).actions(observations)) for run in runs
    ])  # fmt: skip
    if handed != found.exact[chosen.name]:
        raise AssertionError(f'the export is worth {handed}, the policy {found.exact[chosen.name]}')
    return found.assign(split=seed)


def main() -> None:
    """Does all of it, prints the tables as Markdown and draws the figure."""
    path = experiments.figure('log-alone.png')
    directory = Path('runs') / 'log-alone'
    disk.check_directory(directory)
    directory.mkdir(parents=True, exist_ok=True)
    ingested(directory)
    found = pd.concat([split(seed, directory) for seed in SPLITS], ignore_index=True)
    lines = icu_sepsis.reference_values()
    chosen = {name: choice_values(found, name) for name in CHOICES}
    best = found.groupby('split').exact.max()
    rows = [
        [name, f'{values.mean():.3f}', f'{values.min():.3f}', f'{(best - values).mean():.3f}',
         f'{(best - values).max():.3f}']
        for name, values in chosen.items()
    ]  # fmt: skip
    rows.append(['best of all', f'{best.mean():.3f}', f'{best.min():.3f}', '0', '0'])
    print(f'\n{len(found)} policies; clinicians {lines["clinicians"]:.3f}\n')
    print(tables.markdown(['chosen by', 'exact value', 'worst split', 'regret', 'worst regret'], rows))
    draw(found, chosen, lines['clinicians'], path)
    print(f'\nFigure: {path}')


def choice_values(found: pd.DataFrame, choice: str) -> pd.Series:
    """By split, the exact value of what is chosen: the mean where that is any of several."""
    return found[found[choice]].groupby('split').exact.mean()


def draw(
    found: pd.DataFrame, chosen: dict[str, pd.Series], clinicians: float, path: Path
) -> None:
    """Exact values of what each way chooses, and of all members against their estimates."""
    figure, axes = figures.panels(11, 4.2, columns=2)
    left, right = axes[0]
    for height, values in enumerate(reversed(chosen.values())):
        left.plot(values, [height] * len(values), 'o', color='C0', alpha=0.6, markersize=5)
        left.plot(values.mean(), height, 'k|', markersize=16)
    left.set_yticks(range(len(chosen)), list(chosen)[::-1])
    left.set(xlabel='share of patients who survive (exact)', title='chosen from the log, by split')
    for index, (algorithm, rows) in enumerate(found.groupby('algorithm')):
        right.plot(rows.estimate, rows.exact, 'o', color=f'C{index}', markersize=4, label=algorithm)
    best = found[found['best estimate']]
    right.plot(best.estimate, best.exact, 'o', color='k', fillstyle='none', markersize=9, label='chosen')
    right.set(xlabel='estimate from the log', ylabel='exact', title='all members')
    for panel, line in ((left, left.axvline), (right, right.axhline)):
        line(clinicians, color='0.35', linestyle='--', linewidth=1, label=f'clinicians {clinicians:.3f}')
        panel.grid(color='0.93')
    figures.legend(figure, columns=6)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main)

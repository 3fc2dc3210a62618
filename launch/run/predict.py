"""What the policy in this folder does in each row of a table: python predict.py table.csv actions.csv"""

import csv
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).parent
MISSING = {'', '#N/A', '#NA', 'N/A', 'n/a', 'NA', 'NaN', '-NaN', 'nan', '-nan', 'NULL', 'null'}


def number(cell):
    value = float({'true': 1, 'false': 0}.get(cell.lower(), cell))
    if not np.isfinite(np.float32(value)):
        raise ValueError(f'{cell!r} is no finite number')
    return value


def named(cell):
    if cell in MISSING:
        raise ValueError('it is missing')
    return cell


def days(cell, origin='1970-01-01'):
    times = [datetime.fromisoformat(text) for text in (cell, origin)]
    time, start = (each.replace(tzinfo=each.tzinfo or UTC) for each in times)
    return (time - start).total_seconds() / 86400


def entry(cell, feature, known):
    """A number of an observation; `known` holds the last ones of its episode."""
    name, kind, categories = feature['name'], feature['kind'], feature.get('categories', ())
    missing = cell in MISSING and cell not in categories
    if kind == 'missing':
        return float(missing)
    filled = known.get(name, feature['fill']) if feature['carried'] else feature['fill']
    if missing and filled is not None:
        return filled
    if kind == 'category':
        if cell not in categories:
            raise ValueError(f'{cell!r} is none of {", ".join(categories)}')
        known[name] = float(cell == feature['category'])
    else:
        known[name] = days(cell, feature['origin']) if kind == 'time' else number(cell)
    return known[name]


def main(table, output):
    about = json.loads((HERE / 'policy.json').read_text())
    features, inputs, acted = about['features'], about['inputs'], about['actions']
    episode, order, reward = (about['columns'][name] for name in ('episode', 'order', 'reward'))
    with Path(table).open(newline='', encoding='utf-8-sig') as file:
        rows = list(reader := csv.DictReader(file))
        header = reader.fieldnames or []
    for i, row in enumerate(rows):
        if None in row or None in row.values():
            sys.exit(f'error: {table}, row {i + 1}: {len(header)} cells are needed, as in the header.')
    names = [each['name'] for each in inputs]
    remembers, rewarded = len(names) > 1, 'reward' in names
    needed = {each['column'] for each in features}
    needed |= ({episode} if remembers else set()) | ({reward} if rewarded else set())
    if lacking := ', '.join(sorted(needed - {*header, ''})):
        sys.exit(f'error: {table} has no column {lacking}, which the policy reads.')

    def read(i, column, how, *more):
        try:
            return how(rows[i][column].strip(), *more)
        except ValueError as error:
            sys.exit(f'error: {table}, row {i + 1}, column {column!r}: {error}.')

    episodes, observations = {}, np.zeros((len(rows), len(features)), np.float32)
    for i in range(len(rows)):
        episodes.setdefault(read(i, episode, named) if episode in header else i, []).append(i)
    for steps in episodes.values():
        if order in header:
            steps.sort(key=lambda i: read(i, order, days if rows[i][order].count('-') > 1 else number))
        known = {}
        for i in steps:
            observations[i] = [read(i, each['column'], entry, each, known) for each in features]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    run = onnxruntime.InferenceSession(HERE / 'policy.onnx', options).run
    actions = [None] * len(rows)
    for steps in episodes.values() if remembers else ([i] for i in range(len(rows))):
        given = {
            x['name']: np.full((1, *x['shape'][1:]), x['initial'], x['dtype']) for x in inputs
        }
        for i, before in zip(steps, [None, *steps]):
            given['observation'] = observations[[i]]
            if before is not None and rewarded and reward:
                given['reward'] = np.array([read(before, reward, number)], np.float32)
            action, *after = run(None, given)
            given |= dict(zip((name for name in given if name.startswith('memory_')), after))
            actions[i] = action.ravel()

    def cells(action):
        if acted['kind'] == 'discrete':
            return acted['labels'][int(action[0]) - acted['first']]
        return [str(each) for each in action]

    kept = [column for column in (episode, order) if column in header]
    lines = [[row[column] for column in kept] + cells(action) for row, action in zip(rows, actions)]
    with Path(output).open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([kept + acted['columns'], *lines])


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        sys.exit(f'error: {error}.')

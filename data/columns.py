"""The columns of the table that a log was ingested from, and what became of each."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from data.types import DatasetError

# Under which a dataset's metadata keeps them.
METADATA = 'columns'
KINDS = ('number', 'time', 'category', 'missing')
# A label of a discrete action: a cell of one column, or a whole number from each of several.
Label = str | int | tuple[int, ...]


class Feature(NamedTuple):
    """One entry of an observation.

    Attributes:
        name: of the entry, unique: 'age', 'ward=surgery', 'lactate missing'.
        column: of the table that it is computed from.
        kind: 'number', the cell itself; 'time', the days from `origin` to it; 'category', 1 where the
            cell is `category` and 0 elsewhere; 'missing', 1 where the cell is missing and 0 elsewhere.
        category: of this entry; '' if it is of another kind.
        origin: ISO 8601, of times; '' for other kinds.
        carried: whether a missing number is first of all the last one known in its episode.
        fill: what else a missing number is, in the units of the entry; None if the table lacked none, so
            that a missing one is an error.
        missing: share of the table's rows in which the cell is missing.
    """

    name: str
    column: str
    kind: str = 'number'
    category: str = ''
    origin: str = ''
    carried: bool = False
    fill: float | None = None
    missing: float = 0.0


class Columns(NamedTuple):
    """What a table called the parts of its log.

    Attributes:
        features: an entry for each of the observation's, in order.
        actions: the column of labels; the columns of the whole numbers that are combined into one index;
            or the column of each dimension of a continuous action.
        labels: of the discrete actions by index, a cell each, or a tuple with a number for each of
            `actions`; () if actions are continuous.
        episode, reward: columns.
        order: the column that orders an episode's rows; '' if they stand in order.
        duration: the column of times that discounts count; '' if every step counts one.
        notes: what was done to the table on the way, a sentence each.
    """

    features: tuple[Feature, ...]
    actions: tuple[str, ...]
    labels: tuple[Label, ...]
    episode: str
    reward: str
    order: str = ''
    duration: str = ''
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data, of which `from_json` makes these again."""
        return self._asdict() | {'features': [feature._asdict() for feature in self.features]}


def from_json(plain: Mapping[str, Any], owner: str) -> Columns:
    """What `to_json` made plain data of.

    Args:
        plain: as read from a file.
        owner: of it, for the message.

    Raises:
        DatasetError: it is something else.
    """
    try:
        labels = tuple(tuple(each) if isinstance(each, list) else each for each in plain['labels'])
        found = Columns(**{
            **plain,
            'features': tuple(Feature(**each) for each in plain['features']),
            'actions': tuple(plain['actions']),
            'labels': labels,
            'notes': tuple(plain.get('notes', ())),
        })  # fmt: skip
    except (TypeError, KeyError, ValueError) as error:
        raise DatasetError(f'{owner}: its {METADATA!r} are none of launch.ingest ({error}).') from error
    wrong = [name for name, value in found._asdict().items() if not _KINDS_OF[name](value)]
    for feature in found.features:
        wrong += [f'{name} of a feature' for name, value in feature._asdict().items()
                  if not _KINDS_OF_FEATURES[name](value)]  # fmt: skip
    if wrong:
        raise DatasetError(
            f'{owner}: its {METADATA!r} are none of launch.ingest ({wrong[0]} is of another kind).'
        )
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_label(value: Any) -> bool:
    return isinstance(value, str | int) or (
        isinstance(value, tuple) and all(isinstance(each, int) for each in value)
    )


def _all(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: all(map(holds, values))


# What each entry must be.
_KINDS_OF = {
    'features': lambda value: True,
    'labels': _all(_is_label),
    **dict.fromkeys(('actions', 'notes'), _all(_is_text)),
    **dict.fromkeys(('episode', 'reward', 'order', 'duration'), _is_text),
}
_KINDS_OF_FEATURES = {
    **dict.fromkeys(('name', 'column', 'category', 'origin'), _is_text),
    'kind': lambda value: _is_text(value) and value in KINDS,
    'carried': lambda value: isinstance(value, bool),
    'fill': lambda value: value is None or _is_number(value),
    'missing': _is_number,
}


def of_metadata(
    metadata: Mapping[str, Any], observation_size: int, num_actions: int | None, owner: str
) -> Columns | None:
    """The columns that a dataset's metadata names, None if it names none.

    Args:
        metadata: Minari's.
        observation_size: of the dataset.
        num_actions: of the dataset, None if they are continuous.
        owner: the dataset, for the message.

    Raises:
        DatasetError: they are damaged, or of another number than the dataset's.
    """
    if METADATA not in metadata:
        return None
    found = from_json(metadata[METADATA], owner)
    if (len(found.features), len(found.labels)) != (observation_size, num_actions or 0):
        raise DatasetError(
            f'{owner}: its {METADATA!r} name {len(found.features)} features and {len(found.labels)} '
            f'labels; it has {observation_size} and {num_actions or 0}.'
        )
    return found

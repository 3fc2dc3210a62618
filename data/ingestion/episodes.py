"""The rows of a table in the order of their episodes, and how episodes end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from minari.data_collector import EpisodeBuffer

from data.ingestion.cells import DAY, Codes, Numbers
from data.types import DatasetError

# Handled at once: at most so many rows, and about so many numbers.
_ROWS, _NUMBERS = 1 << 16, 1 << 23


class Order(NamedTuple):
    """Which row follows which.

    Attributes:
        rows: numbers of the table's N rows, episode after episode, each in its order, int64 (N,).
        offsets: int64 (E + 1,); episode e has rows[offsets[e]:offsets[e + 1]].
    """

    rows: np.ndarray
    offsets: np.ndarray


class Chunk(NamedTuple):
    """Whole episodes, as many as are handled at once.

    Attributes:
        episodes: their numbers.
        rows: of the table, in order, int64 (n,).
        offsets: of the episodes among these rows, (episodes + 1,).
        first: for each row, where among these its episode begins, (n,).
    """

    episodes: range
    rows: np.ndarray
    offsets: np.ndarray
    first: np.ndarray


def sort(episode: Codes, order: Numbers | None, where: Path) -> Order:
    """Rows by episode, in the order of first appearance, and in each by the order, or as they stand.

    Raises:
        DatasetError: two rows of an episode have one place in its order.
    """
    codes = episode.spool.take(slice(None))
    if order is None:
        rows = np.argsort(codes, kind='stable')
    else:
        places = order.spool.take(slice(None))
        rows = np.lexsort((places, codes))
        equal = (np.diff(places[rows]) == 0) & (np.diff(codes[rows]) == 0)
        if equal.any():
            row = rows[equal.argmax()]
            count = len(np.unique(codes[rows[:-1][equal]]))
            place = _shown(places[row], bool(order.times))
            raise DatasetError(
                f'{where}: two rows of one episode have the same {order.name!r}, in {count:,} episodes; '
                f'{episode.name} {episode.labels[codes[row]]!r} has {place} twice.'
            )
    counts = np.bincount(codes, minlength=len(episode.codes))
    return Order(rows, np.concatenate([[0], np.cumsum(counts)]))


def chunks(order: Order, width: int = 1) -> Iterator[Chunk]:
    """All episodes, in chunks of about as many rows, of `width` numbers, as fit well into memory."""
    begin, count = 0, len(order.offsets) - 1
    most = max(min(_ROWS, _NUMBERS // width), 1)
    while begin < count:
        full = np.searchsorted(order.offsets, order.offsets[begin] + most, side='right') - 1
        end = min(max(int(full), begin + 1), count)
        offsets = order.offsets[begin : end + 1]
        rows = order.rows[offsets[0] : offsets[-1]]
        offsets = offsets - offsets[0]
        yield Chunk(range(begin, end), rows, offsets, np.repeat(offsets[:-1], np.diff(offsets)))
        begin = end


class Ends(NamedTuple):
    """How episodes end, and which rows are steps.

    Attributes:
        terminated: bool (E,); the others are truncated.
        kept: bool (N,) by row of the table. Of an episode that was cut the last row is only what was
            observed last: what its action led to is not recorded.
    """

    terminated: np.ndarray
    kept: np.ndarray


def ends(order: Order, terminal: Numbers | None, end: str, episode: Codes, where: Path) -> Ends:
    """Ends the episodes by a column that marks terminal rows, or all alike.

    Raises:
        DatasetError: an episode goes on after a terminal row, or no step is left.
    """
    last = order.rows[order.offsets[1:] - 1]
    if terminal is None:
        terminated = np.full(len(last), end == 'terminated')
    else:
        marked = terminal.spool.take(slice(None)) != 0
        terminated = marked[last]
        early = marked.copy()
        early[last] = False
        if early.any():
            codes = episode.spool.take(np.flatnonzero(early))
            raise DatasetError(
                f'{where}: {len(np.unique(codes)):,} episodes go on after a row that {terminal.name!r} '
                f'marks as terminal; the first is {episode.name} {episode.labels[codes.min()]!r}.'
            )
    kept = np.ones(len(order.rows), bool)
    kept[last[~terminated]] = False
    if not kept.any():
        raise DatasetError(
            f'{where}: every episode is a single row and truncated: no step is left.'
        )
    return Ends(terminated, kept)


def durations(order: Order, time: Numbers, episode: Codes, where: Path) -> np.ndarray:
    """From each row to the next of its episode, in the column's units or in days, float64 (N,) by row.

    After an episode's last row it is 1.

    Raises:
        DatasetError: a row does not come after the one before.
    """
    times = time.spool.take(slice(None))[order.rows] / (DAY if time.times else 1)
    found = np.append(np.diff(times), 1.0)
    found[order.offsets[1:] - 1] = 1.0
    wrong = ~(found > 0)
    if wrong.any():
        where_in = np.searchsorted(order.offsets, np.flatnonzero(wrong), side='right') - 1
        raise DatasetError(
            f'{where}: the times of {time.name!r} must grow from row to row of an episode; in '
            f'{len(np.unique(where_in)):,} episodes they do not, the first is {episode.name} '
            f'{episode.labels[where_in[0]]!r}.'
        )
    by_row = np.empty_like(found)
    by_row[order.rows] = found
    return by_row


def buffers(
    order: Order,
    ends: Ends,
    width: int,
    observed: Callable[[np.ndarray, np.ndarray], np.ndarray],
    acted: Callable[[np.ndarray], np.ndarray],
    rewarded: Callable[[np.ndarray], np.ndarray],
    infos: dict[str, Callable[[np.ndarray], np.ndarray]],
) -> Iterator[EpisodeBuffer]:
    """The episodes that hold a step, in order.

    After a termination, where nothing is bootstrapped, the last observation stands twice; of an episode
    that was cut the last row closes it.

    Args:
        order, ends: of the table's rows.
        width: of an observation.
        observed: (rows, first) -> observations, as features.Observations.matrix.
        acted, rewarded: rows -> what was done and earned.
        infos: by name, rows -> what else to keep of each step.
    """
    for chunk in chunks(order, width):
        observations = observed(chunk.rows, chunk.first)
        actions, rewards = acted(chunk.rows), rewarded(chunk.rows)
        extra = {name: take(chunk.rows) for name, take in infos.items()}
        for episode, begin, end in zip(chunk.episodes, chunk.offsets, chunk.offsets[1:]):
            terminated = bool(ends.terminated[episode])
            steps = end - begin if terminated else end - begin - 1
            if not steps:
                continue
            seen = observations[begin:end]
            last = np.arange(steps) == steps - 1
            part = slice(begin, begin + steps)
            yield EpisodeBuffer(
                observations=np.concatenate([seen, seen[-1:]]) if terminated else seen,
                actions=actions[part],
                rewards=rewards[part],
                terminations=last & terminated,
                truncations=last & (not terminated),
                infos={name: values[part] for name, values in extra.items()},
            )


def _shown(place: float, is_time: bool) -> Any:
    return str(np.datetime64(int(place), 'us')) if is_time else f'{place:.15g}'

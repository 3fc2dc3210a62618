"""Where the rows of a flat recording are cut into episodes.

`terminals` marks steps at which the environment terminated and `timeouts` those at which a time limit
cut the episode. What d4rl.qlearning_dataset returns has no timeouts, and lacks the rows at which they
were: an episode was cut where a row's `next_observations` are not the next row's observations. Without
`next_observations`, what followed an episode's last step is not recorded: a step that was cut is then
left out, its observation closing the episode, and after a termination, where nothing is bootstrapped,
the last observation stands twice. Where a step is terminal and cut, the termination counts.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from flax.traverse_util import unflatten_dict
from minari.data_collector import EpisodeBuffer

from data.types import DatasetError

# Equal but for this share of the largest, observations are the same: they were float32 for a while.
_ROUNDING = 1e-6


def episodes(
    arrays: Mapping[str, np.ndarray], max_episode_steps: int | None
) -> Iterator[EpisodeBuffer]:
    """The episodes of d4rl.read's arrays, infos/* among their infos with one entry per step.

    Args:
        arrays: of a file.
        max_episode_steps: where a file without `timeouts` cut its episodes at the latest; not used with
            them.

    Raises:
        DatasetError: nothing says where episodes were cut, or a step inside an episode does not lead to
            the next row's observation.
    """
    if max_episode_steps is None and not {'timeouts', 'next_observations'} & arrays.keys():
        raise DatasetError(
            'the file has no timeouts and no next_observations: say with --max_episode_steps where it '
            'cut its episodes.'
        )
    terminals, broken = _marks(arrays, 'terminals'), _broken(arrays)
    infos = {
        name.removeprefix('infos/'): array
        for name, array in arrays.items()
        if name.startswith('infos/')
    }
    for begin, end in _bounds(arrays, terminals, broken, max_episode_steps):
        terminated = bool(terminals[end - 1])
        observations = arrays['observations'][begin:end]
        if 'next_observations' in arrays:
            inside = broken[begin : end - 1]
            if inside.any():
                raise DatasetError(
                    f"row {begin + inside.argmax()}: its next_observations are not the next row's "
                    'observations, and no terminal or timeout stands between them.'
                )
            observations = np.concatenate(
                [observations, arrays['next_observations'][end - 1 : end]]
            )
        elif terminated:
            observations = np.concatenate([observations, observations[-1:]])
        else:
            end -= 1
        if end == begin:
            continue
        last = np.arange(begin, end) == end - 1
        yield EpisodeBuffer(
            observations=observations,
            actions=arrays['actions'][begin:end],
            rewards=arrays['rewards'][begin:end].reshape(-1).astype(np.float64),
            terminations=last & terminated,
            truncations=last & (not terminated),
            infos=unflatten_dict(
                {name: array[begin:end] for name, array in infos.items()}, sep='/'
            ),
        )


def notes(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """A sentence on the cuts that no mark says."""
    if 'timeouts' in arrays or 'next_observations' not in arrays:
        return []
    terminals = _marks(arrays, 'terminals')
    cut = np.count_nonzero(_broken(arrays) & ~terminals)
    warning = 'WARNING: ' if cut > len(terminals) / 2 else ''
    return [
        f'{warning}there are no timeouts: {cut:,} episodes are cut where the next_observations of a row '
        'are not the observations of the next'
    ]


def _marks(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return arrays[name].reshape(-1).astype(bool)


def _broken(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows that do not lead to the next one, as far as is recorded, bool (N,)."""
    broken = np.zeros(len(arrays['observations']), bool)
    if 'next_observations' in arrays:
        observed = arrays['observations'].reshape(len(broken), -1)
        led_to = arrays['next_observations'].reshape(len(broken), -1)
        away = np.abs(np.subtract(led_to[:-1], observed[1:], dtype=np.float64))
        rounding = _ROUNDING * np.abs(observed.astype(np.float64)).max(axis=0)
        broken[:-1] = np.any(away > rounding, axis=1)
    return broken


def _bounds(
    arrays: Mapping[str, np.ndarray],
    terminals: np.ndarray,
    broken: np.ndarray,
    max_episode_steps: int | None,
) -> Iterator[tuple[int, int]]:
    """[begin, end) of each episode; the last may be cut by the end of the file."""
    timed = 'timeouts' in arrays
    marks = terminals | (_marks(arrays, 'timeouts') if timed else broken)
    marks[-1] = True
    begin = 0
    for end in np.flatnonzero(marks) + 1:
        longest = end - begin if timed or max_episode_steps is None else max_episode_steps
        for at in range(begin, int(end), longest):
            yield at, min(at + longest, int(end))
        begin = int(end)

"""Which spaces hold images: they are known, and refused, until there is an encoder of pixels."""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from data.types import DatasetError

# Height and width of the smallest image; the grids of small worlds, such as 7 by 7 cells, are features.
_SIDE = 24
# Without a range of intensities, two axes are an image from here on; smaller ones are a matrix.
_PLAIN_SIDE = 64
_INTENSITIES = ((0, 1), (0, 255), (-1, 1), (-0.5, 0.5))


def is_image(space: gym.Space) -> bool:
    """Whether a space is one of images, channels first or last, stacked or not.

    An image has a height and a width: two neighbouring axes of some size, such as (84, 84), in
    (3, 84, 84), (84, 84, 3) or (4, 84, 84, 3). Its numbers are intensities: uint8, or floats that all
    have the range [0, 1], [0, 255] or one around 0. Where they are not, as in a standardised image, a
    third axis or the size tells it from a matrix; positions of many bodies, (100, 3), have but one
    axis of that size.
    """
    if not isinstance(space, Box) or len(space.shape) < 2:
        return False
    side = max(map(min, zip(space.shape, space.shape[1:])))
    if side < _SIDE:
        return False
    low, high = np.unique(space.low), np.unique(space.high)
    intensities = len(low) == len(high) == 1 and (low[0], high[0]) in _INTENSITIES
    if space.dtype == np.uint8 or intensities:
        return True
    return len(space.shape) > 2 or side >= _PLAIN_SIDE


def refuse(space: gym.Space, owner: str) -> None:
    """Raises DatasetError if observations of a space are images, or hold some.

    Args:
        space: of observations.
        owner: of it, for the message.
    """
    for name, part in _parts(space):
        if is_image(part):
            where = f' under {name!r}' if name else ''
            raise DatasetError(
                f'{owner}: observations{where} are images of shape {part.shape}, and no network here '
                'reads pixels: make features of them first.'
            )


def _parts(space: gym.Space, name: str = ''):
    inner = space.spaces.items() if isinstance(space, gym.spaces.Dict) else ()
    if isinstance(space, gym.spaces.Tuple):
        inner = enumerate(space.spaces)
    yield name, space
    for key, each in inner:
        yield from _parts(each, f'{name}/{key}'.removeprefix('/'))

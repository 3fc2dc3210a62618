"""Work done in turns: a generator that yields while others work for it, and returns its result."""

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

Result = TypeVar('Result')


class Wait(NamedTuple):
    """What a turn ends with.

    Attributes:
        over: () -> whether the next turn has not to wait.
        share: of the work that is done.
    """

    over: Callable[[], bool]
    share: float


Turns = Generator[Wait, None, Result]


def finish(
    turns: Turns[Result], tell: Callable[[float], None] = lambda share: None
) -> Result:
    """The result of all turns, one after the other; `tell` hears which share of the work is done."""
    while True:
        try:
            tell(next(turns).share)
        except StopIteration as end:
            return end.value

"""How long the last steps took turned into how many to take next.

A call of compiled code cannot be asked anything until it returns. So it should be short enough for
the progress, for Ctrl-C and for the checkpoint, and long enough that calls cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_SECONDS = 1.0
"""What a call should take."""


class Pace:
    """Counts of steps for the calls of one loop, at most `most`; the first call takes one step.

    `agreed`: what all that take the calls together make of the count that one of them would take.
    """

    def __init__(self, most: int, agreed: Callable[[int], int] = int) -> None:
        self._most, self._next, self._agreed = most, 1, agreed

    def call(self, advance: Callable[[int], T], left: int) -> tuple[int, T]:
        """`advance(count)`, which must wait for its result, and `count`, at most `left`."""
        count = min(self._agreed(self._next), left)
        start = time.monotonic()
        result = advance(count)
        fitting = _SECONDS * count / max(time.monotonic() - start, 1e-9)
        # Twice as many at most: one lucky step says little about the next fifty.
        self._next = int(min(max(fitting, 1.0), 2 * self._next, self._most))
        return count, result

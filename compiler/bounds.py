"""Which numbers an expression can give: intervals, with their arithmetic.

`+ * / ^` keep what is positive, and `1 - rho` of a `Unit` is a `Unit`; an end is open where it is
approached only. What is not known to be better is `Real`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mercer.dsl.spaces import Bool, Count, Interval, Label, Positive, Real, Space, Unit


@dataclass(frozen=True)
class Bounds:
    low: float = -math.inf
    high: float = math.inf
    is_open: bool = False  # `low` itself is left out

    def within(self, other: Bounds) -> bool:
        """Up to the end itself: a continuous quantity is 0 with probability 0."""
        return other.low <= self.low and self.high <= other.high


REAL = Bounds()
POSITIVE = Bounds(0.0, math.inf, True)


def bounds_of(space: Space) -> Bounds:
    match space:
        case Positive():
            return POSITIVE
        case Unit() | Bool():
            return Bounds(0.0, 1.0)
        case Count():
            return Bounds(0.0)
        case Interval(low, high):
            return Bounds(
                low if isinstance(low, float | int) else -math.inf,
                high if isinstance(high, float | int) else math.inf,
            )
        case _:
            return REAL


def space_of(bounds: Bounds) -> Space:
    if bounds.low > 0 or (bounds.low == 0 and bounds.is_open):
        return Positive()
    if bounds.low == 0 and bounds.high == 1:
        return Unit()
    if math.isfinite(bounds.low) or math.isfinite(bounds.high):
        return Interval(bounds.low, bounds.high)
    return Real()


def spoken(space: Space) -> str:
    """The space as a message names it."""
    if isinstance(space, Interval) and isinstance(space.low, float | int):
        if space.high == math.inf:
            return f"numbers from {space.low:g} up"
        if space.low == -math.inf and isinstance(space.high, float | int):
            return f"numbers up to {space.high:g}"
        if isinstance(space.high, float | int):
            return f"Interval({space.low:g}, {space.high:g})"
    return str(space)


def named_bounds(text: str) -> Bounds:
    """The bounds of a space as a library entry writes it: `Positive`, `Unit`, `Simplex(k)`."""
    base = text.split("^")[0].strip()
    found = re.fullmatch(r"Interval\(\s*([^,]+),\s*([^)]+)\)", base)
    if found:
        try:
            return Bounds(float(found[1]), float(found[2]))
        except ValueError:
            return REAL
    known = {"Positive": POSITIVE, "Unit": Bounds(0.0, 1.0), "Bool": Bounds(0.0, 1.0)}
    known["Count"] = known["NonNegative"] = Bounds(0.0)
    return known.get(base, REAL)


def combine(word: str, left: Bounds, right: Bounds) -> Bounds:
    """The bounds of `left word right`."""
    match word:
        case "add":
            is_open = left.is_open or right.is_open
            return Bounds(left.low + right.low, left.high + right.high, is_open)
        case "subtract":
            return Bounds(left.low - right.high, left.high - right.low, left.is_open)
        case "multiply":
            ends = [_times(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
            is_open = left.low >= 0 and right.low >= 0 and left.is_open and right.is_open
            return Bounds(min(ends), max(ends), is_open)
        case "divide":
            if left.low >= 0 and right.low >= 0:
                low = 0.0 if math.isinf(right.high) else left.low / max(right.high, 1e-300)
                high = math.inf if right.low == 0 else left.high / right.low
                return Bounds(low, high, left.is_open or left.low > 0)
            return REAL
        case "power":
            exponent = right.low if right.low == right.high else None
            if left.low >= 0:
                top = left.high <= 1 and right.low >= 0
                return Bounds(0.0, 1.0 if top else math.inf, left.is_open or left.low > 0)
            if exponent is not None and exponent % 2 == 0:
                return Bounds(0.0)
            return REAL
        case _:
            return REAL


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def is_number(space: Space) -> bool:
    return not isinstance(space, Label)

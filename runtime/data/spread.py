"""Values turned into what a person asks of them first: least, greatest, how many are missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mercer.runtime.data.columns import blocks


class Spread(NamedTuple):
    """`ends`: least and greatest, none where all is missing; `distinct` labels, 0 for numbers."""

    ends: tuple[float, ...]
    missing: int
    distinct: int


def spread_of(values: np.ndarray, *, labels: bool = False) -> Spread:
    """The spread of numbers (NaN: missing) or, with `labels`, of codes (-1: missing)."""
    low, high, missing = np.inf, -np.inf, 0
    seen = np.zeros(0, dtype=bool)
    for _, (block,) in blocks(values):
        present = block[block >= 0] if labels else block[~np.isnan(block)]
        missing += block.size - present.size
        if not present.size:
            continue
        low, high = min(low, float(present.min())), max(high, float(present.max()))
        if labels:
            count = np.bincount(present, minlength=len(seen))
            seen = np.pad(seen, (0, len(count) - len(seen))) | (count > 0)
    return Spread((low, high) if low <= high else (), missing, int(seen.sum()))

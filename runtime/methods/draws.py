"""What an inference driver hands on: draws of the unknowns, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws by name of the sample site, [chain, draw, ...]; `stats` likewise.

    `notes` are sentences for the user: what went wrong or was approximated. `chains` and `draws`
    count also where nothing was left to sample. `traces`: what was optimised, over the iterations
    of the name "iteration".
    """

    values: Mapping[str, np.ndarray]
    chains: int
    draws: int
    stats: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    traces: Mapping[str, np.ndarray] = field(default_factory=dict)

    def flat(self) -> dict[str, np.ndarray]:
        """Chains one after another: [chain * draw, ...]."""
        return {
            k: v.reshape(self.chains * self.draws, *v.shape[2:]) for k, v in self.values.items()
        }

    def state(self) -> dict[str, Any]:
        """All of it as arrays and numbers, for a checkpoint; names apart, to keep their order."""
        return {
            "names": list(self.values),
            "values": list(self.values.values()),
            "names of stats": list(self.stats),
            "stats": list(self.stats.values()),
            "notes": list(self.notes),
            "shape": [self.chains, self.draws],
        }


def draws_of(state: Mapping[str, Any]) -> Draws:
    """What `state` gave, from the dicts of arrays that a checkpoint holds."""

    def listed(name: str) -> list[Any]:
        return list(state.get(name, {}).values())  # an empty list leaves nothing in a checkpoint

    values, stats = (
        dict(zip(map(str, listed(names)), listed(arrays), strict=True))
        for names, arrays in (("names", "values"), ("names of stats", "stats"))
    )
    chains, draws = (int(number) for number in listed("shape"))
    return Draws(values, chains, draws, stats, tuple(map(str, listed("notes"))))

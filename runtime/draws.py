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
    count also where nothing was left to sample.
    """

    values: Mapping[str, np.ndarray]
    chains: int
    draws: int
    stats: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def flat(self) -> dict[str, np.ndarray]:
        """Chains one after another: [chain * draw, ...]."""
        return {
            k: v.reshape(self.chains * self.draws, *v.shape[2:]) for k, v in self.values.items()
        }

    def state(self) -> dict[str, Any]:
        """All of it as arrays and numbers, for a checkpoint."""
        return {
            "values": dict(self.values),
            "stats": dict(self.stats),
            "notes": list(self.notes),
            "shape": [self.chains, self.draws],
        }


def draws_of(state: Mapping[str, Any]) -> Draws:
    """What `state` gave, from the dicts of arrays that a checkpoint holds."""
    chains, draws = (int(state["shape"][i]) for i in "01")
    notes = tuple(str(note) for note in state.get("notes", {}).values())
    return Draws(state.get("values", {}), chains, draws, state.get("stats", {}), notes)

"""Groups of statistics, which stand where draws would be too many, turned into means and sds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mercer.runtime.posterior.containers import group_names

STATISTICS = "_statistics"
SHARES = "_shares"
"""What stands behind the name of a group that has statistics, or shares of labels."""

NAMES = ("mean", "sd", "log_mean_exp")
"""The statistics, in their order; the last of log densities only."""


def is_of_outcomes(group: str) -> bool:
    """Whether the variables of a group are the outcomes."""
    return group.startswith("posterior_predictive")


def statistics_note(groups: Mapping[str, Mapping[str, Any]], draws: int) -> tuple[str, ...]:
    """A sentence where statistics stand for draws."""
    kinds = {k: v for k, v in groups.items() if k.endswith((STATISTICS, SHARES))}
    if not kinds:
        return ()
    names = ", ".join(dict.fromkeys(name for v in kinds.values() for name in v))
    where = ", ".join(f"fit.idata['{k}']" for k in kinds)
    return (
        f"All draws of {names} would be too many to keep: for each row the fit has mean and sd "
        f"over the {draws} draws instead, in {where}. fit.predict and fit.component give draws at "
        "chosen rows.",
    )


def statistics_of(idata: Any, group: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and sd by name: of what has statistics, and of what has draws."""
    found = {}
    there = group_names(idata)
    if group in there:
        for name, value in idata[group].data_vars.items():
            draws = value.values
            found[str(name)] = (draws.mean(axis=(0, 1)), draws.std(axis=(0, 1)))
    if group + STATISTICS in there:
        for name, value in idata[group + STATISTICS].data_vars.items():
            found[str(name)] = (value.values[0], value.values[1])
    return found


def shares_of(idata: Any, group: str) -> dict[str, np.ndarray]:
    """The shares of labels by name, [..., label], where they stand for draws."""
    if group + SHARES not in group_names(idata):
        return {}
    return {str(k): v.values for k, v in idata[group + SHARES].data_vars.items()}

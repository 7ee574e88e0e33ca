"""ArviZ 0.x and 1.x behind one face: the container, its groups, and the table of a summary.

ArviZ takes a second to import, so it is imported by what uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

_INTERVAL = 0.94
_COLUMNS = {"hdi94_lb": "hdi_3%", "hdi94_ub": "hdi_97%"}  # of 1.x, as 0.x writes them


def is_tree() -> bool:
    """Whether ArviZ holds a posterior as xarray's DataTree (1.x)."""
    return int(version("arviz").split(".")[0]) >= 1


def container(datasets: Mapping[str, xr.Dataset]) -> Any:
    """Datasets by group as ArviZ wants them: InferenceData (0.x) or DataTree (1.x)."""
    if is_tree():
        return xr.DataTree.from_dict(dict(datasets))
    from arviz import InferenceData

    groups: dict[str, Any] = dict(datasets)
    return InferenceData(**groups)


def group_names(idata: Any) -> list[str]:
    """The groups of ArviZ's container."""
    if hasattr(idata, "children"):
        return list(idata.children)
    return [name.lstrip("/") for name in idata.groups() if name not in ("/", "")]


def summary_of(idata: Any, names: list[str]) -> Any:
    """Mean, sd, 94 % highest density interval, effective draws and R-hat, as a table of numbers."""
    import arviz as az

    # What never varies, the diagonal of a correlation, has no R-hat: NaN, and nothing to warn of.
    with np.errstate(divide="ignore", invalid="ignore"):
        if not is_tree():
            return az.summary(idata, var_names=names, hdi_prob=_INTERVAL)
        options: dict[str, Any] = {"ci_prob": _INTERVAL, "ci_kind": "hdi", "round_to": "none"}
        table: Any = az.summary(idata, var_names=names, **options)
    return table.rename(columns=_COLUMNS)

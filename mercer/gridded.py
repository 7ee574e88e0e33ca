"""Bound data into the numbers of distinct inputs of a function, by which a plan knows a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mercer.compiler.affine import SiteUse
from mercer.compiler.grids import (
    KEPT,
    LABEL,
    OUTPUT,
    POINTS,
    Axis,
    count_name,
    finest_axes,
    grid_site,
    groupings,
)
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.data.bind import Bound

if TYPE_CHECKING:
    from mercer.model import Model

MOST = 4_000_000
"""Rows whose inputs are looked at; of more no engine takes all at once."""


def with_grid(model: Model, bound: Bound) -> Bound:
    """The same data; where its inputs may form a grid, `sizes` say how many distinct ones there
    are of each part of a point, of points, and of rows with a value."""
    try:
        asked = {directive.method for directive in model.structure.asked.engines.values()}
        if asked - {"Kronecker"}:
            return bound
        use = grid_site(model.structure)
        plan = model.plan()
    except MercerError:  # which the plan of a fit tells, before data are read
        return bound
    if isinstance(use, str) or isinstance(finest_axes(model.structure, bound.sizes), str):
        return bound
    (outcome,) = model.structure.locations
    if int(np.prod([bound.sizes.get(d, 1) for d in use.dims])) > MOST:
        return bound
    if plan.lane not in ("exact", "latent"):
        return bound
    from mercer.runtime.methods.density import arguments_of

    program = model.program(plan)
    known = arguments_of(program, bound).all()
    word = {name: identifier for identifier, name in program.NAMES.items()}
    keep = known.get(word[f"{outcome} keep"])
    site = program.sites(**known)[use.key]
    counts = counts_of(model, site, use, bound.sizes)
    counts[KEPT] = site.size if keep is None else len(keep)
    return replace(bound, sizes={**bound.sizes, **counts})


def counts_of(model: Model, site: Any, use: SiteUse, sizes: Mapping[str, int]) -> dict[str, int]:
    """Of each grouping of the axes the distinct entries of each part, and distinct points."""
    axes = finest_axes(model.structure, sizes)
    assert not isinstance(axes, str)
    codes = {axis: _codes(site.points, axis) for axis in axes}
    found: dict[str, int] = {}
    for grouped in groupings(axes):
        for axis in grouped:
            inside = [codes[a] for a in axes if set(a) <= set(axis)]
            found.setdefault(count_name(axis), _distinct(inside))
    found[POINTS] = _distinct([*codes.values()])
    return found


def _codes(points: Any, axis: Axis) -> np.ndarray:
    """The entry of an axis of each point, as a number from 0 on."""
    columns = []
    for part, coordinate in axis:
        if (part, coordinate) in (LABEL, OUTPUT):
            column = points.labels if (part, coordinate) == LABEL else points.output
        else:
            factor = np.asarray(points.factors[part])
            column = factor if factor.ndim == 1 else factor[:, coordinate]
        columns.append(np.unique(np.asarray(column), return_inverse=True)[1].reshape(-1))
    return _together(columns)


def _together(codes: list[np.ndarray]) -> np.ndarray:
    """Codes of combinations, from 0 on."""
    total = codes[0]
    for code in codes[1:]:
        pairs = total.astype(np.int64) * (int(code.max(initial=0)) + 1) + code
        total = np.unique(pairs, return_inverse=True)[1].reshape(-1)
    return total


def _distinct(codes: list[np.ndarray]) -> int:
    return int(_together(codes).max(initial=-1)) + 1

"""Bound data into the numbers of distinct inputs of a function, by which a plan knows a grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from mercer.compiler.affine import SiteUse
from mercer.compiler.engines import MOST_APART
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

_SOME = 4096
"""Rows that are looked at first: the square of so many distinct entries is above `MOST`."""


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
    """Of each grouping of the axes that could be a grid the distinct entries of each part, and
    distinct points. What could not be one has too many cells by its single axes alone."""
    axes = finest_axes(model.structure, sizes)
    assert not isinstance(axes, str)
    most = site.size + MOST_APART
    # Of numbers that are all different a few rows say that they form no grid.
    some = {axis: _distinct([_codes(site.points, axis, _SOME)]) for axis in axes}
    if not [*_possible(axes, some, most)]:
        return {POINTS: site.size}
    codes = {axis: _codes(site.points, axis) for axis in axes}
    every = {axis: _distinct([code]) for axis, code in codes.items()}
    found: dict[str, int] = {}
    for grouped in _possible(axes, every, most):
        for axis in grouped:
            if count_name(axis) not in found:
                inside = [codes[a] for a in axes if set(a) <= set(axis)]
                found[count_name(axis)] = _distinct(inside)
    found[POINTS] = _distinct([*codes.values()]) if found else site.size
    return found


def _possible(
    axes: tuple[Axis, ...], distinct: Mapping[Axis, int], most: int
) -> Iterator[tuple[Axis, ...]]:
    """The groupings of several parts that may have at most so many cells: a part has as many
    entries as each axis inside, at least."""
    for grouped in groupings(axes):
        least = (max(distinct[a] for a in axes if set(a) <= set(group)) for group in grouped)
        if len(grouped) > 1 and prod(least) <= most:
            yield grouped


def _codes(points: Any, axis: Axis, first: int | None = None) -> np.ndarray:
    """The entry of an axis of each point, or of the first few, as a number from 0 on."""
    columns = []
    for part, coordinate in axis:
        if (part, coordinate) in (LABEL, OUTPUT):
            column = points.labels if (part, coordinate) == LABEL else points.output
        else:
            factor = np.asarray(points.factors[part])
            column = factor if factor.ndim == 1 else factor[:, coordinate]
        columns.append(np.unique(np.asarray(column)[:first], return_inverse=True)[1].reshape(-1))
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

"""What a quantity depends on turned into the rows at which it is drawn: curves, maps or slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mercer.dsl.spaces import Bool, Label

Shape = Literal["curve", "map", "coordinates", "slices"]

_FEW = 4
"""Different numbers that a column may have to count as labels, beside another column."""
_CURVE, _MAP = (160, 500), 28
"""Points of a curve (at least and at most), and of each side of a map."""
PANELS = 12
"""Panels at most in one figure."""
_MAPS = 4
_LEAST = 3
"""Rows that a panel of data must have, on average."""


@dataclass(frozen=True)
class Axis:
    """One number of an input: a column, or coordinate `place` of a vector of `size`."""

    data: str
    place: int | None = None
    size: int = 1

    def values(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        column = np.asarray(arrays[self.data], float)
        return column if self.place is None else column[:, self.place]


@dataclass(frozen=True)
class Inputs:
    """The inputs of one quantity that vary with its rows: `axes` are numbers, `facets` labels."""

    row: str
    axes: tuple[Axis, ...]
    facets: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Rows at which to draw, `columns` by data name; the panels that show them.

    `combinations`: of the values of the facets, in the data; more than there are panels, where not
    all are shown.
    """

    shape: Shape
    columns: Mapping[str, np.ndarray]
    panels: tuple[Panel, ...]
    combinations: int = 1


@dataclass(frozen=True)
class Panel:
    """What one panel shows: the rows `index`, where its axes have the values `points`.

    `held`: the value of each facet.
    """

    axes: tuple[Axis, ...]
    points: tuple[np.ndarray, ...]
    index: np.ndarray
    held: tuple[Any, ...] = ()


def inputs_of(fit: Any, key: str) -> Inputs | None:
    """The inputs of a quantity or outcome; None where they do not vary together, row by row."""
    needed = fit.needed_by(key)
    dims = tuple(fit.program.DIMS.get(key, ()))
    bound = fit.bound
    row = dims[0] if dims else None
    if row is None or any(name not in bound.arrays for name in needed):
        return None
    axes: list[Axis] = []
    facets: list[str] = []
    for name in needed:
        need, own = bound.needs.of(name), bound.dims[name]
        if need is None or row not in own:
            continue  # one value, or one for each label: it stays as it was
        if own == (row,) and isinstance(need.space, Label | Bool):
            facets.append(name)
        elif own == (row,):
            axes.append(Axis(name))
        elif own[0] == row and own[1:] == need.coordinates and len(own) == 2:
            size = bound.arrays[name].shape[1]
            axes += [Axis(name, place, size) for place in range(size)]
        else:
            return None
    arrays = bound.arrays
    few = [a for a in axes if a.place is None and len(np.unique(a.values(arrays))) <= _FEW]
    if few and len(few) < len(axes):
        facets += [a.data for a in few]
        axes = [a for a in axes if a not in few]
    return Inputs(row, tuple(axes), tuple(facets)) if axes else None


def shape_of(fit: Any, key: str, inputs: Inputs) -> Shape:
    """How a quantity is best drawn."""
    vector = inputs.axes[0]
    own = fit.bound.dims[vector.data]
    if vector.place is not None and own[-1] in fit.program.DIMS[key]:
        return "coordinates"  # f[d] of each coordinate of x by itself
    if len(inputs.axes) == 1:
        return "curve"
    return "map" if len(inputs.axes) == 2 else "slices"


def rows_for(fit: Any, inputs: Inputs, shape: Shape) -> Rows:
    """A fine grid over the range of the data, for the values of the facets that occur most."""
    arrays = fit.bound.arrays
    values = {axis: axis.values(arrays) for axis in inputs.axes}
    found = _combinations(fit, inputs)
    if shape in ("coordinates", "slices"):
        return _across(fit, inputs, shape, values, found[0], len(found))
    combinations = sorted(found[: PANELS if shape == "curve" else _MAPS])
    if shape == "curve":
        most = max(len(np.unique(values[inputs.axes[0]])), _CURVE[0])
        size = min(most, max(_CURVE[1] // len(combinations), 60))
        points = (_line(values[inputs.axes[0]], size),)
    else:
        side = _MAP if len(combinations) == 1 else _MAP // 2 + 4
        first, second = (_line(values[axis], side) for axis in inputs.axes)
        points = tuple(m.ravel() for m in np.meshgrid(first, second, indexing="ij"))
    columns = _columns(fit, inputs, [points] * len(combinations), combinations)
    index = np.arange(len(points[0]))
    panels = tuple(
        Panel(inputs.axes, points, index + place * len(index), held)
        for place, held in enumerate(combinations)
    )
    return Rows(shape, columns, panels, len(found))


def rows_of_data(fit: Any, inputs: Inputs, some: np.ndarray | None = None) -> Rows:
    """The rows of the data themselves, or `some` of them, each panel's in the order of its axis."""
    panels = []
    some = np.arange(fit.bound.sizes[inputs.row]) if some is None else some
    found = _combinations(fit, inputs)
    for held in sorted(found[:PANELS]):
        for axis in inputs.axes:
            values = axis.values(fit.bound.arrays)[some]
            index = np.flatnonzero(rows_of_panel(fit, inputs, held)[some])
            index = index[np.argsort(values[index], kind="stable")]
            panels.append(Panel((axis,), (values[index],), index, held))
    shape: Shape = "curve" if len(inputs.axes) == 1 else "coordinates"
    return Rows(shape, {}, tuple(panels), len(found))


def has_rows_enough(fit: Any, inputs: Inputs) -> bool:
    """Whether a panel for each combination of labels has data to show beside what is expected."""
    found = _combinations(fit, inputs)[:PANELS]
    rows = [int(np.sum(rows_of_panel(fit, inputs, held))) for held in found]
    return len(inputs.facets) <= 2 and float(np.mean(rows)) >= _LEAST


def rows_of_panel(fit: Any, inputs: Inputs, held: tuple[Any, ...]) -> np.ndarray:
    """The rows of the data that have these values of the facets, [n] of bool."""
    keep = np.ones(fit.bound.sizes[inputs.row], bool)
    for facet, value in zip(inputs.facets, held, strict=True):
        keep &= fit.bound.arrays[facet] == value
    return keep


def told(fit: Any, facet: str, value: Any) -> str:
    """A value of a facet as a title has it: a label by itself, a number with its name."""
    need = fit.bound.needs.of(facet)
    if isinstance(need.space, Label):
        return str(fit.bound.labels[need.space.index][int(value)])
    return f"{facet} = {value:g}"


def _across(
    fit: Any,
    inputs: Inputs,
    shape: Shape,
    values: Mapping[Axis, np.ndarray],
    held: tuple[Any, ...],
    count: int,
) -> Rows:
    """A panel for each axis. Slices hold the other axes at their medians."""
    size = _CURVE[0] if shape == "coordinates" else _CURVE[0] // 2
    lines = {axis: _line(values[axis], size) for axis in inputs.axes}
    index, panels = np.arange(size), []
    if shape == "coordinates":  # all move at once, as each is read by its own function
        sides = [tuple(lines.values())]
        panels = [Panel((axis,), (lines[axis],), index, held) for axis in inputs.axes[:PANELS]]
    else:
        middle = {axis: np.full(size, np.median(values[axis])) for axis in inputs.axes}
        sides = []
        for place, axis in enumerate(inputs.axes[:PANELS]):
            sides.append(tuple({**middle, axis: lines[axis]}.values()))
            panels.append(Panel((axis,), (lines[axis],), index + place * size, held))
    columns = _columns(fit, inputs, sides, [held] * len(sides))
    return Rows(shape, columns, tuple(panels), count)


def _columns(
    fit: Any, inputs: Inputs, sides: list[tuple[np.ndarray, ...]], held: list[tuple[Any, ...]]
) -> dict[str, np.ndarray]:
    """The columns of a table with these rows, panel after panel."""
    columns: dict[str, np.ndarray] = {}
    for place, axis in enumerate(inputs.axes):
        moving = np.concatenate([side[place] for side in sides])
        dim = fit.bound.dims[axis.data][-1]
        if axis.place is None:
            columns[axis.data] = moving
        elif dim in fit.bound.labels and dim not in fit.bound.numbered:
            columns[f"{axis.data}.{fit.bound.labels[dim][axis.place]}"] = moving
        else:
            vectors = columns.setdefault(axis.data, np.empty((len(moving), axis.size)))
            vectors[:, axis.place] = moving
    lengths = [len(side[0]) for side in sides]
    for place, facet in enumerate(inputs.facets):
        values = np.repeat([h[place] for h in held], lengths)
        need = fit.bound.needs.of(facet)
        is_label = isinstance(need.space, Label)
        columns[facet] = (
            np.asarray(fit.bound.labels[need.space.index])[values] if is_label else values
        )
    return columns


def _combinations(fit: Any, inputs: Inputs) -> list[tuple[Any, ...]]:
    """The values of the facets that occur, those of most rows first."""
    if not inputs.facets:
        return [()]
    columns = {facet: fit.bound.arrays[facet] for facet in inputs.facets}
    counts = pd.DataFrame(columns).value_counts(sort=False)
    rows = dict(zip(counts.index.tolist(), counts.tolist(), strict=True))
    return sorted(rows, key=lambda row: (-rows[row], row))


def _line(values: np.ndarray, count: int) -> np.ndarray:
    finite = values[np.isfinite(values)]
    return np.linspace(finite.min(), finite.max(), count)

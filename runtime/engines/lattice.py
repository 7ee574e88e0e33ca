"""Points of a random function into the grid that they form, and its kernel into one for each axis.

An *axis* is a set of positions (factor, coordinate) of a point. On a grid the points are, cell by
cell, one entry of each axis, and a kernel that is a product over the axes has the covariance
K_1 ⊗ ... ⊗ K_D. Labels and outputs of a function are axes of their own: their covariance is the
identity, or that between the outputs. Found once, on the host, by `prepare`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.engines.terms import Site
from mercer.stdlib.algebra import Kernel, Leaf, OverWaves, Power, Product, Scaled, Sum
from mercer.stdlib.points import Points, covariance

Position = tuple[int, int]
Axes = tuple[tuple[Position, ...], ...]

LABEL: Position = (-1, 0)
OUTPUT: Position = (-2, 0)
"""The positions of the copy of an indexed function, and of the coordinate of its value."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("points", "cell", "row", "absent"),
    meta_fields=("axes",),
)
@dataclass(frozen=True)
class Lattice:
    """`points[k]` [m_k, width]: the entries of axis k, by its positions `axes[k]`.

    `cell` [N]: the cell of each value of a site, the last axis running fastest; `row` [M]: the
    value in each cell (N where there is none), or empty where some cell has several; `absent`: the
    cells without a value.
    """

    axes: Axes
    points: tuple[Any, ...]
    cell: Any
    row: Any
    absent: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(points) for points in self.points)

    @property
    def is_once(self) -> bool:
        """Whether no cell has several values."""
        return len(self.row) == int(np.prod(self.shape))


def lattice(site: Site, axes: Axes, *, is_wanted: bool = True) -> Lattice:
    """The grid of the points of a site by given axes; on the host. Not `is_wanted`: no arrays."""
    if not is_wanted:
        return Lattice(axes, (None,) * len(axes), None, None, None)
    points: Points = site.points
    entries, codes = [], []
    for axis in axes:
        columns = np.stack([_column(points, position) for position in axis], axis=1)
        if columns.shape[1] == 1:
            found, code = np.unique(columns[:, 0], return_inverse=True)
            found = found[:, None]
        else:
            found, code = np.unique(columns, axis=0, return_inverse=True)
        entries.append(found)
        codes.append(code.reshape(-1))
    shape = tuple(len(e) for e in entries)
    cell = np.asarray(np.ravel_multi_index(tuple(codes), shape))
    count, cells = len(cell), int(np.prod(shape))
    row = np.full(cells, count)
    row[cell] = np.arange(count)
    absent = np.flatnonzero(row == count)
    if cells - len(absent) < count:
        row = row[:0]
    kind = np.int32 if max(count, cells) < 2**31 else np.int64
    return Lattice(axes, tuple(entries), cell.astype(kind), row.astype(kind), absent.astype(kind))


def _column(points: Points, position: Position) -> np.ndarray:
    """What all points have at one position, [N]."""
    part, coordinate = position
    if position == LABEL:
        return np.asarray(points.labels, float)
    if position == OUTPUT:
        return np.asarray(points.output, float)
    factor = np.asarray(points.factors[part])
    return np.asarray(factor if factor.ndim == 1 else factor[:, coordinate], float)


def on_axis(grid: Lattice, number: int, like: Points) -> Points:
    """The entries of an axis as points of a function, 0 at all positions of other axes."""
    axis, entries = grid.axes[number], jnp.asarray(grid.points[number])
    count = len(entries)
    factors = []
    for part, factor in enumerate(like.factors):
        factor = jnp.asarray(factor)
        if factor.ndim == 1 and jnp.issubdtype(factor.dtype, jnp.integer):
            own = [k for k, position in enumerate(axis) if position[0] == part]
            codes = entries[:, own[0]] if own else jnp.zeros(count)
            factors.append(codes.astype(factor.dtype))
            continue
        width = 1 if factor.ndim == 1 else factor.shape[1]
        columns = [jnp.zeros(count)] * width
        for k, (home, coordinate) in enumerate(axis):
            if home == part:
                columns[coordinate] = entries[:, k]
        factors.append(jnp.stack(columns, axis=1))
    label = entries[:, axis.index(LABEL)].astype(int) if LABEL in axis else None
    output = entries[:, axis.index(OUTPUT)].astype(int) if OUTPUT in axis else None
    return Points(tuple(factors), label, output)


def axis_covariance(
    kernel: Kernel | None, outputs: Any, axis: tuple[Position, ...], a: Points, b: Points
) -> Array:
    """The factor [n, m] of the covariance between two sets of points that one axis gives.

    `kernel`: that of the axis alone, None for labels and outputs.
    """
    if axis == (LABEL,):
        return _same(a.labels, b.labels)
    if axis == (OUTPUT,):
        left, right = a.output, b.output
        return _same(left, right) if outputs is None else outputs[left][:, right]
    assert kernel is not None
    return covariance(kernel, Points(a.factors), Points(b.factors))


def _same(a: Any, b: Any) -> Array:
    return (jnp.asarray(a)[:, None] == jnp.asarray(b)).astype(float)


# --- one kernel for each axis ---------------------------------------------------------------------


def axis_kernels(kernel: Kernel, axes: Axes, points: Points) -> tuple[Kernel | None, ...]:
    """The kernels whose product a kernel is, one for each axis; None for labels and outputs.

    ValueError: the kernel is no product over these axes.
    """
    widths = tuple(_width(factor) for factor in points.factors)
    parts = _split(kernel, axes, widths)
    for k, axis in enumerate(axes):
        if k not in parts and axis not in ((LABEL,), (OUTPUT,)):
            raise ValueError(f"axes: the kernel does not see axis {k + 1}")
    return tuple(parts.get(k) for k in range(len(axes)))


def _split(kernel: Kernel, axes: Axes, widths: tuple[int, ...]) -> dict[int, Kernel]:
    seen = _seen(kernel, widths)
    homes = [k for k, axis in enumerate(axes) if set(axis) & set(seen)]
    if len(homes) == 1:
        return {homes[0]: kernel}
    match kernel:
        case Scaled():
            parts = _split(kernel.kernel, axes, widths)
            first = min(parts)
            return {**parts, first: Scaled(kernel.factor, parts[first])}
        case Power():
            inner = _split(kernel.kernel, axes, widths)
            return {k: Power(part, kernel.exponent) for k, part in inner.items()}
        case Product():
            found: dict[int, Kernel] = {}
            for part in kernel.parts:
                for k, own in _split(part, axes, widths).items():
                    found[k] = found[k] * own if k in found else own
            return found
        case Leaf() if kernel.word.entry.separates and kernel.space is None:
            return _coordinates_apart(kernel, seen, [axes[k] for k in homes], homes)
        case _:
            raise ValueError("axes: the kernel is no product over these axes")


def _coordinates_apart(
    kernel: Leaf, seen: list[Position], axes: list[tuple[Position, ...]], homes: list[int]
) -> dict[int, Kernel]:
    """A kernel that is a product over coordinates; the first axis takes its scale."""
    given = kernel.coordinates or tuple(range(len(seen)))
    parameters = {p.name: p for p in kernel.word.entry.parameters}
    parts: dict[int, Kernel] = {}
    for home, axis in zip(homes, axes, strict=True):
        places = [place for place, position in enumerate(seen) if position in axis]
        arguments = {}
        for name, value in kernel.arguments.items():
            if parameters[name].per_coordinate and jnp.ndim(value) == 1:
                value = jnp.asarray(value)[jnp.array(places)]
            arguments[name] = 1.0 if name == "scale" and parts else value
        own = tuple(given[place] for place in places)
        parts[home] = replace(kernel, arguments=arguments, coordinates=own)
    return parts


def _seen(kernel: Kernel, widths: tuple[int, ...]) -> list[Position]:
    """The positions that a kernel looks at."""
    match kernel:
        case Sum() | Product():
            return list(dict.fromkeys(p for part in kernel.parts for p in _seen(part, widths)))
        case Scaled() | Power():
            return _seen(kernel.kernel, widths)
        case OverWaves():
            return _seen(kernel.kernel, widths)
        case Leaf():
            parts = range(len(widths)) if kernel.factor is None else (kernel.factor,)
            every = [(part, c) for part in parts for c in range(widths[part])]
            return every if kernel.coordinates is None else [every[c] for c in kernel.coordinates]
        case _:
            return [(part, c) for part, width in enumerate(widths) for c in range(width)]


def _width(factor: Any) -> int:
    shape = jnp.shape(factor)
    return 1 if len(shape) == 1 else shape[1]

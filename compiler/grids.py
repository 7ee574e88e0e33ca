"""Structure -> the axes of the grid that its inputs may form, or the reason why they form none.

The kernel says which parts of a point may be axes of their own; the data say how many distinct
entries these have (`mercer.gridded` counts, under the names of `count_name`), and so which of them
are best taken together: a position in space that is no grid itself, beside the times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from math import prod

from mercer.compiler import typed as ir
from mercer.compiler.affine import SiteUse
from mercer.compiler.curved import domain_factors, factor_seen
from mercer.compiler.potentials import is_field
from mercer.compiler.shapes import functions_on_shapes
from mercer.compiler.sizes import Sizes, count_of, functions_of, rows_of, size_of
from mercer.compiler.structure import Structure, moving_point
from mercer.compiler.walk import in_order, nodes
from mercer.dsl.spaces import Image, Shape, Space, Vector, coordinates_of, is_homogeneous
from mercer.stdlib import catalog

Position = tuple[int, int]
Axis = tuple[Position, ...]

LABEL: Position = (-1, 0)
OUTPUT: Position = (-2, 0)
"""As `mercer.runtime.engines.lattice` has them."""

KEPT, POINTS = "grid rows", "grid points"
"""Rows with a value, and distinct points: names beside those of dims, which have no space."""

_LARGEST = 6  # axes that are looked at in all their groupings


@dataclass(frozen=True)
class GridUse:
    """A grid: the axes, how many entries each has, how many cells have no value, and whether each
    value has a cell of its own."""

    axes: tuple[Axis, ...]
    counts: tuple[int, ...]
    missing: int
    is_once: bool

    @property
    def cells(self) -> int:
        return prod(self.counts)


def count_name(axis: Axis) -> str:
    """The name under which sizes hold how many distinct entries an axis has."""
    return "grid " + " ".join(f"{factor}.{coordinate}" for factor, coordinate in axis)


def is_count(name: str) -> bool:
    """Whether a name of `Sizes` is that of such a count, and no dim."""
    return name.startswith("grid ")


def grid_site(structure: Structure) -> SiteUse | str:
    """The only site of the only function of a block, or why it may not be on a grid."""
    functions = functions_of(structure)
    if functions_on_shapes(structure).keys() & structure.block or len(functions) != 1:
        return "it is for one random function of numbers or labels"
    (function,) = functions
    if structure.links or structure.is_nearest:
        return "an outcome is not Normal"
    uses = [u for u in structure.sites.values() if u.owner == function.name]
    if len(uses) != 1 or len(structure.locations) != 1:
        return f"`{function.name}` is asked for in several places"
    ((outcome, form),) = structure.locations.items()
    (use,) = uses
    assert use.apply is not None
    terms = [t for t in form.terms if t.site.key == use.key]
    dims = in_order(structure.model, structure.model.observations[outcome].type.dims)
    if not isinstance(use.apply.function, ir.FunctionRef):
        return f"`{use.key}` is no value of the function itself"
    if len(terms) != 1 or terms[0].sums or terms[0].access != use.dims or use.dims != dims:
        return f"a row of `{outcome}` does not read a value of its own"
    coefficient = terms[0].coefficient
    if coefficient is not None and coefficient.type.dims:
        return f"`{use.key}` has a coefficient that differs from row to row"
    law = structure.model.observations[outcome].law
    scale = law.arguments.get("scale") if isinstance(law, ir.Distribution) else None
    if scale is not None and scale.type.dims:
        return f"the noise of `{outcome}` differs from row to row"
    if moving_point(structure):
        return f"the points of `{use.key}` are unknown"
    return use


def finest_axes(structure: Structure, sizes: Sizes) -> tuple[Axis, ...] | str:
    """The parts of a point that the kernel lets be axes of their own, or why there is but one."""
    use = grid_site(structure)
    if isinstance(use, str):
        return use
    function = structure.model.functions[use.owner]
    factors = domain_factors(function.type.domain)
    if any(isinstance(f, Shape | Image) for f in factors) or function.kernel is None:
        return f"`{function.name}` is a function on a shape"
    if is_field(function):
        return f"the kernel of `{function.name}` ties the coordinates of its values to its points"
    widths = [_width(space, sizes) for space in factors]
    every = [(f, c) for f, width in enumerate(widths) for c in range(width)]
    calls = [k for k in nodes(function.kernel) if isinstance(k, ir.KernelCall)]
    arguments = [a for call in calls for a in call.arguments.values()]
    if any(set(a.type.dims) & set(function.type.dims) for a in arguments):
        return f"the kernel of `{function.name}` differs from label to label"
    groups: list[set[Position]] = [{position} for position in every]
    joined = [*_joined(function.kernel, function, widths)]
    seen = {p for part in joined for p in part}
    if unseen := set(every) - seen:  # no kernel looks there: any axis may hold it
        joined.append(unseen | set(every[:1]) | set(list(seen)[:1]))
    for part in joined:
        touched = [g for g in groups if g & part]
        groups = [g for g in groups if g not in touched] + [set().union(*touched)]
    axes = sorted(tuple(sorted(g)) for g in groups)
    axes += [(LABEL,)] if function.type.dims else []
    axes += [(OUTPUT,)] if coordinates_of(function.type.codomain) else []
    if len(axes) == 1:
        return f"the kernel of `{function.name}` is no product over parts of its input"
    return tuple(axes)


def groupings(axes: tuple[Axis, ...]) -> Iterator[tuple[Axis, ...]]:
    """All ways to take axes together; those of labels and outputs stay by themselves."""
    free = [a for a in axes if a[0][0] >= 0][:_LARGEST]
    alone = [a for a in axes if a not in free]
    for groups in _partitions(free):
        yield (*(tuple(sorted(p for a in group for p in a)) for group in groups), *alone)


def grid_of(structure: Structure, sizes: Sizes) -> GridUse | str:
    """The grid of the fewest operations that the inputs form, or why they form none."""
    axes = finest_axes(structure, sizes)
    if isinstance(axes, str):
        return axes
    use = grid_site(structure)
    assert isinstance(use, SiteUse)
    count = count_of(use.dims, sizes)
    found = []
    for grouped in groupings(axes):
        # Of data that were looked at, what has no count has too many cells.
        if KEPT in sizes and any(count_name(axis) not in sizes for axis in grouped):
            continue
        counts = tuple(_count(structure, use, axis, sizes) for axis in grouped)
        cells = prod(counts)
        kept = sizes.get(KEPT, rows_of(structure, sizes))
        points = sizes.get(POINTS, min(count, cells))
        found.append(GridUse(grouped, counts, cells - min(kept, points), points == count))
    if not found:
        return "the inputs of its rows form no grid"
    best = min(found, key=lambda grid: (operations(grid, 1), len(grid.axes)))
    if len([c for c in best.counts if c > 1]) < 2:
        return "the inputs of its rows form no grid"
    if not best.is_once:
        return "several rows have the same input"
    return best


def operations(grid: GridUse, weights: int) -> float:
    """Of one log density with its gradient, beside `weights` finite unknowns."""
    turned = grid.cells * sum(grid.counts)
    border = grid.missing + weights
    factored = sum(30.0 * count**3 for count in grid.counts)
    return factored + 12.0 * turned + border * (8.0 * turned + 2.0 * border * grid.cells)


def axis_words(structure: Structure, axis: Axis) -> str:
    """An axis as a reader knows it: `x[1]`, `lon and lat`."""
    use = grid_site(structure)
    assert isinstance(use, SiteUse) and use.apply is not None
    function = structure.model.functions[use.owner]
    factors = domain_factors(function.type.domain)
    words = []
    for factor, coordinate in axis:
        if (factor, coordinate) == LABEL:
            return ", ".join(function.type.dims)
        if (factor, coordinate) == OUTPUT:
            return "outputs"
        point = use.apply.point[factor]
        name = point.name if isinstance(point, ir.Ref) else f"input {factor + 1}"
        is_whole = isinstance(factors[factor], Vector)
        words.append(f"{name}[{coordinate + 1}]" if is_whole else name)
    return " and ".join(words)


# --- what a kernel holds together -----------------------------------------------------------------


def _joined(kernel: ir.Kernel, function: ir.Function, widths: list[int]) -> Iterator[set[Position]]:
    """Sets of positions that must be one axis."""
    match kernel:
        case ir.KernelScaled(_, _, inner) | ir.KernelPower(_, inner, _):
            yield from _joined(inner, function, widths)
        case ir.KernelProduct(_, parts):
            for part in parts:
                yield from _joined(part, function, widths)
        case ir.KernelCall() if _separates(kernel, function):
            yield from ({position} for position in _positions(kernel, widths))
        case _:
            calls = [k for k in nodes(kernel) if isinstance(k, ir.KernelCall)]
            yield {p for call in calls for p in _positions(call, widths)}


def _separates(kernel: ir.KernelCall, function: ir.Function) -> bool:
    curved = is_homogeneous(factor_seen(function, kernel))
    return catalog.kernels()[kernel.entry].separates and not kernel.inner and not curved


def _positions(kernel: ir.KernelCall, widths: list[int]) -> list[Position]:
    parts = range(len(widths)) if kernel.factor is None else (kernel.factor,)
    every = [(f, c) for f in parts for c in range(widths[f])]
    return every if kernel.coordinates is None else [every[c] for c in kernel.coordinates]


def _width(space: Space, sizes: Sizes) -> int:
    """How many numbers a point has in one factor of the domain."""
    inside = coordinates_of(space)
    return reduce(lambda a, d: a * size_of(d, sizes), inside, 1)


def _count(structure: Structure, use: SiteUse, axis: Axis, sizes: Sizes) -> int:
    """How many distinct entries an axis has; without data as many as its dims have places."""
    known = sizes.get(count_name(axis))
    if known is not None:
        return known
    function = structure.model.functions[use.owner]
    if axis == (LABEL,):
        return count_of(function.type.dims, sizes)
    if axis == (OUTPUT,):
        return count_of(coordinates_of(function.type.codomain), sizes)
    assert use.apply is not None
    points = [use.apply.point[factor] for factor in {f for f, _ in axis}]
    own = {d for p in points for d in p.type.dims if d not in p.type.coordinates} & set(use.dims)
    return count_of(own, sizes)


def _partitions(items: list[Axis]) -> Iterator[list[list[Axis]]]:
    if not items:
        yield []
        return
    first, *rest = items
    for groups in _partitions(rest):
        yield [[first], *groups]
        for k, group in enumerate(groups):
            yield [*groups[:k], [first, *group], *groups[k + 1 :]]

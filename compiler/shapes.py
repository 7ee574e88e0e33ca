"""Random functions on shapes into sums of waves: which they are, and the arguments they need.

`field : M -> Tangent(M) ~ GP(...)` is, at each point, the waves of M there times weights that are
independent a priori. The waves at the data and their frequencies are made by `prepare`; all else
sees a finite unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.compiler.affine import SiteUse
from mercer.compiler.structure import Structure, owner_of
from mercer.compiler.walk import in_order, names_below, nodes
from mercer.dsl.spaces import (
    Dim,
    Product,
    Real,
    Shape,
    Space,
    Tangent,
    Vector,
    coordinates_of,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog
from mercer.stdlib.spaces import LOWEST, MODES, WHOLE


@dataclass(frozen=True)
class WaveNames:
    """The names of the arguments of a program that hold the waves of a function: their
    `frequencies`, and the `roughness` of the shape."""

    frequencies: str
    roughness: str


def shape_of(function: ir.Function) -> Shape | None:
    """The shape that a function lives on; None where it lives on none."""
    domain = function.type.domain
    return domain if isinstance(domain, Shape) else None


def shape_factors(function: ir.Function) -> tuple[tuple[int, Shape], ...]:
    """The shapes among the factors of a product domain, with their positions: a kernel on such a
    product is made of kernels of points, and those of a shape see the waves there."""
    domain = function.type.domain
    if not isinstance(domain, Product):
        return ()
    return tuple((i, f) for i, f in enumerate(domain.factors) if isinstance(f, Shape))


def shapes_seen(function: ir.Function) -> tuple[tuple[int, Shape], ...]:
    """The shapes of a domain with their positions in the point: itself, or factors of it."""
    shape = shape_of(function)
    return shape_factors(function) if shape is None else ((0, shape),)


def is_tangent(function: ir.Function) -> bool:
    return isinstance(function.type.codomain, Tangent)


def waves_kind(function: ir.Function, position: int = 0) -> str:
    """Which waves of a shape stand behind a function: of numbers, of tangent vectors, or those of
    the walks on a graph."""
    if is_tangent(function):
        return "tangents"
    entries = catalog.kernels()
    calls = [k for k in nodes(function.kernel) if isinstance(k, ir.KernelCall)]
    seen = [k for k in calls if k.factor in (None, position)]
    return "walks" if any(entries[k.entry].is_of_walks for k in seen) else "numbers"


def copies_of(function: ir.Function) -> tuple[Dim, ...]:
    """The dims over which a function has weights of its own: its indices, and outputs that are
    independent."""
    codomain = function.type.codomain
    return (
        *function.type.dims,
        *(coordinates_of(codomain) if isinstance(codomain, Vector) else ()),
    )


def functions_on_shapes(structure: Structure) -> dict[str, ir.Function]:
    """Those that some expression applies, by name."""
    return {n: f for n, f in functions_seeing_shapes(structure).items() if shape_of(f) is not None}


def functions_seeing_shapes(structure: Structure) -> dict[str, ir.Function]:
    """Those, and functions on products with a shape."""
    owners = {use.owner for use in structure.sites.values()}
    functions = structure.model.functions
    return {n: f for n, f in functions.items() if n in owners and shapes_seen(f)}


def wave_names(function: ir.Function, position: int = 0) -> WaveNames:
    """The same for all functions of one kind on one shape."""
    shape = dict(shapes_seen(function))[position]
    word = {"tangents": "tangent ", "walks": "walk ", "numbers": ""}[waves_kind(function, position)]
    return WaveNames(f"{word}{shape} frequencies", f"{word}{shape} roughness")


def feature_name(structure: Structure, use: SiteUse, position: int = 0) -> str:
    """The argument that holds the waves at the points of a site: one for all that are alike."""
    functions = structure.model.functions
    own = functions[use.owner]
    for other in structure.sites.values():
        function = functions.get(other.owner)
        if function is None or other.apply is None or use.apply is None:
            continue
        for place, _ in shapes_seen(function):
            is_alike = wave_names(function, place) == wave_names(own, position)
            if is_alike and other.apply.point[place] == use.apply.point[position]:
                return f"{other.key} waves" if place == 0 else f"{other.key} waves {place + 1}"
    raise AssertionError(use.key)


def weights_name(function: ir.Function) -> str:
    """The site that holds the weights of a function that is sampled."""
    return f"weights({function.name})"


def point_dims(
    model: ir.TypedModel, use: SiteUse, function: ir.Function, position: int = 0
) -> tuple[Dim, ...]:
    """The dims over which the points of a site run."""
    assert use.apply is not None
    inside = coordinates_of(dict(shapes_seen(function))[position])
    point = use.apply.point[position]
    return in_order(model, (d for d in point.type.dims if d not in inside))


def base_dims(
    model: ir.TypedModel, use: SiteUse, function: ir.Function, position: int = 0
) -> tuple[Dim, ...]:
    """The dims of the waves at the points of a site: those of the site that they depend on."""
    vector = coordinates_of(function.type.codomain) if is_tangent(function) else ()
    return (*point_dims(model, use, function, position), *vector)


def modes_of(model: ir.TypedModel, shape: Shape, sizes: Mapping[str, int]) -> int:
    """How many waves a shape has, at most."""
    asked = model.shapes[shape.name].settings.get("modes")
    if isinstance(asked, ir.Constant):
        return int(asked.value)
    if shape.index is not None:
        nodes = sizes.get(shape.index, MODES)
        return nodes if nodes <= WHOLE else LOWEST
    return MODES


def waves_sentences(structure: Structure, sizes: Mapping[str, int] | None) -> Iterator[str]:
    """What `explain` says of the rank of functions on shapes, and of what that leaves out."""
    model = structure.model
    seeing = functions_seeing_shapes(structure).items()
    for name, shape in [(n, shape) for n, f in seeing for _, shape in shapes_seen(f)]:
        if shape.kind == "Graph":
            yield (
                f"{name} is the sum of all the waves of {shape}, as it has up to {WHOLE:,} nodes; "
                f"of more, of the lowest {LOWEST}."
            )
            continue
        count = modes_of(model, shape, sizes or {})
        yield (
            f"{name} sums the lowest {count} waves of {shape} with independent weights; what "
            "varies over shorter distances is left out, and these have all its variance."
        )


def why_unfit(model: ir.TypedModel, function: ir.Function) -> Iterator[tuple[str, Span, str]]:
    """What about a function on a shape has no engine yet: a code, the place, and what it is."""
    assert function.kernel is not None
    for position, seen in shapes_seen(function):
        yield from _mixed_waves(function, position, seen)
    shape = shape_of(function)
    if shape is None:
        yield from _why_unfit_product(function)
        return
    codomain = function.type.codomain
    fits = isinstance(codomain, Real | Vector) or codomain == Tangent(shape)
    if not fits or (isinstance(codomain, Vector) and codomain.size == "inf"):
        yield "M302", function.span, f"a GP from `{shape}` to `{codomain}`"
    if function.outputs is not None:
        yield "M302", function.span, f"a GP from `{shape}` with correlated outputs"
    yield from _kernels(function.kernel, shape)


def _why_unfit_product(function: ir.Function) -> Iterator[tuple[str, Span, str]]:
    """The same of a function on a product with a shape."""
    codomain, shapes = function.type.codomain, [shape for _, shape in shape_factors(function)]
    fits = not isinstance(codomain, Tangent) or (
        shapes == [codomain.shape] and function.outputs is None
    )
    if not fits:
        yield "M302", function.span, f"a GP from `{function.type.domain}` to `{codomain}`"
    entries = catalog.kernels()
    for kernel in nodes(function.kernel):
        if isinstance(kernel, ir.KernelCall) and kernel.factor in dict(shape_factors(function)):
            if not entries[kernel.entry].on_shapes:
                shape = dict(shape_factors(function))[kernel.factor or 0]
                yield "M303", kernel.span, f"the kernel `{kernel.entry}` on `{shape}`"


def _mixed_waves(
    function: ir.Function, position: int, shape: Shape
) -> Iterator[tuple[str, Span, str]]:
    entries = catalog.kernels()
    calls = [k for k in nodes(function.kernel) if isinstance(k, ir.KernelCall)]
    calls = [k for k in calls if k.factor in (None, position) and entries[k.entry].on_shapes]
    of_walks = [k for k in calls if entries[k.entry].is_of_walks]
    others = [k for k in calls if not entries[k.entry].is_of_walks]
    if of_walks and others:
        what = f"`{others[0].entry}` beside `{of_walks[0].entry}` in one function on `{shape}`"
        yield "M303", of_walks[0].span, what


def _kernels(kernel: ir.Kernel, shape: Space) -> Iterator[tuple[str, Span, str]]:
    match kernel:
        case ir.KernelSum(_, parts):
            for part in parts:
                yield from _kernels(part, shape)
        case ir.KernelScaled(_, _, inner):
            yield from _kernels(inner, shape)
        case ir.KernelCall(span, entry):
            if not catalog.kernels()[entry].on_shapes:
                yield "M303", span, f"the kernel `{entry}` on `{shape}`"
        case _:
            yield "M303", kernel.span, f"a product of kernels on `{shape}`"


def wrong_points(model: ir.TypedModel, apply: ir.Apply) -> str | None:
    """Why a function on a shape cannot be asked for where it is applied; None where it can."""
    if not isinstance(apply.function, ir.FunctionRef):
        return f"a derivative or integral of `{owner_of(apply)}`, a function on a shape,"
    random = {*model.unknowns, *model.functions}
    if names_below(model, apply.point) & random:
        return f"`{owner_of(apply)}` at points of a shape that are unknown"
    return None

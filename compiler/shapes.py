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
from mercer.compiler.walk import in_order, names_below
from mercer.dsl.spaces import Dim, Real, Shape, Space, Tangent, Vector, coordinates_of
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


def is_tangent(function: ir.Function) -> bool:
    return isinstance(function.type.codomain, Tangent)


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
    owners = {use.owner for use in structure.sites.values()}
    functions = structure.model.functions
    return {n: f for n, f in functions.items() if n in owners and shape_of(f) is not None}


def wave_names(function: ir.Function) -> WaveNames:
    """The same for all functions of one kind on one shape."""
    shape = shape_of(function)
    kind = f"tangent {shape}" if is_tangent(function) else str(shape)
    return WaveNames(f"{kind} frequencies", f"{kind} roughness")


def feature_name(structure: Structure, use: SiteUse) -> str:
    """The argument that holds the waves at the points of a site: one for all that are alike."""
    functions = structure.model.functions
    own = functions[use.owner]
    for other in structure.sites.values():
        function = functions.get(other.owner)
        if function is None or other.apply is None or use.apply is None:
            continue
        is_alike = wave_names(function) == wave_names(own) if shape_of(function) else False
        if is_alike and other.apply.point == use.apply.point:
            return f"{other.key} waves"
    raise AssertionError(use.key)


def weights_name(function: ir.Function) -> str:
    """The site that holds the weights of a function that is sampled."""
    return f"weights({function.name})"


def point_dims(model: ir.TypedModel, use: SiteUse, function: ir.Function) -> tuple[Dim, ...]:
    """The dims over which the points of a site run."""
    assert use.apply is not None
    inside = coordinates_of(function.type.domain)
    (point,) = use.apply.point
    return in_order(model, (d for d in point.type.dims if d not in inside))


def base_dims(model: ir.TypedModel, use: SiteUse, function: ir.Function) -> tuple[Dim, ...]:
    """The dims of the waves at the points of a site: those of the site that they depend on."""
    vector = coordinates_of(function.type.codomain) if is_tangent(function) else ()
    return (*point_dims(model, use, function), *vector)


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
    for name, function in functions_on_shapes(structure).items():
        shape = shape_of(function)
        assert shape is not None
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
    shape = shape_of(function)
    assert shape is not None
    if shape.kind not in ("Manifold", "Graph"):
        yield "M308", model.shapes[shape.name].span, f"`{shape.kind}`"
    codomain = function.type.codomain
    fits = isinstance(codomain, Real | Vector) or codomain == Tangent(shape)
    if not fits or (isinstance(codomain, Vector) and codomain.size == "inf"):
        yield "M302", function.span, f"a GP from `{shape}` to `{codomain}`"
    if function.outputs is not None:
        yield "M302", function.span, f"a GP from `{shape}` with correlated outputs"
    assert function.kernel is not None
    yield from _kernels(function.kernel, shape)


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

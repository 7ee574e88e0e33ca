"""Outcomes that are tangent vectors: at which points of their shape, and why one cannot be fitted.

`data arrow[n] : Tangent(M)` says what the arrows are, not where. That is where the field in its law
is asked for: there are the frames in which they are taken.
"""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.shapes import shapes_seen
from mercer.compiler.structure import owner_of
from mercer.compiler.walk import names_below, nodes
from mercer.dsl.spaces import Dim, Shape, Tangent, coordinates_of
from mercer.dsl.span import Span
from mercer.stdlib import catalog


def tangential(model: ir.TypedModel) -> dict[str, Shape]:
    """The outcomes that are tangent vectors, and the shape to which."""
    return {
        name: data.space.shape
        for name, data in model.data.items()
        if name in model.observations and isinstance(data.space, Tangent)
    }


def frames_name(outcome: str) -> str:
    """The argument of a program that holds the frames of an outcome."""
    return f"{outcome} frames"


def place_of(model: ir.TypedModel, outcome: str) -> ir.Expr | None:
    """The points at which the arrows of an outcome are; None where its law says none, or two."""
    shape = tangential(model)[outcome]
    found: dict[ir.Expr, None] = {}
    below = names_below(model, model.observations[outcome].law)
    laws: list[object] = [model.observations[outcome].law]
    laws += [model.definitions[n].value for n in below if n in model.definitions]
    for apply in (n for law in laws for n in nodes(law) if isinstance(n, ir.Apply)):
        function = model.functions.get(owner_of(apply))
        if function is None or function.type.codomain != Tangent(shape):
            continue
        for position, seen in shapes_seen(function):
            if seen == shape:
                found[apply.point[position]] = None
    return next(iter(found)) if len(found) == 1 else None


def rows_of_arrows(model: ir.TypedModel, outcome: str) -> tuple[Dim, ...]:
    """The dims of an outcome but for the coordinates of its vectors."""
    kind = model.observations[outcome].type
    return tuple(d for d in kind.dims if d not in kind.coordinates)


def why_unfit_arrows(model: ir.TypedModel) -> Iterator[tuple[Span, str, str]]:
    """What about outcomes that are tangent vectors has no engine: the place, what, and a mend."""
    for name, shape in tangential(model).items():
        observation = model.observations[name]
        law, span = observation.law, observation.span
        around = f"declare `{name}` as vectors of the space around `{shape}`, such as `Real^3`"
        if not isinstance(law, ir.Distribution) or not _is_shifted(law):
            word = f"`{law.entry}`" if isinstance(law, ir.Distribution) else "a changed law"
            yield span, f"an outcome in `Tangent({shape})` under {word}", around
            continue
        place = place_of(model, name)
        if place is None or set(place.type.dims) - set(coordinates_of(shape)) - set(
            rows_of_arrows(model, name)
        ):
            what = f"an outcome in `Tangent({shape})` whose law does not say at which one point of "
            mend = f"let its location hold a field to `Tangent({shape})` at the points of its rows"
            yield span, f"{what}`{shape}` each row is", mend
            continue
        for word, value in law.arguments.items():
            if word != "loc" and set(value.type.dims) & set(observation.type.coordinates):
                what = f"a `{word}` of its own for each coordinate of an outcome in "
                yield value.span, f"{what}`Tangent({shape})`", around


def _is_shifted(law: ir.Distribution) -> bool:
    """Whether a law is one of numbers, shifted by its location and stretched by its scale."""
    entry = catalog.distributions()[law.entry]
    return entry.family == "location-scale" and "loc" in law.arguments and not entry.event

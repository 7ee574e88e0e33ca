"""Distributions as text: priors on their spaces, and the laws of outcomes."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.code import Body, Dims
from mercer.dsl.spaces import Constrained, Interval, Space, Unit, ValueType, Vector, coordinates_of
from mercer.stdlib import catalog


def prior_text(body: Body, unknown: ir.Unknown) -> str:
    """The prior of an unknown, on its space and over its dims."""
    dims = body.order(unknown.type.dims)
    law = unknown.prior
    if not isinstance(law, ir.Distribution):
        text = law_text(body, law, dims, unknown.type)
        return f"{text}.expand({body.shape(dims)})" if dims else text
    entry = catalog.distributions()[law.entry]
    space = unknown.space.base if isinstance(unknown.space, Vector) else unknown.space
    low, high = _bounds(body, unknown, space)
    words = [repr(_kind(space))]
    if low:
        words += [f"low={low}", f"high={high}"]
    if entry.name == "Flat":
        return f"flat_prior({', '.join(words)}, shape={body.shape(dims)})"
    event = coordinates_of(unknown.space) if isinstance(unknown.space, Constrained) else ()
    if entry.event and not event:
        event = unknown.type.coordinates
    if entry.event:
        return _vector(body, law, dims, event)
    text = law_text(body, law, dims, unknown.type)
    if _kind(space) != "Real" and _kind(space) != entry.support:
        if event:
            words.append(f"shape={body.shape(dims)}")
            return f"conditioned({text}, {', '.join(words)})"
        text = f"conditioned({text}, {', '.join(words)})"
    return f"{text}.expand({body.shape(dims)})" if dims else text


def law_text(body: Body, law: ir.Law, dims: Dims, kind: ValueType) -> str:
    """A distribution whose parameters vary over `dims`."""
    if not isinstance(law, ir.Distribution):
        return _wrapped(body, law, dims, kind)
    entry = catalog.distributions()[law.entry]
    if entry.event:
        return _vector(body, law, dims, kind.coordinates)
    words = []
    complete = True
    for parameter in entry.parameters:
        value = law.arguments.get(parameter.name)
        if value is None:
            complete = False
            continue
        code = body.value(value)
        inner = tuple(d for d in code.dims if d not in dims)
        text = body.arranged(code, (*dims, *inner), full=bool(inner)).text
        words.append(text if complete else f"{parameter.name}={text}")
    return f"dist.{law.entry}({', '.join(words)})"


def _wrapped(body: Body, law: ir.Law, dims: Dims, kind: ValueType) -> str:
    """A law that is truncated, censored, weighted or pushed through a function."""

    def text(value: ir.Expr) -> str:
        return body.arranged(body.value(value), dims).text

    def given(**values: ir.Expr | None) -> str:
        return "".join(f", {k}={text(v)}" for k, v in values.items() if v is not None)

    match law:
        case ir.Truncated(_, base, low, high):
            return f"truncated({law_text(body, base, dims, kind)}{given(low=low, high=high)})"
        case ir.Censored(_, base, below, above):
            inner = law_text(body, base, dims, kind)
            return f"censored({inner}{given(below=below, above=above)})"
        case ir.Weighted(_, base, weight):
            return f"weighted({law_text(body, base, dims, kind)}, {text(weight)})"
        case ir.Pushed(_, base, variable, image):
            inner = law_text(body, base, dims, kind)
            body.formals[variable] = "draw"
            forward = text(image)
            return f"pushed({inner}, lambda draw: {forward}, space={_kind(kind.space)!r})"
        case _:
            raise AssertionError(f"no text for {type(law).__name__}")


def _vector(body: Body, law: ir.Distribution, dims: Dims, event: Dims) -> str:
    """A law whose draws are vectors or matrices: its own coordinates come last."""
    rows = tuple(d for d in dims if d not in event)
    words = [repr(law.entry)]
    for name, value in law.arguments.items():
        code = body.value(value)
        inner = tuple(d for d in code.dims if d not in rows)
        words.append(f"{name}={body.arranged(code, (*rows, *inner), full=bool(code.dims)).text}")
    words.append(f"shape={body.shape(rows)}, size={body.size(event[0])}")
    return f"vector_law({', '.join(words)})"


def _kind(space: Space) -> str:
    return space.kind if isinstance(space, Constrained) else type(space).__name__


def _bounds(body: Body, unknown: ir.Unknown, space: Space) -> tuple[str, str]:
    if isinstance(space, Unit):
        return "", ""
    if isinstance(space, Interval):
        low, high = unknown.low, unknown.high
        assert low is not None and high is not None
        return body.value(low).text, body.value(high).text
    return "", ""

"""Distributions as text: priors on their spaces, and the laws of outcomes."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.code import Body, Code, Dims
from mercer.compiler.links import HOLE
from mercer.compiler.sampling import How
from mercer.dsl.spaces import (
    Constrained,
    Interval,
    Real,
    Space,
    Unit,
    ValueType,
    Vector,
    coordinates_of,
)
from mercer.stdlib import catalog
from mercer.stdlib.entry import Parameter


def drawn_text(body: Body, unknown: ir.Unknown, how: How) -> str:
    """The statement that draws an unknown."""
    name = repr(unknown.name)
    if how == "non-centred":
        return f"sample_non_centred({name}, {prior_text(body, unknown)})"
    if how == "between":
        dims = body.order(unknown.type.dims)
        low, high = _bounds(body, unknown, unknown.space)
        law = (
            "None" if _is_flat(unknown.prior) else law_text(body, unknown.prior, dims, unknown.type)
        )
        return f"sample_between({name}, {law}, {low}, {high}, shape={body.shape(dims)})"
    return f"numpyro.sample({name}, {prior_text(body, unknown)})"


def prior_text(body: Body, unknown: ir.Unknown) -> str:
    """The prior of an unknown, on its space and over its dims."""
    dims = body.order(unknown.type.dims)
    law = unknown.prior
    if not isinstance(law, ir.Distribution):
        text = law_text(body, law, dims, unknown.type)
        return f"{text}.expand({body.shape(dims)})" if dims else text
    entry = catalog.distributions()[law.entry]
    space = unknown.space.base if isinstance(unknown.space, Vector) else unknown.space
    if isinstance(space, Interval) and unknown.low is None:
        space = Real()  # nobody wrote an interval: it is where the law lies anyway
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


def given_text(body: Body, law: ir.Law, dims: Dims, kind: ValueType) -> str:
    """The law of an outcome as a function of its predictor."""
    word = "predictor"
    while word in body.identifiers.values():
        word += "_"
    body.formals[HOLE] = word
    return f"lambda {word}: {law_text(body, law, dims, kind)}"


def law_text(
    body: Body, law: ir.Law, dims: Dims, kind: ValueType, *, is_whole: bool = False
) -> str:
    """A distribution whose parameters vary over `dims`; `is_whole`: over all of them."""
    if not isinstance(law, ir.Distribution):
        return _wrapped(body, law, dims, kind, is_whole)
    entry = catalog.distributions()[law.entry]
    if entry.event:
        return _vector(body, law, dims, kind.coordinates)
    words = []
    complete = True
    varies = {d for value in law.arguments.values() for d in value.type.dims}
    is_whole = is_whole and not set(dims) <= varies
    for parameter in entry.parameters:
        value = law.arguments.get(parameter.name)
        if value is None:
            complete = False
            continue
        code = _whole_numbers(body.value(value), parameter, value)
        inner = tuple(d for d in code.dims if d not in dims)
        text = body.arranged(code, (*dims, *inner), full=bool(inner)).text
        if is_whole:  # one parameter with all the rows is enough
            text, is_whole = f"jnp.broadcast_to({text}, {body.shape((*dims, *inner))})", False
        words.append(text if complete else f"{parameter.name}={text}")
    return f"dist.{law.entry}({', '.join(words)})"


def _wrapped(body: Body, law: ir.Law, dims: Dims, kind: ValueType, is_whole: bool) -> str:
    """A law that is truncated, censored, weighted or pushed through a function."""

    def text(value: ir.Expr) -> str:
        return body.arranged(body.value(value), dims).text

    def inside(base: ir.Law) -> str:
        return law_text(body, base, dims, kind, is_whole=is_whole)

    def given(**values: ir.Expr | None) -> str:
        return "".join(f", {k}={text(v)}" for k, v in values.items() if v is not None)

    match law:
        case ir.Truncated(_, base, low, high):
            return f"truncated({inside(base)}{given(low=low, high=high)})"
        case ir.Censored(_, base, below, above):
            return f"censored({inside(base)}{given(below=below, above=above)})"
        case ir.Weighted(_, base, weight):
            return f"weighted({inside(base)}, {text(weight)})"
        case ir.Pushed(_, base, variable, image):
            inner = inside(base)
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


def _whole_numbers(code: Code, parameter: Parameter, value: ir.Expr) -> Code:
    """NumPyro draws only with whole numbers of trials."""
    if parameter.space != "Count":
        return code
    if isinstance(value, ir.Constant):
        return Code(str(int(value.value)), ())
    return Code(f"jnp.asarray({code.text}, int)", code.dims)


def _kind(space: Space) -> str:
    return space.kind if isinstance(space, Constrained) else type(space).__name__


def _bounds(body: Body, unknown: ir.Unknown, space: Space) -> tuple[str, str]:
    if isinstance(space, Unit):
        return "", ""
    if isinstance(space, Interval):
        low, high = unknown.low, unknown.high
        assert low is not None and high is not None
        dims = body.order(unknown.type.dims)
        below, above = (body.arranged(body.value(e), dims).text for e in (low, high))
        return below, above
    return "", ""


def _is_flat(law: ir.Law) -> bool:
    return isinstance(law, ir.Distribution) and law.entry == "Flat"

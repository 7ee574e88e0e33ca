"""A law that is log-concave in one predictor, taken apart into the predictor and the rest.

`Poisson(exposure * exp(b + f(x)))` is `b + f(x)` and the law `Poisson(exposure * exp(HOLE))` of a
row given it. Which argument is log-concave, under which link, the table of distributions says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mercer.compiler import typed as ir
from mercer.compiler.overrides import Overrides
from mercer.compiler.walk import imputed, names_below
from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.spaces import Real, Tangent, ValueType
from mercer.stdlib import catalog

HOLE = "the predictor"
"""The name that stands for the predictor in the law; no name of a model has a space."""

Fill = Callable[[ir.Expr], ir.Expr]


@dataclass(frozen=True)
class Link:
    """`law` is the outcome's, with `HOLE` for the value of `predictor`."""

    predictor: ir.Expr
    law: ir.Law


def links_of(
    model: ir.TypedModel, block: frozenset[str], approximated: frozenset[str]
) -> dict[str, Link]:
    """How the block enters each outcome that only is log-concave in it."""
    found = {}
    for name, observation in model.observations.items():
        law, columns = observation.law, imputed(model)
        is_normal = isinstance(law, ir.Distribution) and law.entry == "Normal"
        is_vector = name in model.data and isinstance(model.data[name].space, Tangent)
        if is_vector:  # a row of its frames is no number of the predictor
            continue
        if is_normal or name in columns or not names_below(model, law) & block & approximated:
            continue
        if link := _link(model, law, observation.type, block):
            found[name] = link
    return found


def asked_in_vain(
    model: ir.TypedModel, asked: Overrides, block: frozenset[str], links: Mapping[str, Link]
) -> list[Diagnostic]:
    """What is asked for that would approximate nothing, or that no law allows."""
    problems = []
    for name, directive in asked.approximated.items():
        under = [n for n, link in links.items() if name in names_below(model, link.predictor)]
        if name in block and under:
            continue
        why = "it enters no outcome by a predictor in which its law is smooth and log-concave."
        mend = "leave the line out: it is then sampled."
        if name in block:
            why, mend = "it is integrated out exactly.", "leave the line out."
        problem = f"`{name}` cannot be integrated out by {directive.method}"
        problems.append(Diagnostic("M321", problem, directive.span, why=why, mend=mend))
    return problems


def _link(model: ir.TypedModel, law: ir.Law, kind: ValueType, block: frozenset[str]) -> Link | None:
    """How members of `block` enter a law; None: by more than one predictor, or not log-concave."""
    match law:
        case ir.Weighted(_, base, weight) if not names_below(model, weight) & block:
            inner = _link(model, base, kind, block)
            return inner and Link(inner.predictor, replace(law, base=inner.law))
        case ir.Censored(_, base, below, above) if not names_below(model, (below, above)) & block:
            inner = _link(model, base, kind, block)
            return inner and Link(inner.predictor, replace(law, base=inner.law))
        case ir.Distribution(_, entry, arguments):
            inside = [k for k, v in arguments.items() if names_below(model, v) & block]
            concave = catalog.distributions()[entry].concave
            if len(inside) != 1 or inside[0] not in concave:
                return None
            found = _peeled(model, arguments[inside[0]], concave[inside[0]], block)
            if found is None:
                return None
            predictor, fill = found
            hole = ir.Ref(ValueType(Real(), kind.dims, kind.coordinates), law.span, HOLE)
            filled = {k: fill(hole) if k == inside[0] else v for k, v in arguments.items()}
            return Link(predictor, replace(law, arguments=filled))
        case _:
            return None


def _peeled(
    model: ir.TypedModel, expr: ir.Expr, link: str, block: frozenset[str]
) -> tuple[ir.Expr, Fill] | None:
    """What is inside the link, and how to put something else there."""
    if link == "identity":
        return expr, lambda inside: inside
    match expr:
        case ir.Ref(_, _, name) if name in model.definitions:
            return _peeled(model, model.definitions[name].value, link, block)
        case ir.Elementwise(_, _, word, (inner,)) if word == link:
            return inner, lambda inside: replace(expr, type=inside.type, arguments=(inside,))
        case ir.Elementwise(_, _, "multiply" | "divide" as word, (left, right)) if link == "exp":
            # A factor of the rate is a shift of the predictor.
            both = [bool(names_below(model, side) & block) for side in (left, right)]
            if all(both) or (word == "divide" and both[1]):
                return None
            found = _peeled(model, right if both[1] else left, link, block)
            if found is None:
                return None
            predictor, fill = found

            def around(inside: ir.Expr) -> ir.Expr:
                parts = (left, fill(inside)) if both[1] else (fill(inside), right)
                return replace(expr, type=inside.type, arguments=parts)

            return predictor, around
        case _:
            return None

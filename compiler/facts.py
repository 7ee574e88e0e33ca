"""A structure into what an emitted module says of its own names, beside its functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple

from mercer.compiler import typed as ir
from mercer.compiler.affine import Affine
from mercer.compiler.code import label_name
from mercer.compiler.curved import domain_factors
from mercer.compiler.shapes import copies_of, shape_of
from mercer.compiler.structure import Structure
from mercer.compiler.walk import (
    children,
    imputed,
    in_order,
    is_summary,
    names_below,
    nodes,
    responses,
)
from mercer.dsl.spaces import Dim, Label


def dims(structure: Structure) -> dict[str, tuple[Dim, ...]]:
    """The dims of each value, in the order of its axes."""
    model = structure.model
    found: dict[str, tuple[Dim, ...]] = {}
    for group in (model.data, model.unknowns, model.definitions, model.observations):
        for name, declared in group.items():
            found[name] = in_order(model, declared.type.dims)
    for key, use in structure.sites.items():
        found.setdefault(key, use.dims)
    return found


def summaries(model: ir.TypedModel) -> dict[ir.Expr, str]:
    """Reductions over data, which are taken once, each with a name: `mean of x`."""
    found: dict[ir.Expr, str] = {}
    places: list[object] = [u.prior for u in model.unknowns.values()]
    places += [d.value for d in model.definitions.values()]
    places += [o.law for o in model.observations.values()]
    places += list(model.functions.values())
    for place in places:
        for node in nodes(place):
            if isinstance(node, ir.Expr) and is_summary(model, node) and node not in found:
                word = node.function if isinstance(node, ir.Reduce) else "spread"
                inner = node.argument if isinstance(node, ir.Reduce | ir.Spread) else node
                of = inner.name if isinstance(inner, ir.Ref) else str(len(found) + 1)
                name = f"{word} of {of}"
                while name in found.values():
                    name += "_"
                found[node] = name
    return found


def copies(model: ir.TypedModel) -> dict[str, tuple[tuple[Dim, ...], tuple[str | None, ...]]]:
    """Of each function that labels tell apart: the dims of its copies, and for each factor of its
    domain the index of the labels that it takes, if it takes labels."""
    found: dict[str, tuple[tuple[Dim, ...], tuple[str | None, ...]]] = {}
    for name, function in model.functions.items():
        factors = domain_factors(function.type.domain)
        indices = tuple(f.index if isinstance(f, Label) else None for f in factors)
        if shape_of(function) is not None and copies_of(function):
            found[name] = (copies_of(function), ())
        elif function.type.dims or any(indices):
            found[name] = (function.type.dims, indices)
    return found


def labels(model: ir.TypedModel) -> dict[str, tuple[object, ...]]:
    """Labels written in the model whose index the data fix: the index, the label, its span."""
    groups = (model.unknowns, model.functions, model.definitions, model.observations)
    found: dict[str, tuple[object, ...]] = {}
    for node in (n for g in groups for declared in g.values() for n in nodes(declared)):
        if isinstance(node, ir.LabelConstant) and model.indices[node.index].labels is None:
            name = label_name(node.index, node.label)
            found.setdefault(name, (node.index, node.label, astuple(node.span)))
    return found


def taken(structure: Structure, summaries: Iterable[ir.Expr]) -> tuple[str, ...]:
    """The outcomes that the model itself reduces (`mean(y)`), so that nothing goes without them."""
    model = structure.model
    reduced = [node for node in summaries if not isinstance(node, ir.Spread)]
    below = names_below(model, reduced) & responses(model)
    return tuple(name for name in model.data if name in below)


def inputs(structure: Structure) -> dict[str, tuple[str, ...]]:
    """The data that each quantity, and the location of each outcome, is made of at new rows; what
    is kept from the fit apart."""
    model = structure.model
    found: dict[str, tuple[str, ...]] = {}
    made_of = {key: _parts(model, form) for key, form in structure.quantities.items()}
    for name, observation in model.observations.items():
        law = observation.law
        while isinstance(law, ir.Censored | ir.Weighted):
            law = law.base  # which records are censored, or count twice, moves no true value
        if name in structure.locations:
            made_of[name] = _parts(model, structure.locations[name])
        elif isinstance(law, ir.Distribution):
            is_located = "loc" in law.arguments  # a Weibull has nothing but its scale
            arguments = law.arguments.items()
            made_of[name] = [v for k, v in arguments if not (is_located and k == "scale")]
        else:
            made_of[name] = [law]
    for key, parts in made_of.items():
        below = _below(model, parts) - (responses(model) - set(imputed(model)))
        found[key] = tuple(n for n in model.data if n in below)
    return found


def _parts(model: ir.TypedModel, form: Affine) -> list[object]:
    parts: list[object] = [form.constant]
    for term in form.terms:
        parts += [*term.access, term.coefficient, term.site.apply]
        parts += [model.unknowns.get(term.site.owner)]
    return parts


def _below(model: ir.TypedModel, parts: list[object]) -> set[str]:
    """The names that `parts` lead to, through definitions, priors and kernels."""
    seen: set[str] = set()
    waiting = list(parts)
    while waiting:
        node = waiting.pop()
        if is_summary(model, node):
            continue
        waiting += children(node)
        if isinstance(node, ir.Ref | ir.FunctionRef) and node.name not in seen:
            seen.add(node.name)
            groups = (model.definitions, model.unknowns, model.functions)
            waiting += [group[node.name] for group in groups if node.name in group]
    return seen

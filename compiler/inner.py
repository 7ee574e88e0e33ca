"""Typed model -> its layers: the random functions that others are functions of, innermost first.

In `f(h(x))` the application `h(x)` is a layer: a program draws its values at the rows, by whatever
law the plan gives it, before it says where `f` is asked for. A layer to `Real^inf` hands on a Gram
matrix instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import networkx

from mercer.compiler import typed as ir
from mercer.compiler.walk import in_order, names_below, nodes
from mercer.dsl.spaces import INFINITE, Dim, Label, Shape, Space, Vector, coordinates_of
from mercer.dsl.span import Span


@dataclass(frozen=True)
class Layer:
    """One application of a random function inside another. `base`: the dims of its points;
    `outputs`: the dim of the coordinates of a value, None for numbers and for Gram matrices."""

    key: str
    apply: ir.Apply
    base: tuple[Dim, ...]
    outputs: Dim | None

    @property
    def owner(self) -> str:
        """The function."""
        return owner_of(self.apply)


def owner_of(apply: ir.Apply) -> str:
    """The unknown function that an application is of, operators looked through."""
    function = apply.function
    while isinstance(function, ir.Derivative | ir.Laplacian | ir.Integral):
        function = function.of
    return function.name if isinstance(function, ir.FunctionRef) else ""


def applies_of(model: ir.TypedModel) -> dict[str, ir.Apply]:
    """Every application of an unknown function in the model, by its text, in order."""
    found: dict[str, ir.Apply] = {}
    places: list[object] = [d.value for d in model.definitions.values()]
    places += [o.law for o in model.observations.values()]
    places += [u.prior for u in model.unknowns.values()]
    for place in places:
        for apply in _applications_in(model, place):
            found.setdefault(apply.text, apply)
    return found


def layers_of(model: ir.TypedModel) -> tuple[Layer, ...]:
    """The layers, each after those that it is applied to."""
    applies = applies_of(model)
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(applies)
    for text, apply in applies.items():
        graph.add_edges_from((inner.text, text) for inner in _inside(model, apply))
    inner = {owner_of(applies[text]) for text in graph if graph.out_degree(text)}
    place = {text: number for number, text in enumerate(applies)}
    order = networkx.lexicographical_topological_sort(graph, key=place.__getitem__)
    return tuple(_layer(model, applies[t]) for t in order if owner_of(applies[t]) in inner)


def is_infinite(space: Space) -> bool:
    """Whether a space is `Real^inf`."""
    return isinstance(space, Vector) and space.size == INFINITE


def unfit_layers(model: ir.TypedModel) -> Iterator[tuple[Span, str]]:
    """What about the compositions of a model has no engine yet: the place, and what it is."""
    layers = layers_of(model)
    owners = {layer.owner for layer in layers}
    for layer in layers:
        function, span = model.functions[layer.owner], layer.apply.span
        if not isinstance(layer.apply.function, ir.FunctionRef):
            yield span, f"a derivative or integral of `{layer.owner}` inside another function"
        if function.type.dims:
            yield span, f"`{layer.owner}`, which has a copy for each label, inside another function"
        if isinstance(function.type.domain, Shape):
            yield span, f"`{layer.owner}`, a function on a shape, inside another function"
        if names_below(model, function.mean) & set(model.functions):
            yield span, f"`{layer.owner}`, whose mean is a random function, inside another function"
        if any(isinstance(f, Label) for f in getattr(function.type.domain, "factors", ())):
            yield span, f"`{layer.owner}`, a function of labels, inside another function"
    yield from _unfit_grams(model, layers)
    for unknown in model.unknowns.values():
        if names_below(model, unknown.prior) & owners:
            what = (
                f"a composition (`{sorted(owners)[0]}` inside another) in the prior of an unknown"
            )
            yield unknown.span, what
    for text, apply in applies_of(model).items():
        mean = model.functions[owner_of(apply)].mean
        if _inside(model, apply) and names_below(model, mean) & set(model.functions):
            yield apply.span, f"`{text}`, whose mean is a random function of its own"


def _unfit_grams(model: ir.TypedModel, layers: tuple[Layer, ...]) -> Iterator[tuple[Span, str]]:
    owners = [layer.owner for layer in layers]
    for apply in applies_of(model).values():
        function, span = model.functions[owner_of(apply)], apply.span
        factors = getattr(function.type.domain, "factors", (function.type.domain,))
        if any(is_infinite(f) for f in factors):
            if len(factors) > 1:
                yield span, f"`{function.name}`, a function of `Real^inf` and of something else,"
            elif not isinstance(_followed(model, apply.point[0]), ir.Apply):
                yield span, f"`{function.name}` of anything but a layer to `Real^inf` itself"
        if not is_infinite(function.type.codomain):
            continue
        nu = function.settings.get("nu")
        if nu is not None and not isinstance(nu, ir.Constant | ir.OneOf):
            yield function.span, f"`nu` of `{function.name}` as an unknown"
        if isinstance(nu, ir.Constant) and math.isinf(nu.value):  # the others are composed
            yield span, f"`{function.name}`, with nu = inf, inside several functions,"
        if owners.count(function.name) > 1:
            yield span, f"`{function.name}`, to `Real^inf`, at several places"
        if not (function.mean is None or _is_zero(function.mean)):
            yield function.span, f"`{function.name}`, to `Real^inf`, with a mean"


def _followed(model: ir.TypedModel, expr: ir.Expr) -> ir.Expr:
    """An expression, or what the definition that it names is."""
    while isinstance(expr, ir.Ref) and expr.name in model.definitions:
        expr = model.definitions[expr.name].value
    return expr


def _is_zero(expr: ir.Expr) -> bool:
    return isinstance(expr, ir.Constant) and expr.value == 0


def _layer(model: ir.TypedModel, apply: ir.Apply) -> Layer:
    codomain = model.functions[owner_of(apply)].type.codomain
    own = () if is_infinite(codomain) else coordinates_of(codomain)
    outputs = (
        next((d for d in apply.type.coordinates if d in apply.type.dims), None) if own else None
    )
    base = tuple(d for d in in_order(model, apply.type.dims) if d not in (outputs, INFINITE))
    return Layer(apply.text, apply, base, outputs)


def _inside(model: ir.TypedModel, apply: ir.Apply) -> list[ir.Apply]:
    """The applies_of that the point of another is made of."""
    found: list[ir.Apply] = []
    seen: set[str] = set()
    waiting: list[object] = [apply.point]
    while waiting:
        part = waiting.pop()
        found += list(_applications_in(model, part))
        for name in names_below(model, part) & set(model.definitions) - seen:
            seen.add(name)
            waiting.append(model.definitions[name].value)
    return found


def _applications_in(model: ir.TypedModel, place: object) -> Iterator[ir.Apply]:
    for node in nodes(place):
        if isinstance(node, ir.Apply) and owner_of(node) in model.functions:
            yield node

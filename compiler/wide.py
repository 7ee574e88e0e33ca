"""Layers whose `nu` is inf, into the kernels of the functions behind them: the NNGP.

Such a layer keeps the Gram matrix of its prior, so that `f(h(x))` is a Gaussian process of x, with
the kernel of f on the inner products that the kernel of h gives. What is left is a model without
the layer, for every engine.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.inner import applies_of, is_infinite, owner_of
from mercer.compiler.walk import rewrite


def without_wide_layers(model: ir.TypedModel) -> ir.TypedModel:
    """The model with each layer whose `nu` is inf inside the kernel of what it is applied to."""
    while (found := _next(model)) is not None:
        model = _composed(model, *found)
    return model


def _next(model: ir.TypedModel) -> tuple[str, str] | None:
    """A layer to be composed, and the one function that is applied to it."""
    applies = list(applies_of(model).values())
    for inner in applies:
        layer = model.functions[owner_of(inner)]
        nu = layer.settings.get("nu")
        if not (is_infinite(layer.type.codomain) and isinstance(nu, ir.Constant)):
            continue
        if not math.isinf(nu.value) or not (layer.mean is None or _is_zero(layer.mean)):
            continue
        outer = [a for a in applies if a.point and a.point[0] == inner and len(a.point) == 1]
        owners = {owner_of(a) for a in outer}
        every = [a for a in applies if owner_of(a) in owners]
        if len(owners) == 1 and len(every) == len(outer):
            return layer.name, owners.pop()
    return None


def _composed(model: ir.TypedModel, inner: str, outer: str) -> ir.TypedModel:
    """`outer` as a function of what `inner` is a function of."""
    layer, function = model.functions[inner], model.functions[outer]
    assert layer.kernel is not None and function.kernel is not None
    kernel = ir.KernelComposed(function.kernel.span, function.kernel, layer.kernel)
    kind = replace(function.type, domain=layer.type.domain)
    formal = layer.formal if function.mean is None else function.formal
    composed = replace(function, type=kind, kernel=kernel, formal=formal)

    def change(part: Any) -> Any:
        if isinstance(part, ir.Apply) and owner_of(part) == outer:
            (point,) = part.point
            assert isinstance(point, ir.Apply)
            reference = part.function
            assert isinstance(reference, ir.FunctionRef)
            return replace(part, point=point.point, function=replace(reference, type=kind))
        return part

    def moved(group: Any) -> Any:
        return {name: replace(d, **_changed(d, change)) for name, d in group.items()}

    functions = {n: f for n, f in model.functions.items() if n != inner}
    # What is asked of the inducing points of the layer is asked of those of the function behind.
    asked = {d.name for d in model.directives}
    directives = (
        replace(d, name=outer) if d.name == inner and outer not in asked else d
        for d in model.directives
    )
    return replace(
        model,
        directives=tuple(d for d in directives if d.name != inner),
        functions={n: composed if n == outer else f for n, f in functions.items()},
        definitions=moved(model.definitions),
        observations=moved(model.observations),
        unknowns=moved(model.unknowns),
        order=tuple(n for n in model.order if n != inner),
    )


def _changed(declared: Any, change: Any) -> dict[str, Any]:
    words = ("value", "law", "prior")
    return {w: rewrite(getattr(declared, w), change) for w in words if hasattr(declared, w)}


def _is_zero(expr: ir.Expr | None) -> bool:
    return isinstance(expr, ir.Constant) and expr.value == 0

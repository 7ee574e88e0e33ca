"""Walks over typed expressions: children, names used, substitution."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from mercer.compiler import typed as ir
from mercer.dsl.spaces import Dim
from mercer.dsl.span import Span

T = TypeVar("T")


def children(node: object) -> Iterator[object]:
    """The typed nodes directly inside `node`, whatever holds them (fields, tuples, mappings)."""
    if is_dataclass(node):
        for entry in fields(node):
            yield from _inside(getattr(node, entry.name))
    else:
        yield from _inside(node)


def nodes(node: object) -> Iterator[object]:
    """`node` and every typed node below it, parents first."""
    yield node
    for child in children(node):
        yield from nodes(child)


def names_of(node: object) -> set[str]:
    """The names of values and functions that `node` refers to directly."""
    return {n.name for n in nodes(node) if isinstance(n, ir.Ref | ir.FunctionRef)}


def names_below(model: ir.TypedModel, node: object) -> set[str]:
    """The names that `node` refers to, definitions followed to what they are made of."""
    seen: set[str] = set()
    waiting = list(names_of(node))
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in model.definitions:
            waiting += names_of(model.definitions[name].value)
    return seen


def in_order(model: ir.TypedModel, dims: Iterable[Dim]) -> tuple[Dim, ...]:
    """Distinct dims in the model's one order; sizes without a name come last."""
    known = {dim: place for place, dim in enumerate(model.dims)}
    return tuple(sorted(dict.fromkeys(dims), key=lambda d: known.get(d, len(known))))


def responses(model: ir.TypedModel) -> frozenset[str]:
    """Data absent where predictions are wanted: outcomes, and what only they are made of.

    Data behind an observed definition (`log_y = log(y)`) count where nothing else needs them.
    """
    observed = set(model.observations)
    behind = names_below(model, [d for n, d in model.definitions.items() if n in observed])
    inside = behind | observed
    other = names_below(model, [d for n, d in model.definitions.items() if n not in inside])
    for part in (model.unknowns, model.functions, model.shapes):
        other |= names_below(model, tuple(part.values()))
    other |= names_below(model, tuple(o.law for o in model.observations.values()))
    for shape in model.shapes.values():  # `Manifold(cloud)` names its data in its space only
        other |= set(re.findall(r"\w+", str(getattr(shape.space, "kind", ""))))
    return frozenset((observed | (behind - other)) & set(model.data))


def is_summary(model: ir.TypedModel, expr: object) -> bool:
    """Whether `expr` is computed from data by reducing: taken once, at the fit, and kept."""
    if isinstance(expr, ir.Spread):
        return True
    if not isinstance(expr, ir.Reduce) or not names_below(model, expr.argument):
        return False
    below = names_below(model, expr.argument)
    return all(n in model.data or n in model.definitions for n in below) and all(
        model.definitions[n].is_data for n in below if n in model.definitions
    )


def names_at_rows(model: ir.TypedModel, node: object) -> set[str]:
    """The names that `node` needs row by row: as `names_below`, what is taken once apart."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if is_summary(model, part):
            continue
        waiting += children(part)
        if isinstance(part, ir.Ref | ir.FunctionRef) and part.name not in seen:
            seen.add(part.name)
            if part.name in model.definitions:
                waiting.append(model.definitions[part.name].value)
    return seen


def imputed(model: ir.TypedModel) -> tuple[str, ...]:
    """Observed data that other laws are made of: where they are missing they are unknown."""
    unknowns, functions = tuple(model.unknowns.values()), tuple(model.functions.values())
    found = []
    for name in model.observations:
        laws = tuple(o.law for n, o in model.observations.items() if n != name)
        if name in model.data and name in names_at_rows(model, (laws, unknowns, functions)):
            found.append(name)
    return tuple(found)


def rewrite(node: T, change: Callable[[Any], Any]) -> T:
    """A copy of `node` with `change` applied to every node, children first."""

    def visit(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(visit(v) for v in value)
        if isinstance(value, Mapping):
            return {k: visit(v) for k, v in value.items()}
        if not isinstance(value, ir.Expr | ir.FunctionExpr | ir.Kernel | ir.Law):
            return value
        parts = {f.name: visit(getattr(value, f.name)) for f in fields(value)}
        return change(replace(value, **parts))

    result: T = visit(node)
    return result


def substitute(node: T, values: dict[str, ir.Expr]) -> T:
    """`node` with each `Ref` to a name of `values` replaced."""

    def change(part: Any) -> Any:
        return values.get(part.name, part) if isinstance(part, ir.Ref) else part

    return rewrite(node, change)


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _inside(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _inside(item)
    elif is_dataclass(value) and not isinstance(value, Span | type):
        if isinstance(value, ir.Expr | ir.FunctionExpr | ir.Kernel | ir.Law | ir.Declared):
            yield value

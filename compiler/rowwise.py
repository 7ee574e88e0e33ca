"""A typed model turned into the indices whose entries can be predicted apart from one another."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.walk import children, is_summary
from mercer.dsl.spaces import Dim, Label
from mercer.stdlib.distributions import DISTRIBUTIONS

_EVENTS = {entry.name: entry.event for entry in DISTRIBUTIONS}


def rowwise(model: ir.TypedModel) -> frozenset[Dim]:
    """Indices of rows: what a prediction says at one entry does not ask which others there are.

    Not of labels, which rows share, and not where the model reduces over them, steps back along
    them, or has a law, a matrix or copies of a function over them. What is taken once, at the fit,
    counts for nothing.
    """
    shared = {d.space.index for d in model.data.values() if isinstance(d.space, Label)}
    declared = {name for name, index in model.indices.items() if index.labels is not None}
    return frozenset(set(model.indices) - shared - declared - set(_joined(model)))


def _joined(model: ir.TypedModel) -> Iterator[Dim]:
    """The dims along which entries meet."""
    groups = (model.data, model.unknowns, model.definitions, model.observations)
    for declared in (d for group in groups for d in group.values()):
        yield from (dim.rstrip("'") for dim in declared.type.dims if dim.endswith("'"))
    spaces = [*(d.space for d in model.data.values()), *(u.space for u in model.unknowns.values())]
    for space in spaces:
        yield from re.findall(r"\w+", str(space))
    for function in model.functions.values():
        yield from function.type.dims
        yield from re.findall(r"\w+", str(function.type))
    for name, law in _laws(model):
        declared = model.unknowns[name] if name in model.unknowns else model.observations[name]
        if isinstance(law, ir.Distribution) and (event := _EVENTS.get(law.entry, 0)):
            yield from (dim.rstrip("'") for dim in declared.type.dims[-event:])
    every = (model.unknowns, model.functions, model.definitions, model.observations, model.shapes)
    for node in _at_rows(model, tuple(d for group in every for d in group.values())):
        match node:
            case ir.Reduce(over=over):
                yield from over
            case ir.Lag(dim=dim) | ir.Gather(dim=dim) | ir.Rename(old=dim):
                yield dim
            case ir.Labels(index=index) | ir.LabelConstant(index=index) | ir.Stack(index=index):
                yield index


def _laws(model: ir.TypedModel) -> Iterator[tuple[str, ir.Law]]:
    """Each prior and each law of an outcome, whatever it is wrapped in."""
    laws = [(n, u.prior) for n, u in model.unknowns.items()]
    laws += [(n, o.law) for n, o in model.observations.items()]
    for name, law in laws:
        while isinstance(law, ir.Truncated | ir.Censored | ir.Weighted | ir.Pushed):
            law = law.base
        yield name, law


def _at_rows(model: ir.TypedModel, node: object) -> Iterator[object]:
    """All nodes that are computed anew at new rows."""
    if is_summary(model, node):
        return
    yield node
    for child in children(node):
        yield from _at_rows(model, child)
